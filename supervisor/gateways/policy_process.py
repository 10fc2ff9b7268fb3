"""The policy service as a child process: told its settings by a pipe, watched, and ended.

It is a session of its own, so that a terminal's Ctrl-C is for the daemon alone, and all of it can
be ended at once. When the daemon dies the service ends by itself (`policy_service.server`).
"""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread, Timer
from time import monotonic, sleep
from typing import IO, TYPE_CHECKING, Any

from loguru import logger

from supervisor.gateways import capabilities
from supervisor.gateways.http_session import CERTIFICATES
from supervisor.observation.speaker import for_speaker
from supervisor.throttling.allowance import Bucket, Rate, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MODULE = "supervisor.policy_service"
_LINES = Rate(burst=100, per_s=2)
_LONGEST_LINE = 1000
_LEVELS = {"DEBUG": "DEBUG", "INFO": "DEBUG", "WARNING": "WARNING"}
"""gunicorn's, and ours: that a worker boots concerns nobody who has not asked."""
_GUNICORNS = re.compile(r"\[[^\]]*\] \[\d+\] \[(?P<level>[A-Z]+)\] (?P<text>.*)")
_STOPPED = frozenset("Tt")
_END_LIMIT_S = 30.0
"""Longer than the service itself gives its checks to end."""
_LAST_WORDS_S = 0.5
_LOOK_S = 0.5


class PolicyProcessError(Exception):
    """It can't be started; the message says what to do."""


@dataclass(frozen=True)
class Launch:
    """How it is to be started.

    Attributes:
        settings: JSON, for a pipe.
        workers: processes that answer.
        threads: of each, that answer.
        user: whom it runs as; None for the daemon's own user.
        secrets: what of the settings may stand in no log.
        program: what is run, without options; empty for the service built in.
    """

    settings: str = field(repr=False)
    workers: int
    threads: int
    user: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    program: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What a look at the processes has shown.

    Attributes:
        master_stopped: the master does nothing, as after SIGSTOP.
        workers: how many there are.
        stopped: those of them that do nothing.
    """

    master_stopped: bool
    workers: int
    stopped: frozenset[int]


class PolicyProcess:
    """One run of the service, from its start to its end. For any thread.

    Args:
        launch: how.
        listener: descriptor of the socket that it accepts connections from.
        ended: called in a thread of its own, with this, after its end.

    Raises:
        PolicyProcessError: it can't be started.
    """

    def __init__(
        self, launch: Launch, listener: int, ended: Callable[[PolicyProcess], object]
    ) -> None:
        self._secrets = tuple(sorted(launch.secrets, key=len, reverse=True))
        self._ended = ended
        self.program = launch.program
        self._last_words = ""
        reading, writing = os.pipe()
        try:
            self._process = _spawn(launch, listener, reading)
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        self.pid = self._process.pid
        # In a thread: a pipe holds less than settings may have, and it may never read them.
        telling = (writing, launch.settings)
        Thread(target=_write, args=telling, name="policy-told", daemon=True).start()
        self._reader = Thread(target=for_speaker(self._read), name="policy-log", daemon=True)
        self._reader.start()
        Thread(target=for_speaker(self._watch), name="policy-watch", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def end(self) -> None:
        """Have it end when the checks under way are answered, or else when it is due."""
        if self.alive:
            self._process.terminate()
            late = Timer(_END_LIMIT_S, self.kill)
            late.daemon = True
            late.start()

    def kill(self) -> None:
        """End all of it at once."""
        if self.alive:
            self._signal_all(signal.SIGKILL)

    def kill_worker(self, pid: int) -> None:
        """End one worker at once; the master starts another."""
        if pid in self._workers():  # and not who has got its number since
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def look(self) -> Seen:
        """Look at its processes."""
        workers = self._workers()
        stopped = frozenset(pid for pid in workers if _state(pid) in _STOPPED)
        return Seen(_state(self.pid) in _STOPPED, len(workers), stopped)

    def epitaph(self) -> str:
        """Say how it has ended."""
        code = self._process.poll() or 0
        how = f"was killed by signal {-code}" if code < 0 else f"has ended with {code}"
        return f"the policy service {how}" + (f": {self._last_words}" if self._last_words else "")

    def last_words(self) -> str:
        """Give what it said last, or else how it has ended; after its end."""
        self._reader.join(_LAST_WORDS_S)
        return self._last_words or self.epitaph()

    def _signal_all(self, number: int) -> bool:
        """Send a signal to all of its processes; tell whether there are any."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _workers(self) -> tuple[int, ...]:
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii")
        except OSError:
            return ()
        return tuple(map(int, children.split()))

    def _watch(self) -> None:
        code = self._process.wait()
        self._reader.join(_LAST_WORDS_S)
        logger.debug("the policy service, process {}, has ended with {}", self.pid, code)
        self._ended(self)
        # Workers whose master was killed answer what they were asked, and end; or they hang.
        is_left = self._signal_all(signal.SIGTERM)
        deadline = monotonic() + _END_LIMIT_S
        while is_left and monotonic() < deadline:
            sleep(_LOOK_S)
            is_left = self._signal_all(0)
        if is_left:
            self._signal_all(signal.SIGKILL)

    def _read(self) -> None:
        allowance: Bucket | None = None
        silenced = 0
        assert self._process.stdout is not None  # noqa: S101 - asked for below
        with self._process.stdout as output:
            for line in _lines(output):
                left = take(_LINES, allowance, monotonic())
                if left is None:
                    silenced += 1
                    continue
                allowance = left
                if silenced:
                    logger.warning("the policy service said {} more lines, too fast", silenced)
                    silenced = 0
                self._log(line)

    def _log(self, line: str) -> None:
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        found = _GUNICORNS.fullmatch(line)
        level = _LEVELS.get(found["level"], "ERROR") if found else "WARNING"
        text = found["text"] if found else line
        if level != "DEBUG":
            self._last_words = text
        logger.log(level, "policy service: {}", text)


