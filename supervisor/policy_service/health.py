"""Whether the service is of use: GitHub answers it, and its disk takes what it writes."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

from supervisor.policy_service.judge import Judge

_GITHUB_HOLDS_S = 10.0
_DISK_HOLDS_S = 2.0


class Health:
    """Looks but seldom, as anybody may ask for the health. For any thread.

    Args:
        judge: asks GitHub, and knows what it needs besides.
    """

    def __init__(self, judge: Judge) -> None:
        self._disk = _Known(judge.unable, _DISK_HOLDS_S, "its directory is being looked at")
        self._github = _Known(judge.ping, _GITHUB_HOLDS_S, "GitHub has not answered yet")

    def trouble(self) -> str:
        """Say why no job can be let run; empty if one can."""
        return self._disk.trouble() or self._github.trouble()


class _Known:
    """What was found last, for a while.

    Args:
        find: says what is wrong; empty if nothing is.
        holds_s: seconds that the answer is good for.
        at_first: what is said before there is one.
    """

    def __init__(self, find: Callable[[], str], holds_s: float, at_first: str) -> None:
        self._find = find
        self._holds_s = holds_s
        self._trouble = at_first
        self._until = 0.0
        self._lock = Lock()

    def trouble(self) -> str:
        if self._lock.acquire(blocking=False):
            try:
                self._refresh()
            finally:
                self._lock.release()
        return self._trouble  # while it is being looked for, what was last known

    def _refresh(self) -> None:
        if monotonic() >= self._until:
            self._trouble = self._find()
            self._until = monotonic() + self._holds_s
