"""A machine to install on: Debian, systemd and a LXD of its own, in a container of a private LXD.

The container is privileged and nests: so its root mounts file systems, as on a machine of metal,
and its LXD runs containers. It reaches this host's end of the bridge, and nothing beyond.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from whole_machine_image import IMAGE

from sandbox.private_lxd import PrivateLxd, private_lxd
from supervisor.gateways.lxd import Lxd
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LIMIT_S = 60.0
_NAME = "machine"
_ALIAS = "machine"
_LOOP_DEVICES = ("b 7:* rwm", "c 10:237 rwm")


class CommandFailed(Exception):
    """A command in the machine failed; the message holds what it said."""


class Machine:
    """The machine, running.

    Attributes:
        host: The address at which it reaches this host.
    """

    def __init__(self, lxd: PrivateLxd) -> None:
        self._lxd = lxd
        self._environment = {**os.environ, "LXD_DIR": str(lxd.daemon.directory)}
        self.host = str(Lxd(lxd.endpoint).bridge_address(lxd.network).ip)

    def run(
        self,
        *command: str,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        limit_s: float = LIMIT_S,
        check: bool = True,
    ) -> str:
        """Run a command as root and return what it wrote to its standard output.

        Raises:
            CommandFailed: It did not end with 0, and `check` is set.
            subprocess.TimeoutExpired: It did not end.
        """
        done = self.attempt(*command, stdin=stdin, environment=environment, limit_s=limit_s)
        if check and done.returncode:
            raise CommandFailed(
                f"{' '.join(command)}: {done.returncode}\n{(done.stdout + done.stderr)[-6000:]}"
            )
        return done.stdout

    def attempt(
        self,
        *command: str,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        limit_s: float = LIMIT_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root that may fail."""
        given = [f"--env={name}={value}" for name, value in (environment or {}).items()]
        return self._lxc("exec", _NAME, *given, "--", *command, stdin=stdin, limit_s=limit_s)

    def push(self, source: Path, target: str) -> None:
        """Copy a file, or a directory with all that is below it, to an absolute path."""
        self.run("mkdir", "-p", str(Path(target).parent))
        packed = ("tar", "--create", "--directory", str(source.parent), source.name)
        name = Path(target).name
        unpacked = ("tar", "--extract", "--no-same-owner", f"--transform=s,^{source.name},{name},")
        command = self._command("exec", _NAME, "--", *unpacked, "-C", str(Path(target).parent))
        with subprocess.Popen(packed, stdout=subprocess.PIPE) as packing:
            subprocess.run(
                command, env=self._environment, stdin=packing.stdout, check=True, timeout=LIMIT_S
            )
        assert packing.returncode == 0, f"{source} can't be read"

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Write a file."""
        self.run("install", "-D", f"--mode={mode:o}", "/dev/stdin", path, stdin=text)

    def read(self, path: str) -> str:
        """Read a file."""
        return self.run("cat", path)

    def systemctl(self, *arguments: str) -> str:
        """Run systemctl and return what it says."""
        return self.run("systemctl", "--no-pager", *arguments)

    def show(self, unit: str, key: str) -> str:
        """Return a property of a unit."""
        return self.systemctl("show", f"--property={key}", "--value", unit).strip()

    def journal(self, unit: str, lines: int = 60) -> str:
        """Quote the last lines of a unit."""
        return self.run("journalctl", "--no-pager", f"--unit={unit}", f"--lines={lines}")

    def reboot(self) -> None:
        """Have it reboot, and return when all is started."""
        before = self._boot()
        self.attempt("systemctl", "reboot")
        self.wait_started(but=before)

    def wait_started(self, but: str = "") -> None:
        """Wait until systemd has started all that is to be started.

        Args:
            but: The boot that is not meant.
        """
        wait_until(lambda: self._boot() not in {"", but}, "the machine boots")
        said = "nothing"

        def is_started() -> bool:
            nonlocal said
            # Without a bus it can't wait, and says so at once.
            said = self.attempt("systemctl", "is-system-running", "--wait").stdout.strip()
            return said in {"running", "degraded"}

        wait_until(is_started, "systemd has started all")
        failed = self.systemctl("list-units", "--failed", "--plain", "--no-legend")
        assert said == "running", f"started, but for {failed}"

    def pid(self) -> int:
        """Return its first process, as this host numbers it."""
        url = f"/1.0/instances/{_NAME}/state?project={self._lxd.project}"
        answer = subprocess.run(
            ["lxc", "query", url], env=self._environment, capture_output=True, check=True
        )
        pid: int = json.loads(answer.stdout)["pid"]
        return pid

    def root(self) -> Path:
        """Return its files as this host sees them, until it reboots."""
        return Path(f"/proc/{self.pid()}/root")

    def _boot(self) -> str:
        return self.attempt("cat", "/proc/sys/kernel/random/boot_id").stdout.strip()

    def _command(self, *arguments: str) -> list[str]:
        return ["lxc", f"--project={self._lxd.project}", *arguments]

    def _lxc(
        self, *arguments: str, stdin: str = "", limit_s: float = LIMIT_S, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*arguments),
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=check,
            timeout=limit_s,
        )

    def start(self, image: str) -> None:
        """Make it of an image, and return when all is started."""
        lxd = self._lxd
        allowed = [f"lxc.{_device_controller()}.devices.allow = {rule}" for rule in _LOOP_DEVICES]
        settings = {
            "security.nesting": "true",
            "security.privileged": "true",
            "raw.lxc": "\n".join(allowed),
        }
        place = (f"--profile={lxd.profile}", f"--storage={lxd.pool}", f"--network={lxd.network}")
        chosen = [f"--config={key}={value}" for key, value in settings.items()]
        self._lxc("launch", image, _NAME, *place, *chosen, check=True)
        self.wait_started()


def _device_controller() -> str:
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return "cgroup2" if unified else "cgroup"


@contextmanager
def running_machine() -> Iterator[Machine]:
    """Run one, on a LXD that is there for it alone; all is gone afterwards."""
    metadata, rootfs = IMAGE.build()
    with private_lxd(memory="8G", timeout_s=30) as lxd:
        machine = Machine(lxd)
        machine._lxc("image", "import", str(metadata), str(rootfs), f"--alias={_ALIAS}", check=True)
        machine.start(_ALIAS)
        yield machine
