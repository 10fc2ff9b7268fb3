"""Debian packages: what is missing is installed, what is there is left alone."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping

from .commands import Commands, Done
from .errors import MachineError

NEEDED = ("nftables", "btrfs-progs")
"""The firewall's program, and what pools of the daemon's own are made with."""
GOOD_TO_HAVE = (
    "cpu-checker",
    "libvirt-clients",
    "libvirt-daemon-driver-qemu",
    "apparmor-utils",
)
"""For virtual machines: what says why there is no KVM, and what confines them."""

_UNASKED = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
_QUERY_LIMIT_S = 30.0
_INSTALL_LIMIT_S = 900.0
_UPDATE_LIMIT_S = 180.0
_LOCK_LIMIT_S = 120.0
_LOCK_PAUSE_S = 5.0
_OPTIONS = (
    "--yes",
    "--quiet",
    "--no-install-recommends",
    "--option=Dpkg::Options::=--force-confold",
)
_UNKNOWN = re.compile(r"Unable to locate package (\S+)|Package '?([^\s']+)'? has no installation")

_log = logging.getLogger(__name__)


class Packages:
    """The packages of this machine.

    Args:
        commands: run apt and dpkg.
        proxies: through which packages are fetched, as environment variables.
        pause: waits some seconds, while somebody else is at it.
    """

    def __init__(
        self,
        commands: Commands,
        proxies: Mapping[str, str] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._commands = commands
        self.environment = {**(proxies or {}), **_UNASKED}
        """What apt is told."""
        self._pause = pause

    def ensure(self, needed: Iterable[str], good_to_have: Iterable[str] = ()) -> bool:
        """Install those that are missing.

        Args:
            needed: without which nothing goes.
            good_to_have: those that this release has not, or that fail, are logged.

        Returns:
            Whether something was installed.

        Raises:
            MachineError: one that is needed can't be installed.
        """
        wanted, extra = tuple(needed), tuple(good_to_have)
        there = self.installed((*wanted, *extra))
        missing = [name for name in wanted if name not in there]
        lacking = [name for name in extra if name not in there]
        if not missing and not lacking:
            return False
        self._update(needed=bool(missing))
        if missing:
            done = self._apt("install", *missing)
            if done.code:
                raise MachineError(f"can't install {', '.join(missing)}: {_why(done)}")
        for name in lacking:
            done = self._apt("install", name)
            if done.code:
                _log.warning("%s, which is good to have, can't be installed: %s", name, _why(done))
        return bool(missing) or self.installed(lacking) != frozenset()

    def upgrade_kernel(self, release: str = "") -> None:
        """Bring the newest kernel of the running one's flavour, where packages bring kernels.

        A failure is logged: the machine works with the kernel that it has.

        Args:
            release: of the running kernel, as uname(2) says it; asked for if it is empty.
        """
        names = self.installed(kernel_packages(release or os.uname().release))
        if not names:
            return
        self._update(needed=False)
        done = self._apt("install", "--only-upgrade", *sorted(names))
        if done.code:
            _log.warning("the kernel can't be upgraded: %s", _why(done))

    def installed(self, names: Iterable[str]) -> frozenset[str]:
        """Give those that are installed."""
        asked = tuple(names)
        if not asked:
            return frozenset()
        # Its exit code is not zero where one is unknown; what it prints counts.
        shown = self._commands.run(
            *("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *asked),
            limit_s=_QUERY_LIMIT_S,
        )
        lines = (line.split() for line in shown.out.splitlines())
        return frozenset(line[0] for line in lines if line[1:] == ["installed"])

    def _update(self, *, needed: bool) -> None:
        """Read the lists anew; without them an install says best what is lacking."""
        done = self._when_free("apt-get", "--quiet", "update", limit_s=_UPDATE_LIMIT_S)
        if done.code and needed:
            _log.warning("the lists of packages can't be read anew: %s", _why(done))

    def _apt(self, *words: str) -> Done:
        command = ("apt-get", *_OPTIONS, *words)
        done = self._when_free(*command, limit_s=_INSTALL_LIMIT_S)
        if done.code and "dpkg --configure -a" in done.err:
            # A machine that lost its power, or a hook that was killed, in the midst of it.
            self._when_free(
                "dpkg", "--force-confold", "--configure", "-a", limit_s=_INSTALL_LIMIT_S
            )
            done = self._when_free(*command, limit_s=_INSTALL_LIMIT_S)
        return done

    def _when_free(self, *command: str, limit_s: float) -> Done:
        """Run a program of apt's; unattended upgrades hold its locks after a first boot."""
        waited = 0.0
        while True:
            done = self._commands.run(*command, limit_s=limit_s, environment=self.environment)
            if not done.code or not _is_locked(done) or waited >= _LOCK_LIMIT_S:
                return done
            self._pause(_LOCK_PAUSE_S)
            waited += _LOCK_PAUSE_S


def kernel_packages(release: str) -> tuple[str, ...]:
    """Give the packages that would bring newer kernels like the running one.

    On Ubuntu `linux-generic`, `linux-aws` and the like, or `linux-generic-hwe-24.04`; on Debian
    `linux-image-amd64`. `linux-virtual` brings kernels of the flavour `generic`.

    Args:
        release: of the running kernel, such as `6.8.0-45-generic`.
    """
    found = re.search(r"-([a-z][a-z0-9-]*)$", release)
    if not found:
        return ()
    flavours = [found[1], *(("virtual",) if found[1] == "generic" else ())]
    names = [f"linux-{kind}{flavour}" for flavour in flavours for kind in ("", "image-")]
    return tuple(f"{name}{more}" for name in names for more in ("", "-hwe-22.04", "-hwe-24.04"))


def _is_locked(done: Done) -> bool:
    return "Could not get lock" in done.err or "frontend lock" in done.err


def _why(done: Done) -> str:
    """Say why apt has failed, in one clear sentence."""
    if _is_locked(done):
        return "another program has had apt's lock for too long; it is tried again"
    if unknown := [one or two for one, two in _UNKNOWN.findall(done.err)]:
        return f"no source of packages here has {', '.join(unknown)}"
    return done.reason
