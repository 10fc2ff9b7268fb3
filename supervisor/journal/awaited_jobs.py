"""Jobs that have ended, until it is known how long they had waited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from supervisor.observation.feed import Kind

if TYPE_CHECKING:
    from supervisor.journal.courses import Course
    from supervisor.observation.feed import Record

PATIENCE_S = 60.0
"""For so long GitHub may take to tell of a job, from its runner's end on."""


@dataclass(frozen=True)
class _Held:
    course: Course
    until: float


class AwaitedJobs:
    """Holds the course of each one's runner, for a minute at most. For one thread."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def hold(self, course: Course, now: float) -> None:
        """Hold one back from now on (monotonic, seconds)."""
        self._held[course.name] = _Held(course, now + PATIENCE_S)

    def take(self, record: Record) -> list[Course]:
        """Give the course of a job of which GitHub has told, with what that was, if it is held."""
        if record.kind is not Kind.JOB or record.subject not in self._held:
            return []
        course = self._held.pop(record.subject).course
        course.queue_s = record.details["queue_s"]
        return [course]

    def overdue(self, now: float) -> list[Course]:
        """Give those that have been held for long enough (monotonic, seconds)."""
        names = [name for name, held in self._held.items() if held.until <= now]
        return [self._held.pop(name).course for name in names]

    def rest(self) -> list[Course]:
        """Give all that are left."""
        return self.overdue(float("inf"))
