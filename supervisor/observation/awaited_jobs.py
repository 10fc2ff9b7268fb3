"""Jobs that have ended, until GitHub has told of them."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, TypeVar

PATIENCE_S = 60.0
"""For so long GitHub may take to tell of a job, from its runner's end on."""
UNSEEN_PATIENCE_S = 900.0
"""The same where it alone can tell how that ended: many may have while no daemon listened."""

T = TypeVar("T")


class AwaitedJobs(Generic[T]):
    """Holds what is known of each, by the name of its runner. For one thread at a time."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[float, T]] = {}
        self._ends: list[tuple[float, str]] = []  # a heap, also of some that are let go already

    def hold(self, name: str, what: T, until: float) -> None:
        """Hold one back until then (monotonic, seconds), instead of what was held of it."""
        self._held[name] = until, what
        heappush(self._ends, (until, name))

    def take(self, name: str) -> T | None:
        """Give what is held of a runner's job, if that is any, and let it go."""
        _, what = self._held.pop(name, (0.0, None))
        return what

    def overdue(self, now: float) -> list[T]:
        """Give those that have been held for long enough (monotonic, seconds), and let them go."""
        found = []
        while self._ends and self._ends[0][0] <= now:
            until, name = heappop(self._ends)
            if name in self._held and self._held[name][0] == until:
                found.append(self._held.pop(name)[1])
        return found

    def rest(self) -> list[T]:
        """Give all that are left."""
        return self.overdue(float("inf"))
