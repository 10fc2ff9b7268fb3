"""Bringing packages and LXD up to date, in the background: no hook waits for it."""

from __future__ import annotations

from .commands import Commands, proxies
from .errors import MachineError
from .lxd import Lxd
from .packages import GOOD_TO_HAVE, NEEDED, Packages
from .places import NAME

UNIT = f"{NAME}-update"
_LIMIT_S = 15.0
_RUN_LIMIT_S = 1800
_SCRIPT = """
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
        commands: run systemd-run.
        packages: know what is installed.
        lxd: knows whether it is ours to refresh.
    """

    def __init__(self, commands: Commands, packages: Packages, lxd: Lxd) -> None:
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
        """
        names = sorted(self._packages.installed((*NEEDED, *GOOD_TO_HAVE, *more)))
        settings = {**proxies(), "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
        done = self._commands.run(
            *("/usr/bin/systemd-run", f"--unit={UNIT}", "--collect", "--no-block", "--quiet"),
            f"--property=RuntimeMaxSec={_RUN_LIMIT_S}",
            *(f"--setenv={name}" for name in settings),  # its value is in no argument
            *("/bin/sh", "-c", _SCRIPT, UNIT),
            *(("lxd", channel) if self._lxd.is_ours else ("", "")),
            *names,
            limit_s=_LIMIT_S,
            environment=settings,
        )
        if done.code and "already" not in done.err:
            raise MachineError(f"the update can't be started: {done.reason}")
