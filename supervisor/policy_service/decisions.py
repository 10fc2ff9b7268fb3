"""The log of decisions: one JSON object a line, in a file that is kept small."""

import errno
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep

_LARGEST = 5 << 20
_KEPT = 4
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
        verdict: `pass`, `fail`, or `error` where it could not be checked.
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
        fields = {**asdict(decision), "time": decision.time.isoformat(timespec="milliseconds")}
        line = json.dumps(fields).encode() + b"\n"
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whoever holds the lock turns the files over; the lock is no file that is turned over.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(self._numbered("lock"), flags, 0o600)
        try:
            _take(lock, monotonic() + self._patience_s)
            self._add(line)
        finally:
            os.close(lock)

    def _add(self, line: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(self._path, flags, 0o600)
        try:
            if os.fstat(file).st_size + len(line) > self._largest:
                os.close(file)
                self._turn_over()
                file = os.open(self._path, flags, 0o600)
            if os.write(file, line) != len(line):
                raise OSError("the decision was written in part")
        finally:
            os.close(file)

    def _turn_over(self) -> None:
        for number in range(_KEPT - 1, 0, -1):
            older = self._numbered(str(number))
            if older.exists():
                older.replace(self._numbered(str(number + 1)))
        self._path.replace(self._numbered("1"))

    def _numbered(self, suffix: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{suffix}")


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
