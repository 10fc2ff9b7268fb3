"""Takes what the journal's inbox holds, and has it written down, in a thread of its own.

What can't be written is held and tried again (`backlog.py`, `file.py`). The metric log is another
file, maybe on another disk: it gets the events of all that comes, after the journal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from loguru import logger

from supervisor.gateways.journal_store import Keeping
from supervisor.gateways.metric_log import MetricLog
from supervisor.journal.courses import Course
from supervisor.journal.digest import MetricEvent
from supervisor.journal.wall_clock import BELIEVED_AFTER_S
from supervisor.recording.backlog import JournalBacklog
from supervisor.recording.file import JournalFile
from supervisor.recording.inbox import JournalInbox
from supervisor.recording.pruning import JournalPruning

_HUNG_AFTER_S = 10.0
"""An attempt that is under way for so long hangs, as with a disk: no error comes of it."""


@dataclass(frozen=True)
class _Attempt:
    """What is under way.

    Attributes:
        what: the file that is written, as it is named where that hangs.
        since_s: when it began (monotonic).
    """

    what: str
    since_s: float


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
        gather_s: what comes within so many seconds is written together, unless somebody wants to
            read it: to wake up and to commit costs as much as to write some fifty records.
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
        gather_s: float = 5.0,
        again_s: float = 5.0,
        believed_after_s: float = BELIEVED_AFTER_S,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._flavor = flavor if metric_log else None
        self._metric_log = metric_log
        self._gather_s = gather_s
        self._again_s = again_s
        self._elapsed = elapsed
        self._pruning = JournalPruning(
            keeping, now=now, elapsed=elapsed, believed_after_s=believed_after_s
        )
        self._changed: Callable[[JournalStanding], object] = lambda _: None
        self._missed: Callable[[Course], object] = lambda _: None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._begin(warning="")

    def _begin(self, warning: str) -> None:
        self._file = JournalFile(self._inbox, warning)
        self._backlog = JournalBacklog(self._inbox, self._flavor, self._miss)
        self._standing = JournalStanding(warning=warning)
        self._fault = self._prune_fault = self._log_fault = ""
        self._events: list[MetricEvent] = []  # that are not in the metric log yet
        self._attempts = 0
        self._attempt: _Attempt | None = None
        self._again_at_s = 0.0

    def start(
        self, changed: Callable[[JournalStanding], object], missed: Callable[[Course], object]
    ) -> JournalStanding:
        """Begin, unless it is at work already. For one thread at a time.

        Args:
            changed: called in the writer's thread from now on, when its standing has changed.
            missed: likewise, with the course of each runner whose end nobody has seen.

        Returns:
            How it stands.
        """
        self._changed, self._missed = changed, missed
        if self._thread is None or not self._thread.is_alive():
            self._begin(self._file.warning)
            self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
            self._thread.start()
        return self._standing

    def stop(self, limit_s: float) -> None:
        """Have it write down what is there, once, and end for good; wait for that so long.

        What is lost then is said here: nobody can ask for it any more.
        """
        self._stopping.set()
        self._inbox.wake()
        if self._thread:
            self._thread.join(limit_s)
        unwritten = self._backlog.held + self._inbox.waiting  # if a write hangs, or nobody writes
        lost = self._inbox.lost + unwritten
        if lost and (unwritten or self._fault):
            attempt = self._attempt
            what = attempt.what if attempt else self._inbox.path
            why = self._fault or self.fault or f"{what}: a write does not end"
            logger.warning("the journal lacks {} events of this daemon: {}", lost, why)

    @property
    def is_lost(self) -> bool:
        """Whether its thread has ended though nobody has told it to. For any thread."""
        thread = self._thread
        return thread is not None and not thread.is_alive() and not self._stopping.is_set()

    @property
    def is_at_work(self) -> bool:
        """Whether an attempt is under way. For any thread."""
        return self._attempt is not None

    @property
    def hung(self) -> str:
        """What to say of an attempt that hangs; empty if none does. For any thread."""
        attempt = self._attempt
        if attempt is None or self._elapsed() - attempt.since_s < _HUNG_AFTER_S:
            return ""
        return f"{attempt.what}: no answer within {_HUNG_AFTER_S:.0f} s"

    @property
    def fault(self) -> str:
        """Why nothing is written just now; empty while all is. For any thread."""
        if self._thread is None or self.is_lost:
            return "nobody writes it"
        return self._standing.fault or self.hung

    def _run(self) -> None:
        self._inbox.is_attended = True
        try:
            self._work()
            while not self._stopping.is_set():
                self._gather()
                self._work()
            self._part()
        finally:
            self._inbox.is_attended = False
            self._file.close()
            self._events += self._backlog.give_up()
            self._log()
            if self._metric_log:
                self._metric_log.close()

    def _gather(self) -> None:
        """Wait a while for what comes, unless somebody wants it, or there is something to do."""
        if not self._inbox.is_crowded:
            due_at_s = self._again_at_s if self._fault else self._pruning.due_at_s
            self._inbox.wait(min(self._gather_s, max(0.0, due_at_s - self._elapsed())))

    def _work(self) -> None:
        self._attempts += 1
        readers = self._inbox.readers()
        try:
            with self._at(str(self._inbox.path)):
                if self._attempts == 1:
                    self._fault = self._file.recall(self._backlog)
                self._take()
                if self._elapsed() >= self._again_at_s:
                    self._bring_to_disk()
            self._show()  # who reads may ask for it next
        finally:
            for reader in readers:
                reader.set()
        self._log()
        self._show()

    def _miss(self, course: Course) -> None:
        """Tell whoever has it written now of an end that nobody has seen.

        Not where the journal lacks something of this daemon: that may be the end, which all others
        who watch have seen.
        """
        if not (self._inbox.lost or self._file.warning):
            self._missed(course)

    @contextmanager
    def _at(self, what: str) -> Iterator[None]:
        """Have it be known what is under way: where it hangs, only others can say so."""
        self._attempt = _Attempt(what, self._elapsed())
        try:
            yield
        finally:
            self._attempt = None

    def _take(self) -> bool:
        """Take what is next; say whether there was anything."""
        records = self._inbox.next()
        self._events += self._backlog.take(records, self._elapsed())
        return bool(records)

    def _part(self) -> None:
        """Write down all that is there, once."""
        while self._take():
            pass
        self._bring_to_disk()

    def _log(self) -> None:
        """Have the metric log hold the events of all that was taken: last, as its disk may hang."""
        events, self._events = self._events, []
        if self._metric_log and events:
            with self._at(f"it waits for the metric log: {self._metric_log.path}"):
                self._log_fault = self._metric_log.write(events)

    def _bring_to_disk(self) -> None:
        """Have the file hold what it should, and no more."""
        self._fault = self._file.write(self._backlog)
        if self._file.is_another and not self._fault:
            self._fault = self._file.write(self._backlog)  # it has just been begun anew
        if self._fault:
            self._again_at_s = self._elapsed() + self._again_s
        elif self._elapsed() >= self._pruning.due_at_s:
            self._prune_fault = self._file.attempt(self._pruning.step)

    def _show(self) -> None:
        standing = JournalStanding(
            self._fault, self._file.warning, self._prune_fault, self._log_fault
        )
        if standing != self._standing:
            self._standing = standing
            self._changed(standing)
