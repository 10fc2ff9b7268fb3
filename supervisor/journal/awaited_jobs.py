"""Jobs that have ended, until GitHub has told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from supervisor.observation.feed import Kind

if TYPE_CHECKING:
    from supervisor.observation.feed import Record

PATIENCE_S = 60.0
"""For so long GitHub may take to tell of a job, from its runner's end on."""
UNSEEN_PATIENCE_S = 900.0
"""The same where it alone can tell how that ended: many may have while no daemon listened."""

T = TypeVar("T")


class AwaitedJobs(Generic[T]):
    """Holds what is known of each, by the name of its runner. For one thread at a time."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[T, float]] = {}

    def hold(self, name: str, what: T, until: float) -> None:
        """Hold one back until then (monotonic, seconds)."""
        self._held[name] = what, until

    def take(self, record: Record) -> list[T]:
        """Give what is held of the job of which GitHub has told, if that is any."""
        if record.kind is not Kind.JOB or record.subject not in self._held:
            return []
        what, _ = self._held.pop(record.subject)
        return [what]

    def overdue(self, now: float) -> list[T]:
        """Give those that have been held for long enough (monotonic, seconds)."""
        names = [name for name, (_, until) in self._held.items() if until <= now]
        return [self._held.pop(name)[0] for name in names]

    def rest(self) -> list[T]:
        """Give all that are left."""
        return self.overdue(float("inf"))
