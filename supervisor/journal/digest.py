"""What is made of the records that go by: runners' courses, ends unseen, and metric events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from supervisor.journal import metric_events
from supervisor.journal.courses import GONE, Course, Courses
from supervisor.observation.absence import UNSEEN
from supervisor.observation.awaited_jobs import PATIENCE_S, UNSEEN_PATIENCE_S, AwaitedJobs
from supervisor.observation.feed import Kind, Record

MetricEvent = dict[str, Any]


class Change(NamedTuple):
    """What one record has changed.

    Attributes:
        record: what has happened.
        courses: those that it has changed.
        installed: the one of a runner that can take a job only now, if its beginning was seen. Of
            one that was taken over an earlier daemon has told.
    """

    record: Record
    courses: list[Course]
    installed: Course | None

    @property
    def unseen(self) -> list[Course]:
        """Those of whose end nobody has told: a reconcile has brought it."""
        return self.courses if self.record.kind is Kind.RECONCILE else []


class Digest:
    """Makes it of each record. For one thread; knows no disk.

    Args:
        flavor: what metric events call this installation; None where none are wanted.
    """

    def __init__(self, flavor: str | None) -> None:
        self._flavor = flavor
        self._courses = Courses()
        self._awaited = AwaitedJobs[Course]()
        self._recalled: list[Course] = []

    def take(self, record: Record) -> Change:
        """Take a record into account."""
        known = self._courses.of(record.subject)
        coming = known if known and not known.installed_at else None
        courses = self._courses.take(record)
        return Change(record, courses, coming if coming and coming.installed_at else None)

    def metric_events(self, change: Change, elapsed_s: float) -> list[MetricEvent]:
        """Give those that come of a change, the oldest first. Once for each.

        Args:
            change: what a record has changed.
            elapsed_s: the time (monotonic).
        """
        if self._flavor is None:
            return []
        record, courses, installed = change
        told = self._end_recalled(elapsed_s)
        for course in courses:
            if course.ended_at:
                told += self._end(course, elapsed_s)
        if installed:
            told += metric_events.of_arrival(self._flavor, installed)
        if record.kind is Kind.RECONCILE:
            told += metric_events.of_reconcile(self._flavor, record)
        elif record.kind is Kind.JOB and (awaited := self._awaited.take(record.subject)):
            awaited.learn(record)
            told += self._events_of([awaited])
        return told

    def recall(self, known: Iterable[Course], records: Iterable[Record]) -> list[Change]:
        """Take into account what an earlier daemon has left, however late that can be read.

        Args:
            known: what it has left of runners that had not ended.
            records: all that have been taken.

        Returns:
            What each of these has changed.
        """
        records = list(records)
        self._courses = Courses(known)
        changes = [self._take_again(record) for record in records]
        # Of others metric events are made already: they were known before all was.
        heard_of = {record.subject for record in records if record.kind is Kind.RUNNER}
        self._recalled = [
            course
            for change in changes
            if change.record.kind is Kind.RECONCILE
            for course in change.courses
            if course.name not in heard_of
        ]
        return changes

    def _take_again(self, record: Record) -> Change:
        try:
            return self.take(record)
        except Exception:  # noqa: BLE001 - it could not be summed up before either
            return Change(record, [], None)

    def go_on_with(self, known: Iterable[Course]) -> list[Course]:
        """Go on with a file that is another than before; what is known here counts for more.

        Args:
            known: what it has of runners that had not ended. Those that are not there are given up
                in time.

        Returns:
            All courses that have not ended.
        """
        self._courses = Courses([*known, *self._courses.open()])
        return self._courses.open()

    def overdue(self, elapsed_s: float) -> list[MetricEvent]:
        """Give those of jobs of which GitHub has not told in time.

        Args:
            elapsed_s: the time (monotonic).
        """
        return self._end_recalled(elapsed_s) + self._events_of(self._awaited.overdue(elapsed_s))

    def rest(self) -> list[MetricEvent]:
        """Give those of all jobs that are left, at the end."""
        return self._end_recalled(0.0) + self._events_of(self._awaited.rest())

    def _end_recalled(self, elapsed_s: float) -> list[MetricEvent]:
        """Tell of those whose ends were found in what was told before they were known."""
        recalled, self._recalled = self._recalled, []
        return [event for course in recalled for event in self._end(course, elapsed_s)]

    def _end(self, course: Course, elapsed_s: float) -> list[MetricEvent]:
        """Tell of a job at its runner's end, or when GitHub has told of it."""
        job = course.job
        if job and job.can_be_looked_up and course.queue_s is None:
            patience_s = UNSEEN_PATIENCE_S if course.outcome == GONE else PATIENCE_S
            self._awaited.hold(course.name, course, elapsed_s + patience_s)
            return []
        return self._events_of([course])

    def _events_of(self, courses: Iterable[Course]) -> list[MetricEvent]:
        if self._flavor is None:
            return []
        flavor = self._flavor
        return [event for course in courses for event in metric_events.of_course(flavor, course)]


def unseen_end(course: Course, at: datetime) -> Record:
    """Tell that a runner is gone; how long it was in its last stage is not known."""
    details = {"job": dict(vars(course.job)) if course.job else None}
    return Record(at, Kind.RUNNER, course.name, GONE, course.stage, UNSEEN, 0.0, details)
