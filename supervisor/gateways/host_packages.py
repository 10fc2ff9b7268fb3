"""What is installed on this host: asked of dpkg, snapd and the programs themselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from supervisor.gateways.child_environment import clean
from supervisor.upgrades.host import AppArmor
from supervisor.upgrades.reboot import KernelSeen

_LIMIT_S = 10.0
_SBIN = ":/usr/local/sbin:/usr/sbin:/sbin:/snap/bin"
"""Where these programs are, and a service's PATH may not lead to."""
_MOST_NAMES = 20


class HostPackages:
    """This host. For any thread; it changes nothing.

    Args:
        root: where its files are.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def nft(self) -> str:
        """Give the version of nftables' program; empty if there is none."""
        found = re.search(r"v(\d[\w.]*)", self._say("nft", "--version"))
        return found[1] if found else ""

    def gunicorn(self) -> str:
        """Give the version of gunicorn that the daemon has; empty if there is none."""
        try:
            return version("gunicorn")
        except PackageNotFoundError:
            return ""

    def debian_packages(self, names: tuple[str, ...]) -> frozenset[str] | None:
        """Give those of Debian's packages that are installed; None on a host without dpkg."""
        if not self._find("dpkg-query"):
            return None
        shown = self._say("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names)
        lines = (line.split() for line in shown.splitlines())
        return frozenset(line[0] for line in lines if line[1:] == ["installed"])

    def lxd_from(self) -> str:
        """Say how LXD is installed: `snap`, `deb` or `unknown`; empty if it is not."""
        if (self._root / "snap/lxd/current").is_symlink():
            return "snap"
        if "lxd" in (self.debian_packages(("lxd",)) or ()):
            return "deb"
        return "unknown" if self._find("lxd") else ""

    def kvm(self) -> bool:
        """Tell whether there is KVM."""
        return (self._root / "dev/kvm").exists()

    def apparmor(self) -> AppArmor:
        """Say what the kernel has of AppArmor: aa_is_enabled(2) reads it there, too."""
        try:
            enabled = (self._root / "sys/module/apparmor/parameters/enabled").read_text("ascii")
        except OSError:
            return "none"
        return "on" if enabled.strip() == "Y" else "off"

    def kernel(self) -> KernelSeen:
        """Say what there is of kernels, and whether this host wants a reboot."""
        required = self._root / "run/reboot-required"
        names: list[str] = []
        with suppress(OSError):
            text = (self._root / "run/reboot-required.pkgs").read_text("utf-8", "replace")
            names = list(dict.fromkeys(text.split()))[:_MOST_NAMES]
        return KernelSeen(
            os.uname().release, self._kernels(), required.exists(), tuple(map(_printable, names))
        )

    def _kernels(self) -> tuple[str, ...]:
        """Give the kernels that could be started: those that have an image."""
        try:
            images = sorted(path.name for path in (self._root / "boot").glob("vmlinuz-*"))
        except OSError:
            return ()
        return tuple(_printable(name.removeprefix("vmlinuz-")) for name in images)

    def _find(self, program: str) -> str | None:
        return shutil.which(program, path=clean()["PATH"] + _SBIN)

    def _say(self, program: str, *options: str) -> str:
        found = self._find(program)
        if not found:
            return ""
        try:
            return subprocess.run(
                (found, *options),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LIMIT_S,
                check=False,
                env=clean(),
            ).stdout.decode(errors="replace")
        except (OSError, subprocess.TimeoutExpired):
            return ""


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
