"""What is under way between threads, counted, so that a test can wait until nothing is.

Whoever reads what actors show, or moves their clock, after telling them something must know that
they have done all that follows from it: also what one does after its last publication, such as
setting a timer, and what others do whom it has told in turn. They have when each actor is back at
an empty inbox, and no worker is at work. A thread that the test itself holds, at a `Gate`, is at
rest too: nothing happens there until the test opens it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pykka
from pykka._envelope import Envelope
from waiting import LIMIT_S

from supervisor.supervision.cell import Cell
from supervisor.supervision.mailbox import Mailbox
from supervisor.workers import Work, Workers


class _Progress:
    """Counts what was given to anybody, and taken: who looks twice sees whether anything was."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def another(self) -> None:
        with self._lock:
            self.count += 1


progress = _Progress()
_held: dict[int, Callable[[], bool]] = {}


class Patience:
    """Is over when nothing has got on for so long.

    What gets on takes as long as it takes: threads that are shaken, or have few processors. What
    does so for ever ends by the limit of the test itself.
    """

    def __init__(self, limit_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._monotonic = monotonic
        self._seen = progress.count
        self._until = monotonic() + limit_s

    @property
    def is_over(self) -> bool:
        now = self._monotonic()
        if progress.count != self._seen:
            self._seen, self._until = progress.count, now + self._limit_s
        return now > self._until


def until_at_rest(busy: Callable[[], str]) -> None:
    """Wait until nobody is named as busy. That takes as long as it takes, as long as it gets on."""
    patience = Patience(LIMIT_S)
    while named := busy():
        assert not patience.is_over, f"still under way, and nothing gets on: {named}"
        time.sleep(0.001)


@contextmanager
def held_while(waits: Callable[[], bool]) -> Iterator[None]:
    """Have the thread count as held by the test, inside, for as long as `waits` says so."""
    this = threading.get_ident()
    _held[this] = waits
    try:
        yield
    finally:
        del _held[this]


def is_held(thread: int | None) -> bool:
    """Tell whether a thread can only go on when the test has it do so."""
    waits = _held.get(thread or 0)
    return waits is not None and waits()


class Gate(threading.Event):
    """What a test has another thread hang at, until the test sets it."""

    def __init__(self) -> None:
        super().__init__()
        self._openings = 0

    def set(self) -> None:
        self._openings += 1
        super().set()

    def wait(self, timeout: float | None = None) -> bool:
        # One that is closed again behind a thread does not hold that thread any more.
        before = self._openings
        with held_while(lambda: not self.is_set() and self._openings == before):
            return super().wait(timeout)


class CountedMailbox(Mailbox):
    """Knows whether its actor has come back for more after all that was put there."""

    __slots__ = ("_lock", "_puts", "_visits")

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._puts = 0
        self._visits = 0
        progress.another()

    def put(self, envelope: Envelope[Any], /) -> None:
        self._count()
        super().put(envelope)

    def wake_up(self) -> None:
        self._count()
        super().wake_up()

    def get(self) -> Envelope[Any]:
        self._visits += 1
        progress.another()
        return super().get()

    @property
    def is_done_with(self) -> bool:
        return self._visits == self._puts + 1

    def _count(self) -> None:
        progress.another()
        with self._lock:
            self._puts += 1


class CountedWorkers(Workers):
    """Knows whether its threads have done all that they can."""

    def __init__(self, name: str, size: int) -> None:
        super().__init__(name, size)
        self.name = name
        self._counting = threading.Lock()
        self._under_way = 0
        self._at_work: set[int] = set()

    def submit(
        self, work: Work, ref: pykka.ActorRef[Any], then: Callable[[], None] = lambda: None
    ) -> None:
        def begin() -> Any:
            with self._counting:
                self._at_work.add(threading.get_ident())
            return work()

        def end() -> None:
            then()
            with self._counting:
                self._at_work.remove(threading.get_ident())
                self._under_way -= 1
            progress.another()

        progress.another()
        with self._counting:
            self._under_way += 1
        try:
            super().submit(begin, ref, end)
        except RuntimeError:
            with self._counting:
                self._under_way -= 1
            raise

    @property
    def is_at_rest(self) -> bool:
        with self._counting:
            held = sum(map(is_held, self._at_work))
            rest = self._under_way - held
            # What waits behind those that are held is not begun.
            return not rest or (held == len(self._at_work) == self._size)


def is_at_rest(cell: Cell) -> bool:
    """Tell whether an actor has done all that it can, or what it still does is ignored."""
    if cell.fenced or (cell.thread is not None and is_held(cell.thread.ident)):
        return True
    mailbox = cell.mailbox
    assert isinstance(mailbox, CountedMailbox)
    return cell.told_to_stop is None and cell.ended is None and mailbox.is_done_with
