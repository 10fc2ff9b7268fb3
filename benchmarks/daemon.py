"""The real daemon, as a process of its own, against any LXD and GitHub."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from machine import Usage, usage
from typing_extensions import Self

from sandbox.github import SandboxGitHub
from supervisor.cli.client import ControlClient, ControlError

_UP_LIMIT_S = 30.0
_STOP_LIMIT_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Place:
    """An LXD that is ready for runners: its socket, and names in it.

    Attributes:
        address: the host's address that guests reach.
        version: of LXD.
    """

    socket: Path
    project: str
    pool: str
    network: str
    profile: str
    image: str
    address: str
    version: str


class Daemon:
    """Runs while it is entered; leaves its instances as they are.

    Args:
        directory: for its files.
        place: where its instances live.
        github: where its runners register.
        runners: how many at first.
        more: keys of the configuration to be set otherwise.
    """

    def __init__(
        self,
        directory: Path,
        place: Place,
        github: SandboxGitHub,
        runners: int,
        **more: Any,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self._config_path = directory / "config.yaml"
        self._log = directory / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = directory / "control.sock"
        self.client = ControlClient(self.socket)
        lxd = {
            "socket": str(place.socket),
            "project": place.project,
            "pool": place.pool,
            "network": place.network,
            "profile": place.profile,
            "image": place.image,
            "instance-type": "container",
            **more.pop("lxd", {}),
        }
        page = _free_port("127.0.0.1")
        self.metrics = f"http://127.0.0.1:{page}/metrics"
        self._config: dict[str, Any] = {
            "name": "bench",
            "path": github.org,
            "github-url": github.url,
            "token": github.token,
            "virtual-machines": runners,
            "vm-cpu": 1,
            "vm-memory": "256MiB",
            "vm-disk": "1GiB",
            "firewall": "external",
            "policy": {"mode": "off"},
            "lxd": lxd,
            "signals": {"address": place.address, "port": _free_port(place.address)},
            "control": {"socket": str(self.socket)},
            "metrics": {"port": page},
            "state-directory": str(self.socket.parent / "state"),
            **more,
        }

    def __enter__(self) -> Self:
        self._write_config()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self.launcher, "run", "--config", str(self._config_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.wait_until(self._is_listening, _UP_LIMIT_S, "come up")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    launcher: tuple[str, ...] = (sys.executable, "-m", "supervisor")

    def resize(self, runners: int) -> None:
        """Have it keep another number of runners."""
        assert self._process is not None
        self._config["virtual-machines"] = runners
        self._write_config()
        self._process.send_signal(signal.SIGHUP)

    def reconcile(self) -> None:
        """Have it look at both sides at once."""
        self.client.post("/v1/reconcile")

    def stages(self) -> dict[str, int]:
        """Return how many runners are in which stage."""
        stages: dict[str, int] = self.client.get("/v1/status")["stages"]
        return stages

    def present(self) -> int:
        """Return how many runners can take a job, or have one."""
        present: int = self.client.get("/v1/status")["present"]
        return present

    def usage(self) -> Usage:
        """Return what it has used so far."""
        assert self._process is not None
        return usage(self._process.pid)

    def wait_until(self, holds: Any, limit_s: float, what: str, *, poll_s: float = _POLL_S) -> None:
        """Ask until it holds.

        Args:
            holds: asks.
            limit_s: for so long at most.
            what: the daemon does until then.
            poll_s: seconds between two questions, which cost the daemon something.

        Raises:
            TimeoutError: it does not.
            RuntimeError: the daemon has ended.
        """
        deadline = time.monotonic() + limit_s
        while not holds():
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"the daemon has ended:\n{self._end_of_log()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"did not {what} in {limit_s:g} s:\n{self._end_of_log()}")
            time.sleep(poll_s)

    def _is_listening(self) -> bool:
        """Tell whether it hears LXD and has looked at everything once."""
        try:
            return (
                self.actor("events").get("state") == "listening"
                and self.actor("fleet").get("state") == "keeping"
            )
        except ControlError:
            return False

    def actor(self, name: str) -> dict[str, Any]:
        """Return an actor's place in the tree; empty if it has none yet."""
        nodes = [self.client.get("/v1/tree")]
        for node in nodes:
            if node["id"] == name:
                return dict(node)
            nodes += node["children"]
        return {}

    def _end_of_log(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])

    def _write_config(self) -> None:
        new = self._config_path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(yaml.safe_dump(self._config))
        new.replace(self._config_path)


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
