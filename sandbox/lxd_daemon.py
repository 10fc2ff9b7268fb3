"""Run a private, real LXD daemon: for tests, and for machines without systemd.

It has its own directory (`LXD_DIR`), and so its own socket, database, instances and networks. A
LXD that the machine already has is neither used nor disturbed; bridge names are the only thing
daemons share, so whoever makes a network picks a name of its own.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.lxd_leftovers import (
    LeftoversRemain,
    processes_of,
    remove_directory,
    remove_leftovers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "LeftoversRemain",
    "LxdDaemon",
    "LxdDaemonError",
    "free_subnet",
    "processes_of",
    "remove_directory",
    "remove_leftovers",
]

# A unix socket's path holds 107 bytes; LXD puts more than its own socket into the directory.
_LONGEST_DIRECTORY = 80
_NOWHERE = "http://127.0.0.1:9"


class LxdDaemonError(Exception):
    """Tell why the daemon could not be started or stopped, with the end of its log."""


class LxdDaemon:
    """One LXD daemon, started and stopped as tests and the sandbox need it.

    Not thread-safe: one owner starts and stops it.

    Args:
        directory: Its `LXD_DIR`, made if missing; holds everything. At most 80 characters.
        group: Unix group that may use its socket.
        path_entry: A directory put first in the daemon's `PATH`, for stand-ins of programs.
        memory: Size, as `mount` takes it (`"2G"`), of a memory file system mounted at the
            directory before the first start; None leaves the directory on its disk.
    """

    def __init__(
        self,
        directory: Path,
        *,
        group: str = "root",
        path_entry: Path | None = None,
        memory: str | None = None,
    ) -> None:
        if len(str(directory)) > _LONGEST_DIRECTORY:
            raise LxdDaemonError(f"{directory} is too long a path for LXD's sockets")
        self._directory = directory
        self._group = group
        self._path_entry = path_entry
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def directory(self) -> Path:
        """The daemon's `LXD_DIR`."""
        return self._directory

    @property
    def socket(self) -> Path:
        """The unix socket of its API."""
        return self._directory / "unix.socket"

    @property
    def log(self) -> Path:
        """Where it logs."""
        return self._directory / "lxd.log"

    @property
    def pid(self) -> int | None:
        """The process of the running daemon, None if this object has none."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    def start(self, *, limit_s: float = 90.0) -> None:
        """Start the daemon and return when its API answers; measured 0.6 s.

        Raises:
            LxdDaemonError: If there is no LXD on the machine, or it ends or isn't ready in time.
        """
        if self.pid is not None:
            return
        program = shutil.which("lxd")
        if program is None:
            raise LxdDaemonError("there is no lxd in the PATH; on Debian: apt-get install lxd")
        self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._mount_memory()
        self._process = subprocess.Popen(
            [program, "--group", self._group, "--logfile", str(self.log)],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # a Ctrl-C in the terminal is not for it
        )
        self._wait_ready(program, limit_s)

    def kill(self) -> None:
        """End the daemon with SIGKILL; its instances go on running."""
        self._end(signal.SIGKILL, limit_s=10.0)

    def terminate(self, *, limit_s: float = 20.0) -> None:
        """End the daemon with SIGTERM; its instances go on running."""
        self._end(signal.SIGTERM, limit_s=limit_s)

    def pause(self) -> None:
        """Stop the process where it is: its socket accepts, and nothing answers."""
        self._signal(signal.SIGSTOP)
        if self.pid is not None:  # its threads may go on for a moment, and answer
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def shut_down(self, *, instances_limit_s: int = 10, limit_s: float = 60.0) -> None:
        """Stop all instances (those not down in time by force), networks, and the daemon."""
        if self.pid is None:
            return
        self._lxd("shutdown", f"--timeout={instances_limit_s}", limit_s=limit_s)
        self._reap(limit_s)

    def destroy(self) -> None:
        """Remove the daemon and all it ever made, its directory included; works from any state.

        This is the way that cleans up after a killed run too, so it is always well trodden: it
        doesn't ask the daemon, which may be the thing that is broken.
        """
        if self.pid is not None:
            self.kill()
        remove_directory(self._directory)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LXD_")}
        for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
            kept.pop(name, None)
        # At its start LXD asks a public image server for a list nobody here needs.
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            kept[name] = _NOWHERE
        if self._path_entry is not None:
            kept["PATH"] = f"{self._path_entry}{os.pathsep}{kept.get('PATH', os.defpath)}"
        # The resolved path is what tells this daemon's processes from others' later.
        directory = str(self._directory.resolve())
        # A place without templates: so LXD leaves out lxcfs, whose views of /proc no guest here
        # needs, and whose hook has each container end half a second later
        # (/usr/share/lxcfs/lxc.reboot.hook).
        return {**kept, "LXD_DIR": directory, "LXD_LXC_TEMPLATE_CONFIG": directory}

    def _mount_memory(self) -> None:
        if self._memory is None or os.path.ismount(self._directory):
            return
        options = f"size={self._memory},mode=711"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "lxd-sandbox", str(self._directory)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LxdDaemonError(f"no memory file system at {self._directory}: {done.stderr}")

    def _wait_ready(self, program: str, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        # LXD's own waiting program knows when the API is complete, not only when it listens.
        with subprocess.Popen(
            [program, "waitready", f"--timeout={max(1, int(limit_s))}"],
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as waiting:
            while waiting.poll() is None and self.pid is not None and time.monotonic() < deadline:
                time.sleep(0.01)
            waiting.kill()
        if waiting.returncode != 0:
            self._end(signal.SIGKILL, limit_s=10.0)
            raise LxdDaemonError(f"LXD isn't ready within {limit_s:g} s\n{self._end_of_log()}")

    def _end_of_log(self) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
        except OSError as error:
            return f"(no log: {error})"

    def _end(self, number: signal.Signals, *, limit_s: float) -> None:
        self._signal(number)
        self._reap(limit_s)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _reap(self, limit_s: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            raise LxdDaemonError(
                f"LXD (process {self._process.pid}) doesn't end within {limit_s:g} s"
            ) from error
        self._process = None

    def _lxd(self, *arguments: str, limit_s: float) -> None:
        try:
            done = subprocess.run(
                ["lxd", *arguments],
                env=self._environment(),
                capture_output=True,
                text=True,
                check=False,
                timeout=limit_s,
            )
        except subprocess.TimeoutExpired as error:
            raise LxdDaemonError(f"lxd {arguments[0]} takes more than {limit_s:g} s") from error
        if done.returncode != 0:
            raise LxdDaemonError(f"lxd {arguments[0]}: {done.stderr.strip()}")


@contextmanager
def free_subnet() -> Iterator[str]:
    """Give a private /24 as LXD wants it (`10.x.y.1/24`) that no route of this machine covers.

    Until this is left nobody else is given it. A network that is there has a route, but one whose
    daemon is restarted is away for a while: who restarts daemons stays for as long as they live.

    LXD's own choice (`auto`) pings candidates, and where the surroundings answer for every
    address it finds none free.
    """
    candidates = [
        f"{start}.{third}" for start in ("10.187", "172.29", "192.168") for third in range(20, 220)
    ]
    # By chance, so that one that is away for a while is hardly ever hit if nobody holds it.
    secrets.SystemRandom().shuffle(candidates)
    for candidate in candidates:
        with socket.socket(socket.AF_UNIX) as mark:
            try:
                # An abstract name: of this network namespace, and gone with this process.
                mark.bind(f"\0github-runner-supervisor-subnet-{candidate}")
            except OSError:
                continue
            if not _is_routed(ipaddress.IPv4Network(f"{candidate}.0/24")):
                yield f"{candidate}.1/24"
                return
    raise LxdDaemonError("no private network is free; name one in the configuration")


def _is_routed(wanted: ipaddress.IPv4Network) -> bool:
    listing = subprocess.run(
        ["ip", "-4", "route", "show", "table", "all"], capture_output=True, text=True, check=True
    ).stdout
    return any((found := _network(word)) and wanted.overlaps(found) for word in listing.split())


def _network(word: str) -> ipaddress.IPv4Network | None:
    """Read a word of a routing table: most are no network, and a default route isn't one."""
    try:
        network = ipaddress.IPv4Network(word, strict=False)
    except ValueError:
        return None
    return network if network.prefixlen else None
