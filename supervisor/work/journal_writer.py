"""The journal at work: takes what is told, and has a thread of its own write it down.

Whoever tells is never kept waiting: what finds no room is lost, and counted. What can't be written
is held and tried again; meanwhile the room fills, and the newest are lost.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from loguru import logger

from supervisor.feed import Record
from supervisor.gateways.journal_store import JournalCorrupt, JournalError, JournalStore, Keeping
from supervisor.gateways.metric_log import MetricLog
from supervisor.journal import metric_events
from supervisor.journal.courses import Course, Courses
from supervisor.journal.ended import Ended

ROOM = 10_000
_MOST_AT_ONCE = 1000
_GATHER_S = 0.5
_PRUNE_S = 60.0
_PRUNE_ON_S = 0.05
_PARTING = 12
_LOOK_S = 0.5


class JournalInbox:
    """What has been told and is not yet taken, the oldest first. It outlives the thread that takes.

    Args:
        path: of the journal's file.
        room: for so many; more are lost.
    """

    def __init__(self, path: Path, room: int = ROOM) -> None:
        self.path = path
        self.suspect = threading.Event()
        """Set by whoever has read something in the file that should not be there."""
        self._told: queue.Queue[Record] = queue.Queue(room)
        self._lost = 0
        self._counting = threading.Lock()

    @property
    def lost(self) -> int:
        """How many have found no room since the daemon has started."""
        return self._lost

    def take(self, record: Record) -> None:
        """Take a record, in whichever thread tells it."""
        try:
            self._told.put_nowait(record)
        except queue.Full:
            self.lose(1)

    def next(self, wait_s: float) -> list[Record]:
        """Give the oldest ones, and wait for the first of them so long; none if none comes."""
        found: list[Record] = []
        with suppress(queue.Empty):
            found.append(self._told.get(timeout=wait_s) if wait_s > 0 else self._told.get_nowait())
            while len(found) < _MOST_AT_ONCE:
                found.append(self._told.get_nowait())
        return found

    def lose(self, count: int) -> None:
        """Count some as lost."""
        with self._counting:
            self._lost += count


@dataclass(frozen=True)
class Standing:
    """How the journal is.

    Attributes:
        fault: why nothing is written just now; empty while all is.
        warning: what else is to be known, such as that the file has been begun anew.
        log_fault: why the metric log can't be written; empty while it can, or none is kept.
        lost: how many were lost since the daemon has started.
    """

    fault: str = ""
    warning: str = ""
    log_fault: str = ""
    lost: int = 0


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
    ) -> None:
        self._inbox = inbox
        self._flavor = flavor
        self._keeping = keeping
        self._now = now
        self._changed = changed
        self._metric_log = metric_log
        self._again_s = again_s
        self._store = JournalStore(inbox.path)
        self._courses: Courses | None = None
        self._ended = Ended()
        self._held: list[Record] = []
        self._held_courses: dict[str, Course] = {}
        self._standing = Standing()
        self._warning = ""
        self._log_fault = ""
        self._began_anew = False
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

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                records = [] if self._held else self._gather()
                if not self._try(partial(self._work, records)):
                    self._stopping.wait(self._again_s)
            for _ in range(_PARTING):
                records = self._inbox.next(0)
                if not self._try(partial(self._put_down, records)) or not records:
                    break
        finally:
            self._inbox.lose(len(self._held))
            self._store.close()
            self._tell_jobs(self._ended.rest())
            if self._metric_log:
                self._metric_log.close()

    def _gather(self) -> list[Record]:
        """Wait for something to write down, or for the time to prune."""
        wait_s = min(_LOOK_S, max(0.0, self._prune_at - time.monotonic()))
        records = self._inbox.next(wait_s)
        if not records:
            return []
        self._stopping.wait(_GATHER_S)  # more come together
        return records + self._inbox.next(0)

    def _work(self, records: list[Record]) -> None:
        self._put_down(records)
        if self._inbox.suspect.is_set():
            self._store.check()
            self._inbox.suspect.clear()
        if time.monotonic() >= self._prune_at:
            more = self._store.prune(self._keeping(), self._now())
            self._prune_at = time.monotonic() + (_PRUNE_ON_S if more else _PRUNE_S)

    def _put_down(self, records: list[Record]) -> None:
        """Write down what is held, and more."""
        for record in records:
            self._held.append(record)
            self._sum_up(record)
        self._tell_jobs(self._ended.overdue(time.monotonic()))
        if self._held:
            self._store.write(self._held, self._held_courses.values())
            self._let_go_of_held()
            self._began_anew = False

    def _sum_up(self, record: Record) -> None:
        if self._courses is None:
            self._courses = self._known()
        before = self._courses.of(record.subject)
        after = before
        for course in self._courses.take(record):
            self._held_courses[course.name] = after = course
            if course.ended_at:
                self._end(course)
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

    def _known(self) -> Courses:
        """Give what an earlier daemon has left; else the beginnings of those runners are lost."""
        try:
            return Courses(self._store.open_courses())
        except JournalError as error:
            logger.warning("what the journal knows of runners can't be read: {}", error)
            return Courses()

    def _try(self, act: Callable[[], None]) -> bool:
        fault = ""
        try:
            act()
        except JournalCorrupt as error:
            fault = self._begin_anew(error)
        except JournalError as error:
            fault = str(error)
        except Exception as error:  # noqa: BLE001 - what comes after may be written
            logger.opt(exception=error).error("some events could not be written down")
            self._inbox.lose(len(self._held))
            self._let_go_of_held()
        self._show(fault)
        return not fault

    def _begin_anew(self, error: JournalCorrupt) -> str:
        """Put a damaged file aside; return why not, or nothing."""
        if self._began_anew:
            return str(error)  # the new one is damaged at once: the disk is
        try:
            aside = self._store.set_aside()
        except OSError as failure:
            return f"{error}, and can't be put aside: {failure.strerror}"
        self._began_anew = True
        self._inbox.suspect.clear()
        self._warning = f"{error}; it is {aside.name} now, and a new one was begun"
        return ""

    def _let_go_of_held(self) -> None:
        self._held, self._held_courses = [], {}

    def _show(self, fault: str) -> None:
        standing = Standing(fault, self._warning, self._log_fault, self._inbox.lost)
        if standing != self._standing:
            self._standing = standing
            self._changed(standing)
