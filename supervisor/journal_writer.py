"""Takes what the journal's inbox holds, and has it written down, in a thread of its own.

What can't be written is held and tried again; when there is no room for more, the newest are lost.
The metric log is another file, maybe on another disk: it gets the events of all that comes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from loguru import logger

from supervisor.feed import Record
from supervisor.gateways.journal_schema import JournalCorrupt, JournalError, JournalTooNew
from supervisor.gateways.journal_store import JournalStore, Keeping
from supervisor.gateways.metric_log import MetricLog
from supervisor.journal.courses import Course
from supervisor.journal.digest import Digest, MetricEvent
from supervisor.journal.wall_clock import BELIEVED_AFTER_S, WallClock
from supervisor.journal_inbox import JournalInbox

_GATHER_S = 1.0
"""What comes within so long is written together: that costs less."""
_PRUNE_S = 60.0
_PRUNE_ON_S = 0.05
"""Until the next step of a pruning that has more to do."""


@dataclass(frozen=True)
class JournalStanding:
    """How the journal is.

    Attributes:
        fault: why nothing is written just now; empty while all is.
        warning: what else is to be known, such as that the file has been begun anew.
        prune_fault: why what is too old or too much is still there; empty while it is not.
        log_fault: why the metric log can't be written; empty while it can, or none is kept.
    """

    fault: str = ""
    warning: str = ""
    prune_fault: str = ""
    log_fault: str = ""


class JournalWriter:
    """Writes down what the inbox holds, until it is stopped. It outlives who has started it.

    So there are never two who write, whatever one of them hangs in.

    Args:
        inbox: what is told.
        flavor: what the metric events call this installation.
        keeping: says how much is kept.
        now: tells the time.
        metric_log: where metric events go; None for nowhere.
        again_s: seconds after which what has failed is tried again.
        believed_after_s: seconds after which it is believed what the time is, as nobody sets it.
        elapsed: tells the seconds that pass (monotonic).
    """

    def __init__(
        self,
        inbox: JournalInbox,
        *,
        flavor: str,
        keeping: Callable[[], Keeping],
        now: Callable[[], datetime],
        metric_log: MetricLog | None = None,
        again_s: float = 5.0,
        believed_after_s: float = BELIEVED_AFTER_S,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._flavor = flavor if metric_log else None
        self._keeping = keeping
        self._now = now
        self._metric_log = metric_log
        self._again_s = again_s
        self._believed_after_s = believed_after_s
        self._elapsed = elapsed
        self._clock = WallClock.first_seen(now(), elapsed())
        self._changed: Callable[[JournalStanding], object] = lambda _: None
        self._warning = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._begin()

    def _begin(self) -> None:
        self._store = JournalStore(self._inbox.path, self._warn)
        self._digest = Digest(self._flavor)
        self._is_recalled = False
        self._held: list[Record] = []
        self._courses: dict[str, Course] = {}
        # What is to be known of the file is true until the daemon's end, whoever writes it.
        self._standing = JournalStanding(warning=self._warning)
        self._fault = self._prune_fault = self._log_fault = ""
        self._began_anew = self._is_another_file = False
        self._attempts = 0
        self._is_at_work = False
        self._again_at = self._prune_at = 0.0

    def start(self, changed: Callable[[JournalStanding], object]) -> JournalStanding:
        """Begin, unless it is at work already. For one thread at a time.

        Args:
            changed: called in the writer's thread from now on, when its standing has changed.

        Returns:
            How it stands.
        """
        self._changed = changed
        if self._thread is None or not self._thread.is_alive():
            self._begin()
            self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
            self._thread.start()
        return self._standing

    def stop(self, limit_s: float) -> None:
        """Have it write down what is there, once, and end for good; wait for that so long."""
        self._stopping.set()
        if self._thread:
            self._thread.join(limit_s)

    @property
    def is_lost(self) -> bool:
        """Whether its thread has ended though nobody has told it to. For any thread."""
        thread = self._thread
        return thread is not None and not thread.is_alive() and not self._stopping.is_set()

    @property
    def attempt(self) -> int | None:
        """The number of the attempt to write that is under way; None between two. For any thread.

        One that stays the same is held up where no error comes of it, such as by a disk that hangs.
        """
        return self._attempts if self._is_at_work else None

    def _run(self) -> None:
        try:
            self._work()
            while not self._stopping.is_set():
                self._gather()
                self._work()
            self._part()
        finally:
            self._inbox.lose(len(self._held))
            self._store.close()
            self._log(_summed_up(self._digest.rest))
            if self._metric_log:
                self._metric_log.close()

    def _gather(self) -> None:
        """Wait a while for what comes, unless there is a lot, or something else to do."""
        if not self._inbox.is_crowded:
            due_at = self._again_at if self._fault else self._prune_at
            self._stopping.wait(min(_GATHER_S, max(0.0, due_at - self._elapsed())))

    def _work(self) -> None:
        self._attempts += 1
        self._is_at_work = True
        try:
            if self._attempts == 1:
                self._fault = self._fault_of(self._recall)
            self._take(self._inbox.next())
            if self._elapsed() >= self._again_at:
                self._bring_to_disk()
            self._show()
        finally:
            self._is_at_work = False

    def _part(self) -> None:
        """Write down all that is there, once."""
        while records := self._inbox.next():
            self._take(records)
        self._bring_to_disk()
        if (self._held or self._is_another_file) and not self._fault:
            self._bring_to_disk()  # into a file that has just been begun anew

    def _take(self, records: Sequence[Record]) -> None:
        """Sum up records, and tell the metric log of them; hold them until they are written."""
        room = max(0, self._inbox.room - len(self._held))
        self._inbox.lose(len(records[room:]))
        self._held += records[:room]
        now_s, events = self._elapsed(), list[MetricEvent]()
        for record in records:
            try:
                events += self._sum_up(record, now_s)
            except Exception as error:  # noqa: BLE001 - the event itself is written, and the others
                _log_failure(record.subject, error)
        self._log(events + _summed_up(partial(self._digest.overdue, now_s)))

    def _sum_up(self, record: Record, now_s: float) -> list[MetricEvent]:
        change = self._digest.take(record)
        for course in change.courses:
            if course.name in self._courses or len(self._courses) < self._inbox.room:
                self._courses[course.name] = course
        return self._digest.metric_events(change, now_s)

    def _log(self, events: Sequence[MetricEvent]) -> None:
        if self._metric_log and events:
            self._log_fault = self._metric_log.write(events)

    def _bring_to_disk(self) -> None:
        """Have the file hold what it should, and no more."""
        self._fault = self._fault_of(self._write)
        if self._fault:
            self._again_at = self._elapsed() + self._again_s
        elif self._elapsed() >= self._prune_at:
            self._prune_at = self._elapsed() + _PRUNE_S
            self._prune_fault = self._fault_of(self._prune)

    def _recall(self) -> None:
        """Find what an earlier daemon has left. Nothing is written before that is known."""
        changed = self._digest.recall(self._store.open_courses(), self._held)
        self._courses = {course.name: course for course in changed}
        self._is_recalled = True

    def _write(self) -> None:
        if not self._is_recalled:
            self._recall()
        self._write_held()
        if self._is_another_file:
            known = self._digest.go_on_with(self._store.open_courses())
            self._courses = {course.name: course for course in known}
            self._is_another_file = False
            self._write_held()
        if self._inbox.suspect.is_set():
            self._store.check()
            self._inbox.suspect.clear()

    def _write_held(self) -> None:
        if self._held or self._courses:
            self._inbox.lose(self._store.write(self._held, self._courses.values()))
            self._held, self._courses = [], {}
            self._began_anew = False

    def _prune(self) -> None:
        if self._store.prune(self._keeping(), self._believed_now()):
            self._prune_at = self._elapsed() + _PRUNE_ON_S

    def _believed_now(self) -> datetime | None:
        """Say what the time is; None where that is not to be believed yet."""
        before = self._clock
        self._clock = before.seen(self._now(), self._elapsed())
        if self._clock.set_by and not before.set_by:
            logger.warning(
                "the time of day was set by {} s; nothing leaves the journal as too old until "
                "it has gone on evenly for {} min",
                round(self._clock.set_by.total_seconds()),
                round(self._believed_after_s / 60),
            )
        return self._clock.now if self._clock.is_believed(self._believed_after_s) else None

    def _fault_of(self, act: Callable[[], None]) -> str:
        """Do something with the file, and say why it could not be done; empty if it was.

        A file that is of no use is put out of the way: what is held goes into a new one.
        """
        try:
            act()
        except JournalCorrupt as error:
            return self._begin_anew(error, "set-aside")
        except JournalTooNew as error:
            return self._begin_anew(error, f"v{error.version}")
        except JournalError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - what is held is tried again
            logger.opt(exception=error).error("some events could not be written down")
            return f"{type(error).__name__}: {error}"
        return ""

    def _begin_anew(self, error: JournalError, mark: str) -> str:
        """Put a file aside that can't be used; return why not, or nothing."""
        if self._began_anew:
            return str(error)  # the new one is damaged at once: the disk is
        try:
            aside = self._store.set_aside(mark)
        except OSError as failure:
            return f"{error}, and can't be put aside: {failure.strerror}"
        self._began_anew = self._is_another_file = True
        self._inbox.suspect.clear()
        self._warning = f"{error}; it is {aside.name} now, and a new one was begun"
        return ""

    def _warn(self, warning: str) -> None:
        self._warning = warning
        self._is_another_file = True

    def _show(self) -> None:
        standing = JournalStanding(self._fault, self._warning, self._prune_fault, self._log_fault)
        if standing != self._standing:
            self._standing = standing
            self._changed(standing)


def _summed_up(make: Callable[[], list[MetricEvent]]) -> list[MetricEvent]:
    """Give the metric events of jobs; none, with a line in the log, if that fails."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - what is written needs none
        _log_failure("jobs", error)
        return []


def _log_failure(subject: str, error: Exception) -> None:
    logger.opt(exception=error).error("what has happened to {} could not be summed up", subject)
