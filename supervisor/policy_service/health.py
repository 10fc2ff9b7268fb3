"""Whether the service is of use: it answers, and GitHub answers it."""

from threading import Lock
from time import monotonic

from supervisor.policy_service.judge import Judge

_HOLDS_S = 10.0


class Health:
    """Asks GitHub but seldom, as anybody may ask for the health. For any thread.

    Args:
        judge: asks GitHub.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._lock = Lock()
        self._trouble = "GitHub has not answered yet"
        self._until = 0.0

    def trouble(self) -> str:
        """Say why GitHub can't be asked; empty if it can."""
        if self._lock.acquire(blocking=False):
            try:
                self._refresh()
            finally:
                self._lock.release()
        return self._trouble  # while GitHub is being asked, what was last known

    def _refresh(self) -> None:
        if monotonic() >= self._until:
            self._trouble = self._judge.ping()
            self._until = monotonic() + _HOLDS_S
