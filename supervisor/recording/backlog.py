"""What was told and is not in the journal yet, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from loguru import logger

from supervisor.gateways.journal_store import JournalStore
from supervisor.journal.courses import Course
from supervisor.journal.digest import Change, Digest, MetricEvent, unseen_end
from supervisor.observation import life_lines
from supervisor.observation.feed import Record
from supervisor.recording.inbox import JournalInbox


class JournalBacklog:
    """Takes what the inbox holds, and holds it until it is written. For one thread.

    When there is no room for more, the newest are lost.

    Args:
        inbox: what is told.
        flavor: what metric events call this installation; None where none are wanted.
        missed: is told of each runner whose end nobody has told of, as far as is known here.
    """

    def __init__(
        self, inbox: JournalInbox, flavor: str | None, missed: Callable[[Course], object]
    ) -> None:
        self._inbox = inbox
        self._missed = missed
        self._digest = Digest(flavor)
        self._records: list[Record] = []
        self._courses: dict[str, Course] = {}
        self._is_recalled = False

    def __bool__(self) -> bool:
        return bool(self._records or self._courses)

    @property
    def held(self) -> int:
        """How many records are not written yet. For any thread."""
        return len(self._records)

    def take(self, records: Sequence[Record], now_s: float) -> list[MetricEvent]:
        """Take records into account, and give the metric events that come of it and of the time.

        Args:
            records: the next ones.
            now_s: the time (monotonic).
        """
        events: list[MetricEvent] = []
        for record in records:
            self._keep(record)
            try:
                events += self._sum_up(record, now_s)
            except Exception as error:  # noqa: BLE001 - the event itself is written, and the others
                _log(record.subject, error)
        return events + _made(lambda: self._digest.overdue(now_s))

    def _sum_up(self, record: Record, now_s: float) -> list[MetricEvent]:
        change = self._digest.take(record)
        for course in change.courses:
            if course.name in self._courses or len(self._courses) < self._inbox.room:
                self._courses[course.name] = course
        events = self._digest.metric_events(change, now_s)
        if self._is_recalled:  # else it is all gone through again then
            self._tell_unseen(change)
        return events

    def recall(self, store: JournalStore) -> None:
        """Find what an earlier daemon has left, once. Nothing is written before that is known.

        Raises:
            JournalError: it can't be read.
        """
        if self._is_recalled:
            return
        changes = self._digest.recall(store.open_courses(), self._records)
        self._is_recalled = True
        self._hold(course for change in changes for course in change.courses)
        self._records = []
        for change in changes:
            self._keep(change.record)
            self._tell_unseen(change)

    def go_on_with(self, store: JournalStore) -> None:
        """Go on with a file that is another than before: all that is known is written to it.

        Raises:
            JournalError: it can't be read.
        """
        self._hold(self._digest.go_on_with(store.open_courses()))

    def _tell_unseen(self, change: Change) -> None:
        """Have journal and log tell of runners' ends that nobody else tells of."""
        for course in change.unseen:
            end = unseen_end(course, change.record.at)
            self._keep(end)
            life_lines.tell_end(end)
        for course in change.unseen:
            try:
                self._missed(course)
            except Exception as error:  # noqa: BLE001 - what others make of it costs no record
                _log(course.name, error)

    def _keep(self, record: Record) -> None:
        """Hold a record until it is written, if there is room."""
        if len(self._records) < self._inbox.room:
            self._records.append(record)
        else:
            self._inbox.lose(1)

    def _hold(self, courses: Iterable[Course]) -> None:
        self._courses = {course.name: course for course in courses}

    def write(self, store: JournalStore) -> None:
        """Have all that is held be written.

        Raises:
            JournalError: it can't be; it is held.
        """
        self._inbox.lose(store.write(self._records, self._courses.values()))
        self._records, self._courses = [], {}

    def give_up(self) -> list[MetricEvent]:
        """Count as lost what is not written, and give the metric events of jobs that are left."""
        self._inbox.lose(len(self._records))
        self._records = []
        return _made(self._digest.rest)


def _made(make: Callable[[], list[MetricEvent]]) -> list[MetricEvent]:
    """Give the metric events of jobs; none, with a line in the log, if that fails."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - what is written needs none
        _log("jobs", error)
        return []


def _log(subject: str, error: Exception) -> None:
    logger.opt(exception=error).error("what has happened to {} could not be summed up", subject)
