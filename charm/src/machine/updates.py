"""Bringing packages and LXD up to date, in the background: no hook waits for it.

It has no limit in time, and is not ended when the unit is removed: a dpkg that is killed leaves a
machine that somebody has to mend.
"""

from __future__ import annotations

from . import files
from .commands import Commands, Done
from .errors import MachineError
from .lxd import Lxd
from .packages import GOOD_TO_HAVE, NEEDED, Packages
from .places import NAME, Places

UNIT = f"{NAME}-update"
_LIMIT_S = 15.0
SCRIPT = """
note=$1 snap=$2 channel=$3; shift 3
umask 077
: >"$note.new"
try() {
    "$@" >"$note.said" 2>&1 || { failed=$?; cat "$note.said" >>"$note.new"; }
    cat "$note.said"
}
try apt-get --quiet update
failed=0
[ $# -eq 0 ] || try apt-get --yes --quiet --no-install-recommends --only-upgrade \
    --option=Dpkg::Options::=--force-confold --option=DPkg::Lock::Timeout=600 install "$@"
[ -z "$snap" ] || try snap refresh "$snap" --channel="$channel"
rm -f "$note.said"
if [ $failed -eq 0 ]; then rm -f "$note" "$note.new"; else mv "$note.new" "$note"; fi
exit $failed
"""
"""One of the two failing does not keep the other from being tried.

What those have said that failed is noted, until it goes well. Lists that can't be read anew are not
by themselves a failure: what there is may be new enough.
"""


class Updates:
    """Those of one machine, by a unit of systemd's that is gone when it is done.

    Args:
        places: where things are.
        commands: run systemd-run.
        packages: know what is installed.
        lxd: knows whether it is ours to refresh.
    """

    def __init__(self, places: Places, commands: Commands, packages: Packages, lxd: Lxd) -> None:
        self._environment = places.notes / "update.env"
        self._failed = places.notes / "update-failed"
        self._commands = commands
        self._packages = packages
        self._lxd = lxd

    def start(self, channel: str, more: tuple[str, ...] = ()) -> None:
        """Start it; one that is under way already is as good.

        Args:
            channel: that our LXD follows.
            more: packages besides the daemon's needs, such as the kernel's.

        Raises:
            MachineError: it can't be started.
            OSError: what it is told can't be written.
        """
        names = sorted(self._packages.installed((*NEEDED, *GOOD_TO_HAVE, *more)))
        # A file of root's: arguments and a unit's settings everybody can read. It may hold a
        # proxy's password, so it goes when the unit ends, however that ends.
        settings = self._packages.environment.items()
        files.write(self._environment, "".join(f"{name}={_quoted(v)}\n" for name, v in settings))
        done = self._commands.run(
            *("/usr/bin/systemd-run", f"--unit={UNIT}", "--collect", "--no-block", "--quiet"),
            f"--property=EnvironmentFile={self._environment}",
            f"--property=ExecStopPost=/bin/rm --force {self._environment}",
            *("/bin/sh", "-c", SCRIPT, UNIT, str(self._failed)),
            *(("lxd", channel) if self._lxd.is_ours else ("", "")),
            *names,
            limit_s=_LIMIT_S,
        )
        if done.code and "already" not in done.err:
            files.discard(self._environment)
            raise MachineError(f"the update can't be started: {done.reason}")

    def fault(self) -> str:
        """Say why the last one has failed; empty if it went well, or is under way for the first."""
        said = files.read(self._failed)
        return Done(1, said).reason if self._failed.exists() else ""


def _quoted(value: str) -> str:
    """Write a value as systemd.exec(5) reads it from an EnvironmentFile."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
