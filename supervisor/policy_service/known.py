"""What is known of something that is not looked at each time that somebody asks."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

DISK_HOLDS_S = 2.0


class Known:
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
        """Say what is wrong; empty if nothing is."""
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
