"""pip, run for an environment: within limits of time and output, and told its secrets by files.

It is the daemon's own, and installs into others' environments (`--python`): these have none, which
takes seconds to put there. https://pip.pypa.io/en/stable/topics/python-option

A Python runs what lies in its environment when it starts (`.pth` files, also with `-I`), and so
would a package run as the daemon's user. So pip works in an environment only while that is empty.
https://docs.python.org/3/library/site.html
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import TYPE_CHECKING

from supervisor.gateways import capabilities
from supervisor.gateways.http_session import CERTIFICATES
from supervisor.gateways.private_file import write_whole
from supervisor.policy.package import GUNICORN, release_of

if TYPE_CHECKING:
    from supervisor.policy.package import PackageSource, Release
    from supervisor.web.proxies import Proxies

_LIMIT_S = 900.0
_MOST_OUTPUT = 32 << 20
_KEPT_LINES = 200
_LONGEST_REASON = 400
_PIECE = 1 << 16
_READABLE = 0o022
"""Whom the service runs as must be able to read what is installed."""


class PipFailed(Exception):
    """It did not do what it was to; the message says why in one line, without secrets."""


@dataclass(frozen=True)
class Pip:
    """How it is run.

    Attributes:
        source: what it gets, and where from.
        proxies: what it goes through.
        temporary: a directory of the daemon's own, in which files of one run are made.
        interpreter: the Python that has pip.
    """

    source: PackageSource
    proxies: Proxies
    temporary: Path
    interpreter: Path = Path(sys.executable)

    def install(self, python: Path) -> Release:
        """Install it, with all that it needs, in the environment of this Python, which is empty.

        Returns:
            What was installed.

        Raises:
            PipFailed: it could not be installed; the environment is of no use.
            OSError: files for it can't be written.
        """
        return self._run(f"--python={python}", "install")

    def planned(self) -> Release:
        """Say what would be installed now in an environment that is empty; nothing is.

        Raises:
            PipFailed: it does not say.
            OSError: files for it can't be written.
        """
        return self._run("install", "--dry-run", "--ignore-installed")

    def _run(self, *command: str) -> Release:
        with TemporaryDirectory(prefix="pip-", dir=self.temporary) as name:
            home = Path(name)
            write_whole(home / ".netrc", self.source.netrc())
            write_whole(home / "requirements.txt", self.source.requirements(GUNICORN))
            report = home / "report.json"
            self._run_in(home, (*command, f"--report={report}"))
            try:
                return release_of(report.read_text(encoding="utf-8"))
            except ValueError as error:
                raise PipFailed(str(error)) from error

    def _run_in(self, home: Path, command: tuple[str, ...]) -> None:
        whole = (
            *(str(self.interpreter), "-I", "-m", "pip", "--no-input", "--no-color"),
            *("--disable-pip-version-check", "--no-cache-dir", "--timeout=15", "--retries=2"),
            *(*command, "--progress-bar=off", f"--requirement={home / 'requirements.txt'}"),
        )
        try:
            process = subprocess.Popen(
                capabilities.without(whole),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=home,
                env=self._environment(home),
                start_new_session=True,
                umask=_READABLE,
            )
        except OSError as error:
            raise PipFailed(f"can't start pip: {self.interpreter}: {error.strerror}") from error
        fault, lines = _follow(process, _LIMIT_S)
        if fault or process.returncode:
            raise PipFailed(self._without_secrets(fault or _reason(lines)))

    def _environment(self, home: Path) -> dict[str, str]:
        given = {name: os.environ[name] for name in CERTIFICATES if name in os.environ}
        given |= {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        given |= {"HOME": str(home), "TMPDIR": str(home), "GIT_TERMINAL_PROMPT": "0"}
        for scheme, proxy in (("http", self.proxies.http), ("https", self.proxies.https)):
            if proxy:
                given[f"{scheme}_proxy"] = proxy.url
        if self.proxies:
            given["no_proxy"] = ",".join(self.proxies.exceptions)
        if self.source.is_elsewhere:
            given["PIP_CONFIG_FILE"] = os.devnull
        return given

    def _without_secrets(self, text: str) -> str:
        for secret in (*self.source.secrets(), *self.proxies.secrets()):
            text = text.replace(secret, "[secret]")
        return text


def _follow(process: subprocess.Popen[bytes], limit_s: float) -> tuple[str, list[str]]:
    """Wait for its end; give what has ended it if that was not itself, and what it said last."""
    faults: list[str] = []

    def end(fault: str) -> None:
        faults.append(fault)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    late = Timer(limit_s, end, (f"pip was not done within {limit_s:.0f} s",))
    late.daemon = True
    late.start()
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    said, rest = 0, b""
    try:
        assert process.stdout is not None  # noqa: S101 - asked for by who started it
        with process.stdout as output:
            while piece := os.read(output.fileno(), _PIECE):
                said += len(piece)
                *whole, rest = (rest + piece)[-2 * _PIECE :].split(b"\n")
                lines.extend(line.decode(errors="replace") for line in whole)
                if said > _MOST_OUTPUT and not faults:
                    end(f"pip said more than {_MOST_OUTPUT >> 20} MiB")
        process.wait()
    finally:
        late.cancel()
        with suppress(ProcessLookupError):  # what it has started
            os.killpg(process.pid, signal.SIGKILL)
    lines.append(rest.decode(errors="replace"))
    return (faults[0] if faults else ""), list(lines)


def _reason(lines: list[str]) -> str:
    """Find what says best why pip has failed."""
    told = ["".join(c if c.isprintable() else " " for c in line).strip() for line in lines]
    # Of what it has run it says only that it failed, after that one's own words.
    failed = [
        line.removeprefix("\N{MULTIPLICATION SIGN} ")
        for line in told
        if line[:1] == "\N{MULTIPLICATION SIGN}"
    ]
    errors = [line for line in told if line.lower().startswith("error:")]
    errors = [line for line in errors if not line.endswith("subprocess-exited-with-error")]
    if any(line.startswith("git ") for line in failed):
        errors[:0] = [line for line in told if line.startswith("fatal:")]
    spoken = list(filter(None, reversed(told)))
    reason = next(iter(errors or failed or spoken), "it says nothing")
    return f"pip: {reason[:_LONGEST_REASON]}"