def _spawn(launch: Launch, listener: int, settings: int) -> subprocess.Popen[bytes]:
    command = (
        *(launch.program or (sys.executable, "-I", "-m", _MODULE)),
        f"--settings-fd={settings}",
        f"--listen-fd={listener}",
        f"--parent={os.getpid()}",
        f"--workers={launch.workers}",
        f"--threads={launch.threads}",
    )
    try:
        return subprocess.Popen(
            capabilities.without(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(listener, settings),
            cwd="/",
            env=_environment(),
            start_new_session=True,
            **_identity(launch.user),
        )
    except OSError as error:
        fault = f"{error.filename or command[0]}: {error.strerror}"
        if launch.user:
            fault += f"; policy.user: {launch.user} must be able to run it, with all it imports"
        raise PolicyProcessError(f"can't start the policy service: {fault}") from error


def _identity(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    found = account(user)
    if found.pw_uid == os.geteuid():  # to say so once more takes rights that it need not have
        return {}
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": ()}


def account(user: str) -> pwd.struct_passwd:
    """Find a user of this host.

    Raises:
        PolicyProcessError: there is no such user.
    """
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise PolicyProcessError(f"policy.user: this host has no user {user}") from None


def _environment() -> dict[str, str]:
    """Give what it needs of ours: nobody's secret, and which certificates are trusted."""
    trusted = {name: os.environ[name] for name in CERTIFICATES if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", **trusted}


def _write(descriptor: int, text: str) -> None:
    with suppress(BrokenPipeError), os.fdopen(descriptor, "w", encoding="utf-8") as pipe:
        pipe.write(text)


def _lines(output: IO[bytes]) -> Iterator[str]:
    """Give what is said, line by line; what is longer is cut."""
    rest_of_line = False
    while piece := output.readline(_LONGEST_LINE):
        if not rest_of_line:
            text = piece.decode(errors="replace").rstrip("\r\n")
            if text := "".join(c if c.isprintable() else " " for c in text).strip():
                yield text
        rest_of_line = not piece.endswith(b"\n")


def _state(pid: int) -> str:
    """Give a process's state in proc(5)'s letter; nothing if it has ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return status.rpartition(")")[2].split()[0]
