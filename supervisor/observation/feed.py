"""What has happened, told once to each who watches: the journal, the counters, the traces."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from enum import Enum
from functools import partial
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple


class Kind(str, Enum):
    """What a record is about."""

    RUNNER = "runner"  # a runner's stage; `subject` is its name
    ACTOR = "actor"  # an actor's state, crash or restart; `subject` is its id
    ORDER = "order"  # an operator's; `subject` is what was ordered, such as `flush`
    RECONCILE = "reconcile"  # one was done; `subject` is the installation
    DECISION = "decision"  # on a job, by the policy; `subject` is the runner's name
    JOB = "job"  # what GitHub tells of one that has ended; `subject` is its runner's name

    __str__ = str.__str__


class Record(NamedTuple):
    """One thing that has happened: a tuple, as so many are made, and no class is made faster.

    Attributes:
        at: when; aware.
        kind: what it is about.
        subject: who.
        state: what it is now.
        before: what it was; empty at its beginning, or if that is not known. That of `state` says
            that only what is known of it has changed.
        reason: why, for people.
        lasted_s: seconds that it was in the state before.
        details: more, all of it expressible in JSON. Of a runner: `generation`, `runner_id`, and
            `job` with the fields of `lifecycle.Job`, or None.
        runners: of a reconcile: the names of all that are there. For those who watch: a thousand
            are too many to be written down each time.
    """

    at: datetime
    kind: Kind
    subject: str
    state: str
    before: str = ""
    reason: str = ""
    lasted_s: float = 0.0
    details: Mapping[str, Any] = MappingProxyType({})
    runners: frozenset[str] = frozenset()


Make = Callable[[], Record | None]
"""Makes a record, in any thread, of what does not change any more; None of what is not told."""

Watcher = Callable[[Record, float], None]
"""Is given a record and when it was told (seconds, monotonic), by one thread at a time.

That is the thread of whoever has records passed on. So it must be quick: it writes nothing but
lines of the log, asks nobody, and waits for no lock but one that is held to count or to put in a
queue. It may `tell`, which is passed on the next time, and must neither have anything passed on
itself nor watch or unwatch: it would wait for its own end.
"""

_OVERDUE_S = 7.5
"""The journal has what is told passed on each five seconds, unless it hangs."""
_MOST = 1000
"""Records that wait to be passed on, or a few more, where many tell at once."""


class Feed:
    """Passes records on. Nobody who tells it anything can be hurt by one who watches.

    To make a record and pass it on takes a thread that comes from other work several times as long
    as one that does so for many in a row. So who tells only notes it, and it is passed on when
    somebody wants to see it, or when many wait.

    Any thread may `tell`, and have them passed on. `watch` and `unwatch` are for one alone, the
    main thread.

    Args:
        monotonic: the clock, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._watchers: tuple[Watcher, ...] = ()
        self._told: deque[tuple[float, Make]] = deque()
        self._passing = Lock()

    def watch(self, watcher: Watcher) -> None:
        """Have a watcher be told of all that happens from now on."""
        with self._passing:
            self._pass_all()
            self._watchers += (watcher,)

    def unwatch(self, watcher: Watcher) -> None:
        """Tell it nothing more but what has happened until now; it need not be watching."""
        with self._passing:
            self._pass_all()
            self._watchers = tuple(one for one in self._watchers if one != watcher)

    def tell(self, record: Record) -> None:
        """Tell all who watch, when it is passed on."""
        self.tell_made(partial(_as_it_is, record))

    def tell_made(self, make: Make) -> None:
        """Tell what is made when it is passed on."""
        self._told.append((self._monotonic(), make))
        if len(self._told) > _MOST:
            self.pass_on_unless_busy()

    def pass_on(self, then: Callable[[float], object] | None = None) -> None:
        """Have all who watch know what was told until now.

        Args:
            then: is called with the time (seconds, monotonic) before more is passed on. What holds
                for a watcher holds for it.
        """
        with self._passing:
            self._pass_all()
            if then:
                then(self._monotonic())

    def pass_on_unless_busy(self) -> None:
        """Do so, unless somebody does just now: for those who must not wait for a watcher."""
        if self._passing.acquire(blocking=False):
            try:
                self._pass_all()
            finally:
                self._passing.release()

    def pass_on_overdue(self) -> None:
        """Do so with what has waited for a while, as nobody has wanted to see it."""
        with suppress(IndexError):  # another passes it on just now
            if self._monotonic() - self._told[0][0] > _OVERDUE_S:
                self.pass_on_unless_busy()

    def _pass_all(self) -> None:
        # Not what is told meanwhile: those who tell may be faster, or be told of what they tell.
        for _ in range(len(self._told)):
            at_s, make = self._told.popleft()
            self._pass(make, at_s)

    def _pass(self, make: Make, at_s: float) -> None:
        try:
            record = make()
        except Exception as error:  # noqa: BLE001 - the others can be told
            _log("something that has happened could not be told", error)
            return
        if record is None:
            return
        for watcher in self._watchers:
            try:
                watcher(record, at_s)
            except Exception as error:  # noqa: BLE001 - what is watched must go on
                _log("a watcher of what happens has failed", error)


def _as_it_is(record: Record) -> Record:
    return record


def _log(words: str, error: Exception) -> None:
    # Commands that know the kinds start sooner without.
    from loguru import logger  # noqa: PLC0415

    logger.opt(exception=error).error(words)
