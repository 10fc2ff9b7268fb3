"""Look at the machine, and install on it what the sandbox needs."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from sandbox.lxd_choice import Answer, Machine
from supervisor.gateways.lxd import Lxd, LxdEndpoint, LxdError

_INSTALL_LIMIT_S = 900
_PROBE_TIMEOUT_S = 10
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"


class InstallError(Exception):
    """Something could not be installed; the message holds the end of what the program said."""


def look(endpoint: LxdEndpoint) -> Machine:
    """Find out what decides about LXD; changes nothing."""
    return Machine(
        system=platform.system(),
        distribution=_distribution(),
        answer=ask(endpoint),
        has_lxd=has_program("lxd"),
        has_busybox=has_program("busybox"),
        has_nft=has_program("nft"),
        has_apt=has_program("apt-get"),
        has_systemd=Path("/run/systemd/system").is_dir(),
        has_snapd=has_program("snap") and Path("/run/snapd.socket").exists(),
        is_root=is_root(),
        can_sudo=_can_sudo(),
    )


def ask(endpoint: LxdEndpoint) -> Answer:
    """Ask the LXD there whether it can run containers for us."""
    socket = endpoint.find_socket()
    try:
        if not socket.is_socket():
            return Answer.NONE
        if not os.access(socket, os.R_OK | os.W_OK):
            return Answer.DENIED
        info = Lxd(LxdEndpoint(socket, timeout_s=_PROBE_TIMEOUT_S)).server()
    except PermissionError:
        return Answer.DENIED
    except LxdError:
        return Answer.NONE  # the socket of a daemon that is gone
    return Answer.READY if info.containers else Answer.UNABLE


def has_program(name: str) -> bool:
    """Tell whether a program is installed, also where only root's PATH leads."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}") is not None


def is_root() -> bool:
    """Tell whether this process is root's."""
    return os.geteuid() == 0


def install_packages(packages: tuple[str, ...]) -> None:
    """Install Debian packages, without those that they merely recommend.

    Raises:
        InstallError: They can't be had.
    """
    install = ("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)
    try:
        as_root(*install)
    except InstallError:
        # The machine may never have fetched its lists of packages, or too long ago.
        as_root("apt-get", "update", "-q")
        as_root(*install)


def as_root(*command: str) -> None:
    """Run a program as root, by sudo if we aren't.

    Raises:
        InstallError: It failed, or took too long.
    """
    environment = ("env", "DEBIAN_FRONTEND=noninteractive", f"PATH={_SYSTEM_PATH}")
    sudo = () if is_root() else ("sudo",)
    try:
        done = subprocess.run(
            (*sudo, *environment, *command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_INSTALL_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise InstallError(f"{' '.join(command)} failed ({done.returncode}): {said}")


def go_on_as_root() -> NoReturn:
    """Replace this process by one that runs the same command as root.

    Raises:
        InstallError: sudo can't be run.
    """
    kept = ("LXD_DIR", "LXD_SOCKET", "NO_COLOR", "TERM", "CI", "LANG")
    # Root's compiled modules would stay in the tree of a user who can't remove them.
    given = ["PYTHONDONTWRITEBYTECODE=1"]
    given += [f"{name}={os.environ[name]}" for name in kept if name in os.environ]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp("sudo", ["sudo", "env", *given, sys.executable, *sys.argv])  # noqa: S606 - a list
    except OSError as error:
        raise InstallError(f"sudo: {error}") from error


def _can_sudo() -> bool:
    if not has_program("sudo"):
        return False
    if sys.stdin.isatty():
        return True
    try:
        done = subprocess.run(
            ["sudo", "-n", "true"], capture_output=True, check=False, timeout=_PROBE_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _distribution() -> frozenset[str]:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return frozenset()
    return frozenset({release["ID"], *release.get("ID_LIKE", "").split()})
