"""All that is done to the machine; each step may be run again after it was killed half-way."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import files
from .accounts import Accounts
from .claim import Claim
from .commands import Commands
from .configuration import Configuration, Wanted
from .environment import Environments
from .errors import MachineError
from .kernel import BridgeFiltering
from .lxd import Lxd
from .packages import GOOD_TO_HAVE, NEEDED, Packages, kernel_packages
from .places import UNITS, Places
from .reboots import Asked, RebootNote, due, subject
from .removal import Removal
from .service import Applied, Service
from .setback import Setback
from .supervisor import Fleet, Order, Supervisor
from .units import Units
from .updates import Updates

_UPGRADE_LIMIT_S = 10.0
_GRACE_S = 10.0
_NO_DAEMON = 3
_NO_CLI = 127

_log = logging.getLogger(__name__)


class Machine:
    """A machine that has one daemon, which keeps runners.

    For one thread at a time. Everything is bounded in time; nothing waits for a runner.

    Args:
        payload: the wheels of the daemon, of all that it needs, and of pip.
        units: the directory of its systemd units.
        root: of the machine's file system.
        proxies: through which packages are fetched, as environment variables.
        commands: run programs.
        accounts: its users and groups.
    """

    def __init__(
        self,
        payload: Path,
        units: Path,
        root: Path = Path("/"),
        *,
        proxies: Mapping[str, str] | None = None,
        commands: Commands | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        commands = commands or Commands()
        places = Places(root)
        self._places = places
        self._accounts = accounts or Accounts()
        self._claim = Claim(places)
        self._packages = Packages(commands, proxies)
        self._lxd = Lxd(places, commands, self._packages)
        self._bridge_filtering = BridgeFiltering(places, commands)
        self._environments = Environments(places.software, payload, units, commands)
        self._units = Units(places.current / UNITS, places, commands)
        self._supervisor = Supervisor(commands, places.cli)
        self._configuration = Configuration(places)
        self._updates = Updates(places, commands, self._packages, self._lxd)
        self._reboots = RebootNote(places.notes / "reboots.json")
        self._kernel_upgraded = places.notes / "kernel-upgraded"
        self._service = Service(
            places, self._configuration, self._environments, self._units, self._supervisor
        )

    def claim(self, unit: str) -> None:
        """Take the machine for a unit, of which there can be one.

        Args:
            unit: its name.

        Raises:
            MachineError: another one has it.
        """
        with _disk():
            self._claim.take(unit)
            # Of a hook that was killed: it has secrets, and nobody else may come to remove it.
            self._configuration.discard_candidate()

    def install(self, *, lxd_channel: str, progress: Callable[[str], None]) -> None:
        """Install all that the daemon needs, and itself.

        A daemon that is configured already keeps its version: that is what `upgrade` is for.

        Args:
            lxd_channel: the snap channel of an LXD of ours.
            progress: is told what is being done.

        Raises:
            MachineError: something can't be installed.
        """
        good_to_have = () if self._places.is_container else GOOD_TO_HAVE
        version = self._set_up(lxd_channel, progress, good_to_have)
        if not self._configuration.exists:
            self._upgrade(version, None, {})

    def is_outdated(self) -> bool:
        """Tell whether another version came along than is in use, and is to be tried.

        One that did not come up is not, until `upgrade` is called for it.

        Raises:
            MachineError: none came along.
        """
        with _disk():
            offered, setback = self._environments.offered(), self._service.setback()
        return offered != self._environments.in_use and not (setback and setback.version == offered)

    def upgrade(
        self,
        *,
        lxd_channel: str,
        wanted: Wanted | None,
        environment: Mapping[str, str],
        progress: Callable[[str], None],
    ) -> None:
        """Install what another revision brings, and configure it; jobs go on.

        The daemon is started anew once, with both. If it does not come up then, the former version
        runs on with what it had, and `setback` tells of it.

        Args:
            lxd_channel: the snap channel of an LXD of ours.
            wanted: by the operator; None if the options can't be used.
            environment: as for `apply`.
            progress: is told what is being done.

        Raises:
            VersionRefused: it would not take what is wanted; what was there stays in use.
            MachineError: it can't be used; what was there stays in use.
        """
        # What is merely good to have was tried for already: a machine without a network need not
        # wait for it again.
        version = self._set_up(lxd_channel, progress, ())
        if version != self._environments.in_use:
            progress("starting the daemon anew")
        self._upgrade(version, wanted, environment)

    def complete(self) -> None:
        """Do what a hook that was killed has left half done; it needs no good options.

        Raises:
            MachineError: the machine can't; the next call tries again.
        """
        if not self._configuration.exists:
            return
        with _disk():
            self._service.complete(self._accounts.owner())

    def setback(self) -> Setback | None:
        """Give the version that came along and did not come up; None if all is well."""
        return self._service.setback()

    def _set_up(
        self, lxd_channel: str, progress: Callable[[str], None], good_to_have: tuple[str, ...]
    ) -> str:
        """Have all be there that the daemon needs, and itself; return the version to use."""
        is_container = self._places.is_container
        with _disk():
            files.make_directory(self._places.notes, 0o700)
            progress("installing packages")
            self._packages.ensure(NEEDED, good_to_have)
            progress("installing LXD")
            self._lxd.ensure(lxd_channel)
            if not is_container and not self._kernel_upgraded.exists():
                progress("upgrading the kernel")
                self._packages.upgrade_kernel()
                files.write(self._kernel_upgraded, "")
            self._bridge_filtering.ensure()
            self._accounts.ensure(self._places.state)
            progress("installing the daemon")
            version = self._environments.make()
            _link(self._places.cli_link, self._places.cli)
            _link(self._places.metric_log_link, self._places.metric_log)
        return version

    def _upgrade(self, version: str, wanted: Wanted | None, environment: Mapping[str, str]) -> None:
        with _disk():
            self._service.upgrade(version, wanted, self._accounts.owner(), environment)

    def apply(self, wanted: Wanted, *, environment: Mapping[str, str]) -> Applied:
        """Have the daemon run with a configuration; nothing is done where it does already.

        Args:
            wanted: by the operator.
            environment: what the commands are told that check it and prepare LXD, such as proxies.
                The daemon itself is told by its configuration alone: what systemd gives a service
                in its environment can be read by everybody.

        Raises:
            ConfigRefused: the daemon would not take it, and keeps the last good one.
            MachineError: the machine can't; the next call completes it.
        """
        with _disk():
            return self._service.apply(wanted, self._accounts.owner(), environment)

    def prepare_lxd(self, *, environment: Mapping[str, str]) -> None:
        """Have what the configuration names be made in LXD again, where somebody has deleted it.

        Args:
            environment: as for `apply`.

        Raises:
            MachineError: LXD can't.
        """
        with _disk():
            for line in self._service.prepare_lxd(environment):
                _log.warning("it was missing in LXD: %s", line)

    def fleet(self) -> Fleet | None:
        """Ask the daemon how things are; None if none answers within seconds."""
        return self._supervisor.fleet()

    def unit_state(self) -> str:
        """Give systemd's words for the daemon, and those of one that has failed.

        Such as `active/running`, or `failed/failed: ` and the last lines of its journal.
        """
        state = self._units.state()
        return f"{state}: {self._units.last_words()}" if state.startswith("failed") else state

    def order(self, *arguments: str, limit_s: float) -> Order:
        """Run the daemon's command.

        Args:
            arguments: the command and its options.
            limit_s: seconds.
        """
        return self._supervisor.order(*arguments, limit_s=limit_s)

    def reboot_due(self, fleet: Fleet | None) -> str:
        """Say why the machine is to be rebooted now; it is remembered that it was said.

        For the same reason only once, unless the machine has not gone down since.

        Args:
            fleet: what the daemon says; without one it is only to be rebooted before the first
                start, as runners may go on without a daemon.

        Returns:
            The reason; empty if it is not to be rebooted.
        """
        boot = files.read(self._places.boot_id).strip()
        now = Asked(datetime.now(timezone.utc), boot)
        with _disk():
            offer = self._reboot_offered(fleet)
            reason = due(offer, self._reboots.read(), now)
            if reason:
                self._reboots.add(subject(offer), now)
        return reason

    def update(self, *, lxd_channel: str) -> None:
        """Start bringing packages and LXD up to date, and order the daemon to look for newer ones.

        Args:
            lxd_channel: the snap channel of an LXD of ours.

        Raises:
            MachineError: it can't be started.
        """
        more = () if self._places.is_container else kernel_packages(os.uname().release)
        with _disk():
            self._updates.start(lxd_channel, more)
        done = self._supervisor.order("upgrade", "--now", limit_s=_UPGRADE_LIMIT_S)
        if done.code not in {0, _NO_DAEMON, _NO_CLI}:
            raise MachineError(f"the daemon can't look for newer versions: {done.err.strip()}")

    def update_fault(self) -> str:
        """Say why the last `update` has failed; empty if it went well."""
        return self._updates.fault()

    def drain(self, *, limit_s: float) -> str:
        """Order the daemon to end its runners after their jobs, and wait a while for that.

        Args:
            limit_s: seconds.

        Returns:
            What is left; empty if nothing is, or no daemon is there to ask.
        """
        if self._units.life() == "down":
            return ""
        done = self._supervisor.order(
            *("drain", "--timeout", f"{limit_s:g}"), limit_s=limit_s + _GRACE_S
        )
        if done.code in {0, _NO_DAEMON, _NO_CLI}:
            return ""
        return " ".join((done.err or done.out).split()) or "the daemon did not say what is left"

    def remove(self) -> list[str]:
        """Stop the daemon, and take all that is ours from the machine.

        Returns:
            What could not be removed, and why; empty if nothing is left. Then it may be run again.
        """
        removal = Removal(
            self._places,
            self._service.prepared,
            supervisor=self._supervisor,
            units=self._units,
            lxd=self._lxd,
            bridge_filtering=self._bridge_filtering,
            accounts=self._accounts,
        )
        try:
            return removal.remove()
        except OSError as error:
            return [_said(error)]

    def version(self) -> str:
        """Give the version of the daemon in use; empty if there is none."""
        return self._environments.in_use.rpartition("-")[0]

    def _reboot_offered(self, fleet: Fleet | None) -> Mapping[str, Any]:
        if fleet is not None:
            offer = fleet.upgrades.get("reboot")
            return offer if isinstance(offer, dict) else {}
        if self._configuration.exists or self._places.is_container:
            return {}
        return self._supervisor.reboot_before_first_start()


def _link(link: Path, target: Path) -> None:
    """Have a link lead to what is ours, unless something else is there."""
    files.make_directory(link.parent, 0o755)
    if link.is_symlink() or not link.exists():
        files.link(link, str(target))
    else:
        _log.warning("%s is somebody else's: it stays as it is", link)


@contextmanager
def _disk() -> Iterator[None]:
    """Translate what the file system refuses."""
    try:
        yield
    except OSError as error:
        raise MachineError(_said(error)) from error


def _said(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
