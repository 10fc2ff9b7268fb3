"""Programs of this machine, run within a limit and with nothing of our own environment."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""By prctl(2), which holds beyond an exec: it goes to the program, not to what that starts."""
_GRACE_S = 10.0
_LONGEST = 400


@dataclass(frozen=True)
class Done:
    """How a program has ended.

    Attributes:
        code: its exit code; 124 if it was not done within its limit, 127 if it can't be started.
        out: what it has printed.
        err: what it has said of errors.
    """

    code: int
    out: str = ""
    err: str = ""

    @property
    def reason(self) -> str:
        """Why it failed, in one line: the last that it said, as its conclusion stands there."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        errors = [line for line in lines if line.lower().startswith(("error", "e:"))]
        said = (errors or lines or [f"it ended with {self.code} and said nothing"])[-1]
        return "".join(c if c.isprintable() else " " for c in said).strip()[:_LONGEST]


class Commands:
    """How programs are run.

    A PYTHONPATH, or what else our own interpreter was started with, would be the undoing of theirs.
    """

    def run(
        self,
        *command: str | Path,
        limit_s: float,
        environment: Mapping[str, str] | None = None,
        ends_with_us: bool = False,
    ) -> Done:
        """Run a program to its end, or to that of its limit, then with all that it has started.

        Args:
            command: the program and its arguments, which others on this machine can read.
            limit_s: seconds.
            environment: what it is told besides where programs are.
            ends_with_us: the kernel kills it when we are killed, so that it is in the way of
                nobody who begins anew. Not for a package manager, which is best let end.
        """
        prefix = _ENDS_WITH_US if ends_with_us else ()
        try:
            process = subprocess.Popen(
                (*prefix, *map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env={**clean(), **(environment or {})},
                start_new_session=True,
                umask=0o022,
            )
        except OSError as error:
            return Done(127, err=f"{command[0]}: {error.strerror}")
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            out, err = _end(process)
            err += f"\nerror: it was not done within {limit_s:g} s".encode()
            return Done(124, out.decode(errors="replace"), err.decode(errors="replace"))
        return Done(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def clean() -> dict[str, str]:
    """Give the environment that programs are run with."""
    return {"PATH": _PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"}


def _end(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """End a program and its children: asked first, as a package manager is best not killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=_GRACE_S)
    return b"", b""
