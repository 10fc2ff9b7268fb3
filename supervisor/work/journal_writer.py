"""Takes what the journal's inbox holds, and writes it down in a thread of its own.

What can't be written is held and tried again; meanwhile the inbox fills, and the newest are lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from loguru import logger

from supervisor.feed import Record
from supervisor.gateways.journal_schema import JournalCorrupt, JournalError, JournalTooNew
from supervisor.gateways.journal_store import JournalStore, Keeping
from supervisor.gateways.metric_log import MetricLog
from supervisor.journal import metric_events
from supervisor.journal.courses import Course, Courses
from supervisor.journal.ended import Ended
from supervisor.journal.wall_clock import BELIEVED_AFTER_S, WallClock
from supervisor.journal_inbox import JournalInbox

_GATHER_S = 1.0
_PRUNE_S = 60.0
_PRUNE_ON_S = 0.05
_PARTING = 12


@dataclass(frozen=True)
class Standing:
    """How the journal is.

    Attributes:
        fault: why nothing is written just now; empty while all is.
        warning: what else is to be known, such as that the file has been begun anew.
        log_fault: why the metric log can't be written; empty while it can, or none is kept.
    """

    fault: str = ""
    warning: str = ""
    log_fault: str = ""


class JournalWriter:
    """Writes down what the inbox holds, in a thread of its own, until it is stopped.

    Args:
        inbox: what is told.
        flavor: what the metric events call this installation.
        keeping: says how much is kept.
        now: tells the time.
        changed: called in the writer's thread when its standing has changed.
        metric_log: where metric events go; None for nowhere.
        again_s: seconds after which what has failed is tried again.
        believed_after_s: seconds after which it is believed what the time is, as nobody sets it.
    """

    def __init__(
        self,
        inbox: JournalInbox,
        *,
        flavor: str,
        keeping: Callable[[], Keeping],
        now: Callable[[], datetime],
        changed: Callable[[Standing], object],
        metric_log: MetricLog | None = None,
        again_s: float = 5.0,
        believed_after_s: float = BELIEVED_AFTER_S,
    ) -> None:
        self._inbox = inbox
        self._flavor = flavor
        self._keeping = keeping
        self._now = now
        self._changed = changed
        self._metric_log = metric_log
        self._again_s = again_s
        self._believed_after_s = believed_after_s
        self._clock = WallClock.first_seen(now(), time.monotonic())
        self._store = JournalStore(inbox.path)
        self._courses: Courses | None = None
        self._ended = Ended()
        self._unread: list[Record] = []
        self._held: list[Record] = []
        self._held_courses: dict[str, Course] = {}
        self._standing = Standing()
        self._warning = ""
        self._log_fault = ""
        self._began_anew = False
        self._attempts = 0
        self._is_at_work = False
        self._prune_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, limit_s: float) -> None:
        """Have it write down what is there, once, and end; wait for that so long."""
        self._stopping.set()
        self._thread.join(limit_s)

    @property
    def is_lost(self) -> bool:
        """Whether its thread has ended though nobody has told it to. For any thread."""
        return not self._thread.is_alive() and not self._stopping.is_set()

    @property
    def attempt(self) -> int | None:
        """The number of the attempt to write that is under way; None between two. For any thread.

        One that stays the same is held up where no error comes of it, such as by a disk that hangs.
        """
        return self._attempts if self._is_at_work else None

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                records = [] if self._unread or self._held else self._gather()
                if not self._try(partial(self._work, records)):
                    self._stopping.wait(self._again_s)
            for _ in range(_PARTING):
                records = self._inbox.next()
                is_done = self._try(partial(self._put_down, records))
                # Where the file was begun anew, what is held is not in it yet.
                if not is_done or not (records or self._unread or self._held):
                    break
        finally:
            self._inbox.lose(len(self._unread) + len(self._held))
            self._store.close()
            self._tell_jobs(self._ended.rest())
            if self._metric_log:
                self._metric_log.close()

    def _gather(self) -> list[Record]:
        """Give what comes within a while: together it costs less, and pruning goes on meanwhile."""
        if not self._inbox.is_crowded:
            self._stopping.wait(min(_GATHER_S, max(0.0, self._prune_at - time.monotonic())))
        return self._inbox.next()

    def _work(self, records: list[Record]) -> None:
        self._put_down(records)
        if self._inbox.suspect.is_set():
            self._store.check()
            self._inbox.suspect.clear()
        if time.monotonic() >= self._prune_at:
            more = self._store.prune(self._keeping(), self._believed_now())
            self._prune_at = time.monotonic() + (_PRUNE_ON_S if more else _PRUNE_S)

    def _believed_now(self) -> datetime | None:
        """Say what the time is; None where that is not to be believed yet."""
        before = self._clock
        self._clock = before.seen(self._now(), time.monotonic())
        if self._clock.set_by and not before.set_by:
            logger.warning(
                "the time of day was set by {} s; nothing leaves the journal as too old until "
                "it has gone on evenly for {} min",
                round(self._clock.set_by.total_seconds()),
                round(self._believed_after_s / 60),
            )
        return self._clock.now if self._clock.is_believed(self._believed_after_s) else None

    def _put_down(self, records: list[Record]) -> None:
        """Write down what is held, and more."""
        self._unread += records
        self._sum_up_unread()
        self._tell_jobs(self._ended.overdue(time.monotonic()))
        if self._held:
            self._write()
            self._began_anew = False

    def _sum_up_unread(self) -> None:
        """Sum up what was taken, once it is known what an earlier daemon has left."""
        if not self._unread:
            return
        if self._courses is None:
            self._courses = Courses(self._store.open_courses())
        unread, self._unread = self._unread, []
        self._held += unread
        for record in unread:
            try:
                self._sum_up(self._courses, record)
            except Exception as error:  # noqa: BLE001 - the event itself is written, and the others
                logger.opt(exception=error).error(
                    "what has happened to {} could not be summed up", record.subject
                )

    def _write(self) -> None:
        if not self._is_written(self._held, self._held_courses.values()):
            self._write_singly()
        self._held, self._held_courses = [], {}

    def _write_singly(self) -> None:
        """Write down what can be, each by itself, as one of them can't; lose that one alone."""
        while self._held:
            if not self._is_written(self._held[:1], ()):
                self._inbox.lose(1)
            del self._held[0]
        while self._held_courses:
            name, course = next(iter(self._held_courses.items()))
            self._is_written((), (course,))
            del self._held_courses[name]

    def _is_written(self, records: Sequence[Record], courses: Iterable[Course]) -> bool:
        """Write them; tell whether they could be made rows of."""
        try:
            self._store.write(records, courses)
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - the others can be written
            logger.opt(exception=error).error("some events could not be written down")
            return False
        return True

    def _sum_up(self, courses: Courses, record: Record) -> None:
        before = courses.of(record.subject)
        after = before
        for course in courses.take(record):
            self._held_courses[course.name] = after = course
            if course.ended_at and self._metric_log:
                self._end(course)
        if self._metric_log:
            self._log(metric_events.of_record(self._flavor, record, before, after))
            self._tell_jobs(self._ended.take(record))

    def _end(self, course: Course) -> None:
        """Tell of a job at its runner's end, or when it is known how long that had waited."""
        job = course.job
        if job and job.run_id and course.queue_s is None:
            self._ended.hold(course, time.monotonic())
        else:
            self._tell_jobs([course])

    def _tell_jobs(self, courses: list[Course]) -> None:
        for course in courses:
            self._log(metric_events.of_course(self._flavor, course))

    def _log(self, events: list[dict[str, Any]]) -> None:
        if self._metric_log and events:
            self._log_fault = self._metric_log.write(events)

    def _try(self, act: Callable[[], None]) -> bool:
        fault = ""
        self._attempts += 1
        self._is_at_work = True
        try:
            act()
        except JournalCorrupt as error:
            fault = self._begin_anew(error, "set-aside")
        except JournalTooNew as error:
            fault = self._begin_anew(error, f"v{error.version}")
        except JournalError as error:
            fault = str(error)
        except Exception as error:  # noqa: BLE001 - what is held is tried again
            logger.opt(exception=error).error("some events could not be written down")
            fault = f"{type(error).__name__}: {error}"
        finally:
            self._is_at_work = False
        self._show(fault)
        return not fault

    def _begin_anew(self, error: JournalError, mark: str) -> str:
        """Put a file aside that can't be used; return why not, or nothing."""
        if self._began_anew:
            return str(error)  # the new one is damaged at once: the disk is
        try:
            aside = self._store.set_aside(mark)
        except OSError as failure:
            return f"{error}, and can't be put aside: {failure.strerror}"
        self._began_anew = True
        self._inbox.suspect.clear()
        self._warning = f"{error}; it is {aside.name} now, and a new one was begun"
        return ""

    def _show(self, fault: str) -> None:
        standing = Standing(fault, self._warning, self._log_fault)
        if standing != self._standing:
            self._standing = standing
            self._changed(standing)
