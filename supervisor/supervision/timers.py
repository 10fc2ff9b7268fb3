"""One heap of timers for a whole tree, served by one thread that exists only while needed."""

from __future__ import annotations

import heapq
import itertools
import threading
from typing import TYPE_CHECKING, Protocol

from loguru import logger

from supervisor.supervision.clock import HandMovedClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisor.supervision.clock import Clock

# Waiting longer than a platform's largest time-out raises OverflowError.
_LONGEST_WAIT_S = 3600.0
# Rebuilding the heap pays only once enough cancelled timers lie in it.
_FEW_CANCELLED = 64


class Timer:
    """A callback that is due once. Any thread may cancel it; cancelling twice does nothing.

    Attributes:
        due: the monotonic time at which it fires.
        cancelled: whether `cancel` was called, be it after firing.
    """

    __slots__ = ("_callback", "_timers", "cancelled", "due")

    def __init__(self, timers: Timers, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.cancelled = False
        self._timers = timers
        self._callback: Callable[[], None] | None = callback

    @property
    def pending(self) -> bool:
        """Whether the timer has neither fired nor been cancelled."""
        return self._callback is not None

    def cancel(self) -> None:
        """Make sure that the timer never fires, unless it has fired already."""
        self.cancelled = True
        self._timers._cancel(self)  # noqa: SLF001

    def _take(self) -> Callable[[], None] | None:
        callback, self._callback = self._callback, None
        return callback


class TellAfter(Protocol):
    """As an actor's `tell_after`, for a part of it."""

    def __call__(self, delay_s: float, message: object) -> Timer:
        """Put a message into the actor's own inbox after so many seconds."""


class Timers:
    """The timers of one system.

    Callbacks run in the timers' thread (under a `FakeClock`: in the thread that advances it) and
    must be quick: telling an actor something is what they are for. What one raises is logged.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._cancelled = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._by_hand = isinstance(clock, HandMovedClock)
        if isinstance(clock, HandMovedClock):
            clock.drive(self)

    def schedule(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` once, `delay_s` seconds from now; at once if that is not positive."""
        timer = Timer(self, self._clock.monotonic() + max(0.0, delay_s), callback)
        with self._changed:
            heapq.heappush(self._heap, (timer.due, next(self._order), timer))
            if not self._by_hand:
                self._serve(earliest=self._heap[0][2] is timer)
        return timer

    def next_due(self) -> float | None:
        """Return the monotonic time of the earliest pending timer, or None."""
        with self._changed:
            self._drop_cancelled()
            return self._heap[0][0] if self._heap else None

    def fire_due(self) -> None:
        """Run every timer that is due by now, in the calling thread."""
        while (callback := self._take_due()) is not None:
            _run(callback)

    def _take_due(self) -> Callable[[], None] | None:
        with self._changed:
            self._drop_cancelled()
            if not self._heap or self._heap[0][0] > self._clock.monotonic():
                return None
            return heapq.heappop(self._heap)[2]._take()  # noqa: SLF001

    def _drop_cancelled(self) -> None:
        while self._heap and not self._heap[0][2].pending:
            heapq.heappop(self._heap)
            self._cancelled -= 1

    def _cancel(self, timer: Timer) -> None:
        with self._changed:
            if timer._take() is None:  # noqa: SLF001
                return
            self._cancelled += 1
            if self._cancelled > _FEW_CANCELLED and self._cancelled * 2 > len(self._heap):
                self._heap = [entry for entry in self._heap if entry[2].pending]
                heapq.heapify(self._heap)
                self._cancelled = 0

    def _serve(self, *, earliest: bool) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="timers", daemon=True)
            thread.start()
            self._thread = thread
        elif earliest:
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._drop_cancelled()
                if not self._heap:
                    self._thread = None
                    return
                wait_s = self._heap[0][0] - self._clock.monotonic()
                if wait_s > 0:
                    self._changed.wait(min(wait_s, _LONGEST_WAIT_S))
            self.fire_due()


def _run(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception as error:  # noqa: BLE001 - the next timer must still fire
        logger.opt(exception=error).error("a timer's callback failed")
