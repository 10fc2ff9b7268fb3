"""The log of decisions: one JSON object a line, in a file that is kept small."""

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep

from supervisor.policy.limits import IN_LOG, OLDER_LOGS

_LARGEST = 5 << 20
UNLOGGED = "the decision can't be logged"
_LONGEST_LINE = 32 << 10
"""Longer than a decision: its reason has 2000 characters, of 12 bytes each in JSON at most."""
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_PATIENCE_S = 2.0
_PAUSE_S = 0.01


@dataclass(frozen=True)
class Decision:
    """What was decided of one job.

    Attributes:
        time: when it was asked for.
        runner: by whom.
        repository: of the job; empty if it was not told.
        event: as in the request's path.
        verdict: one of those that `IN_LOG` has a word for.
        reason: why not.
        duration_ms: how long it took.
        github_calls: requests that GitHub was sent for it.
    """

    time: datetime
    runner: str
    repository: str
    event: str
    verdict: str
    reason: str
    duration_ms: int
    github_calls: int


class DecisionLog:
    """Writes decisions. For any thread and any number of processes.

    Args:
        path: of the file; older ones stand beside it, with a number.
        largest: bytes, from which on a new one is begun.
        patience_s: seconds to wait for others that write.
    """

    def __init__(
        self, path: Path, largest: int = _LARGEST, patience_s: float = _PATIENCE_S
    ) -> None:
        self._patience_s = patience_s
        self._path = path
        self._largest = largest

    def write(self, decision: Decision) -> None:
        """Add a decision.

        Raises:
            OSError: it can't be written.
        """
        fields = {
            **asdict(decision),
            "time": decision.time.isoformat(timespec="milliseconds"),
            "verdict": IN_LOG[decision.verdict],
        }
        line = json.dumps(fields).encode() + b"\n"
        with self._locked():
            self._add(line)

    def probe(self) -> None:
        """See whether a decision could be added; none is.

        Raises:
            OSError: it could not.
        """
        scratch = self._numbered("probe")
        with self._locked():
            os.close(os.open(self._path, _FLAGS, 0o600))
            try:
                # A disk that is full takes an empty file, and refuses what is to be in it.
                _append(scratch, b"\0" * _LONGEST_LINE)
            finally:
                scratch.unlink(missing_ok=True)

    def trouble(self) -> str:
        """Say why no decision could be added; empty if one could."""
        try:
            self.probe()
        except OSError as error:
            return f"{UNLOGGED}: {self._path}: {error.strerror}"
        return ""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whoever holds the lock turns the files over; the lock is no file that is turned over.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(self._numbered("lock"), flags, 0o600)
        try:
            _take(lock, monotonic() + self._patience_s)
            yield
        finally:
            os.close(lock)

    def _add(self, line: bytes) -> None:
        with suppress(FileNotFoundError):
            if self._path.lstat().st_size + len(line) > self._largest:
                self._turn_over()
        _append(self._path, line)

    def _turn_over(self) -> None:
        for number in range(OLDER_LOGS - 1, 0, -1):
            older = self._numbered(str(number))
            if older.exists():
                older.replace(self._numbered(str(number + 1)))
        self._path.replace(self._numbered("1"))

    def _numbered(self, suffix: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{suffix}")


def _append(path: Path, line: bytes) -> None:
    """Add a line as a whole: half a one would spoil the next."""
    file = os.open(path, _FLAGS, 0o600)
    try:
        before = os.fstat(file).st_size
        written = os.write(file, line)
        if written != len(line):
            os.ftruncate(file, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(file)


def _take(lock: int, deadline: float) -> None:
    """Take a lock; whoever holds it may hang."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, "others keep it locked") from None
            sleep(_PAUSE_S)
        else:
            return
