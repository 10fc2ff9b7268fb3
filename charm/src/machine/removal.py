"""Taking all of ours from the machine: what the daemon has made first, then what it is made of.

Packages stay, and LXD with them: others may use them by now. So does what others use for certain,
such as the project that they have put an image into.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from . import files
from .accounts import Accounts
from .kernel import BridgeFiltering
from .lxd import Lxd
from .places import NAME, Places
from .supervisor import Given, Leftover, Supervisor
from .units import Units

_REGISTRATION = "registration"
"""What the daemon's own command calls what is left at GitHub."""

_log = logging.getLogger(__name__)


class Removal:
    """That of one installation.

    Args:
        places: where things are.
        prepared: the configuration that LXD was made ready for, should no daemon have had it yet.
        supervisor: removes what the daemon has made.
        units: are stopped first.
        lxd: is let go.
        bridge_filtering: is not set up any more.
        accounts: the daemon's user.
    """

    def __init__(
        self,
        places: Places,
        prepared: Path,
        *,
        supervisor: Supervisor,
        units: Units,
        lxd: Lxd,
        bridge_filtering: BridgeFiltering,
        accounts: Accounts,
    ) -> None:
        self._places = places
        self._prepared = prepared
        self._supervisor = supervisor
        self._units = units
        self._lxd = lxd
        self._bridge_filtering = bridge_filtering
        self._accounts = accounts
        self._tried = places.notes / "removal-tried"

    def remove(self) -> list[str]:
        """Remove it; what is gone already is fine.

        As long as the daemon's command leaves something on the machine, what it needs to be run
        again stays, too. What it keeps for somebody else is not awaited: the log names it.

        Returns:
            What could not be removed, and why; empty if nothing is left.
        """
        if fault := self._units.stop():
            return [fault]
        left = self._uninstall()
        if any(self._keeps(one) for one in left):
            files.write(self._tried, "")
            return list(map(str, left))
        for one in left:
            _log.error("left, and removed by GitHub itself within days: %s", one)
        if faults := list(filter(None, self._remove_files())):
            return faults
        fault = files.discard(self._places.notes)  # who has the machine: nobody now
        return [fault] if fault else []

    def _uninstall(self) -> list[Leftover]:
        """Have the daemon's command remove what the daemon has made, if it ever could make any."""
        at = self._places
        # Root's own: the daemon's user could have written in the daemon's.
        known = (path for path in (at.own_config, self._prepared) if path.exists())
        if (config := next(known, None)) is None:
            return []
        found = self._supervisor.uninstall(Given(config, at.credentials))
        for one in found.kept:
            _log.warning("kept for somebody else: %s", one)
        if config == at.own_config:
            return found.left
        # No daemon has run yet: nothing is registered, nor is there a credential to ask with.
        return [one for one in found.left if not one.what.startswith(_REGISTRATION)]

    def _keeps(self, left: Leftover) -> bool:
        """Tell whether what is left is to be tried again, with all that this needs.

        GitHub removes registrations of runners that are gone by itself, and may not know our
        credential any more: they are tried twice.
        https://docs.github.com/en/actions/reference/runners/self-hosted-runners
        """
        return not (left.what.startswith(_REGISTRATION) and self._tried.exists())

    def _remove_files(self) -> Iterator[str]:
        """Remove what the daemon is made of, and say what can't be.

        The settings go before the software: as long as they are there it is asked to uninstall.
        """
        at = self._places
        yield from self._units.remove()
        yield from self._bridge_filtering.remove()
        yield _discard_unmounted(at.state)
        yield _discard_unmounted(at.pools)
        yield files.discard(at.logs)
        yield files.discard(at.root / "run" / NAME)
        yield self._accounts.remove()
        self._lxd.release()
        yield files.discard(self._prepared)
        yield files.discard(at.own_config)
        yield files.discard(at.settings)
        for link, target in ((at.cli_link, at.cli), (at.metric_log_link, at.metric_log)):
            if link.is_symlink() and link.readlink() == target:
                yield files.discard(link)
        yield files.discard(at.software)


def _discard_unmounted(directory: Path) -> str:
    """Remove a directory, unless a file system of somebody's is mounted in it.

    That may be a pool that was kept: it is no failure, as no second try would end otherwise.
    """
    within = [point for point in mount_points() if point.is_relative_to(directory)]
    if within:
        _log.warning(
            "kept for somebody else: %s: %s is mounted; when nobody needs it, and LXD's pool of it "
            "is deleted: umount %s, then rm -r %s",
            directory,
            within[0],
            " ".join(map(str, reversed(within))),  # the last that was mounted first
            directory,
        )
        return ""
    return files.discard(directory)


def mount_points() -> list[Path]:
    """Give where file systems are mounted: proc(5), which writes blanks as octal numbers."""
    lines = files.read(Path("/proc/self/mountinfo")).splitlines()
    fields = [line.split(" ") for line in lines]
    return [
        Path(os.fsdecode(one[4].encode().decode("unicode_escape").encode("latin-1")))
        for one in fields
        if len(one) > 4  # noqa: PLR2004 - the field of that number, from 0
    ]
