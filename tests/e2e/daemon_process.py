"""The daemon and its commands as real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from supervisor.cli.client import ControlClient, ControlError
from tests.e2e.waits import LIMIT_S, wait_until

if TYPE_CHECKING:
    from datetime import timedelta

CODE = Path(__file__).parents[2]


class DaemonProcess:
    """The daemon as a real process, with its configuration and its log, of each stage."""

    module = "supervisor"

    def __init__(self, directory: Path, config: dict[str, Any]) -> None:
        self.config = {"log-level": "DEBUG", **config}
        self.first_config = deepcopy(self.config)
        self.config_path = directory / "config.yaml"
        self.socket = Path(config["control"]["socket"])
        self.log = directory / "daemon.log"
        self.control = ControlClient(self.socket)
        self._process: subprocess.Popen[bytes] | None = None
        self._constants: dict[str, float | timedelta] = {}

    @property
    def pid(self) -> int:
        """The number of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    def hurry(self, constant: str, value: float | timedelta) -> None:
        """Change a time that no configuration sets, such as `supervisor.github.gate._X_S`."""
        self._constants[constant] = value

    def start(self) -> None:
        """Start it and return when it answers."""
        self.launch()
        self.ask("/v1/version")

    def launch(self) -> None:
        """Start it."""
        self.configure()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program(), "run", "--config", str(self.config_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=CODE,
                start_new_session=True,
            )

    def _program(self) -> list[str]:
        if not self._constants:
            return [sys.executable, "-m", self.module]
        lines = ["import datetime, pkgutil", "from supervisor.cli import main"]
        for constant, value in self._constants.items():
            module, _, name = constant.rpartition(".")
            lines.append(f"module = pkgutil.resolve_name({module!r})")
            lines.append(f"assert hasattr(module, {name!r})")
            lines.append(f"module.{name} = {value!r}")
        return [sys.executable, "-c", "\n".join([*lines, "main()"])]

    def configure(self, **changes: Any) -> None:
        """Write the configuration, with changes (names with underscores)."""
        self.config.update({name.replace("_", "-"): value for name, value in changes.items()})
        self.write(yaml.safe_dump(self.config))

    def write(self, text: str) -> None:
        """Write whatever into the configuration's file."""
        self.config_path.touch(mode=0o600)
        self.config_path.write_text(text)

    def reload(self, **changes: Any) -> None:
        """Change the configuration and have it read again."""
        self.configure(**changes)
        self.send(signal.SIGHUP)

    def answers(self) -> bool:
        """Tell whether it answers."""
        try:
            self.control.get("/v1/version")
        except ControlError:
            return False
        return True

    def ask(self, path: str) -> Any:
        """Ask it, again while the actor that answers is being restarted."""
        answers: list[Any] = []

        def answered() -> bool:
            assert self.exit_code() is None, f"the daemon has ended with {self.exit_code()}"
            try:
                answers.append(self.control.get(path))
            except ControlError:
                return False
            return True

        wait_until(answered, f"the daemon answers {path}")
        return answers[-1]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power failure would; it may have ended already."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def ended(self, limit_s: float = LIMIT_S) -> int:
        """Wait for its end and return its exit code."""
        assert self._process is not None
        return self._process.wait(limit_s)

    def exit_code(self) -> int | None:
        """Say how it ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Stop it in order; it must end with 0. Returns how many seconds that took."""
        began = time.monotonic()
        self.send(number)
        assert self.ended() == 0
        return time.monotonic() - began

    def cli(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command against it."""
        return run_cli(*arguments, "--socket", str(self.socket), **options)

    def crash(self, actor: str) -> None:
        """Make an actor crash; the one that answers may go with it before it has answered."""
        with suppress(ControlError):
            self.control.post(f"/v1/debug/crash/{actor}")

    def entries(self, since: int = 0) -> list[dict[str, Any]]:
        """Return what it has logged from a place in the log on (see `now`)."""
        with self.log.open("rb") as log:
            log.seek(since)
            lines = log.read().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def now(self) -> int:
        """Return the place in the log where the next line will stand."""
        return self.log.stat().st_size

    def said(self, text: str, since: int = 0) -> list[str]:
        """Return the runners (or empty names) in whose lines `text` stands at the beginning."""
        entries = self.entries(since)
        return [entry["runner"] for entry in entries if entry["message"].startswith(text)]

    def end_of_log(self, lines: int = 60) -> str:
        """Quote the last lines it wrote, from its configuration's directory."""
        if not self.log.exists():
            return "(it has not been started)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def run_cli(
    *arguments: str, user: int | None = None, limit_s: float = LIMIT_S
) -> subprocess.CompletedProcess[str]:
    """Run `supervisor-cli`, as another user if one is given."""
    program = ["-m", "supervisor"]
    if user is not None:
        # Only once it is loaded: that user need not be able to read the interpreter's files.
        become = f"os.setgroups([]); os.setgid({user}); os.setuid({user})"
        program = ["-c", f"import os; from supervisor.cli import main; {become}; main()"]
    return subprocess.run(
        [sys.executable, *program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=CODE,
        timeout=limit_s,
    )
