"""Bringing packages and LXD up to date, in the background: no hook waits for it.

It has no limit in time, and is not ended when the unit is removed: a dpkg that is killed leaves a
machine that somebody has to mend.
"""

from __future__ import annotations

from . import files
from .commands import Commands
from .errors import MachineError
from .lxd import Lxd
from .packages import GOOD_TO_HAVE, NEEDED, Packages
from .places import NAME, Places

UNIT = f"{NAME}-update"
_LIMIT_S = 15.0
SCRIPT = """
snap=$1 channel=$2; shift 2
apt-get --quiet update
[ $# -eq 0 ] || apt-get --yes --quiet --no-install-recommends --only-upgrade \
    --option=Dpkg::Options::=--force-confold --option=DPkg::Lock::Timeout=600 install "$@"
apt=$?
[ -z "$snap" ] || snap refresh "$snap" --channel="$channel"
[ $? -eq 0 ] && exit "$apt"
"""
"""One of the two failing does not keep the other from being tried."""


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
            *("/bin/sh", "-c", SCRIPT, UNIT),
            *(("lxd", channel) if self._lxd.is_ours else ("", "")),
            *names,
            limit_s=_LIMIT_S,
        )
        if done.code and "already" not in done.err:
            files.discard(self._environment)
            raise MachineError(f"the update can't be started: {done.reason}")


def _quoted(value: str) -> str:
    """Write a value as systemd.exec(5) reads it from an EnvironmentFile."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
