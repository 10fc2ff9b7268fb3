"""How the sending of traces goes: who sends them tells, and any thread may ask."""

from collections.abc import Callable
from threading import Lock

Tell = Callable[[int, str], None]
"""Says how many spans of those that were due are lost, and why; nothing if all are sent."""


class TraceStanding:
    """Counts what is lost, and knows why that is so just now. It outlives every collector."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._told_by: Tell | None = None
        self._lost = 0
        self._fault = ""

    @property
    def lost(self) -> int:
        """How many spans are lost since the daemon's start."""
        return self._lost

    @property
    def fault(self) -> str:
        """Why spans can't be sent; empty once they are again, and while nobody sends any."""
        return self._fault

    def begin(self) -> Tell:
        """Give what the next collector tells by.

        What one before that still has to let go of is counted, and says nothing of the next.
        """

        def tell(lost: int, fault: str) -> None:
            with self._lock:
                self._lost += lost
                if self._told_by is tell:
                    self._fault = fault

        with self._lock:
            self._told_by, self._fault = tell, ""
        return tell

    def end(self) -> None:
        """Note that nobody sends any more."""
        with self._lock:
            self._told_by, self._fault = None, ""
