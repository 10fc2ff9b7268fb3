"""Time as a thing one passes in, so that tests can move it."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Protocol, runtime_checkable


class Clock(Protocol):
    """Tell the time, once for people and once for arithmetic. Any thread may ask."""

    def now(self) -> datetime:
        """Return the aware UTC time of day, for what people read."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for limits and ages."""
        ...

    def steady(self) -> datetime:
        """Return what the time of day was when this clock was made, and what has passed since.

        Aware, UTC. It goes on evenly when the machine's time of day is set: for moments from which
        limits and ages are counted. With `offset` added one is what people read.
        """
        ...


class Driven(Protocol):
    """Something with due times that a hand-moved clock fires: the timers of a system."""

    def next_due(self) -> float | None:
        """Return the monotonic time of the earliest thing due, or None."""
        ...

    def fire_due(self) -> None:
        """Run everything due by now, in the calling thread."""
        ...


@runtime_checkable
class HandMovedClock(Protocol):
    """A clock that stands still until it is told to move, and then fires what is due."""

    def drive(self, driven: Driven) -> None:
        """Fire `driven` from now on whenever the clock is moved."""
        ...


def offset(clock: Clock) -> timedelta:
    """Say how far the time of day was set since the clock was made: what to add to the steady."""
    return clock.now() - clock.steady()


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self._made_at = datetime.now(timezone.utc)
        self._made_s = time.monotonic()

    def now(self) -> datetime:
        """Return the aware UTC time of day."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """Return the seconds of the machine's monotonic clock."""
        return time.monotonic()

    def steady(self) -> datetime:
        """Return the time of day as it goes on whoever sets it."""
        return self._made_at + timedelta(seconds=time.monotonic() - self._made_s)


class FakeClock:
    """A clock for tests: it stands still until `advance` moves it.

    It has two hands: `set_by` moves the time of day alone.

    Due timers run inside `advance`, in the caller's thread, in order of their due time and,
    among equal ones, of their making. While one runs, the clock shows its due time. What an
    actor does on receiving a timer's message happens in that actor's thread, so a timer that it
    sets in turn counts from the clock's time at that later moment.
    """

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=timezone.utc)) -> None:
        self._start = start
        self._set_by = timedelta(0)
        self._elapsed = 0.0
        self._driven: list[Driven] = []
        self._moving = threading.Lock()

    def now(self) -> datetime:
        """Return the start time plus what the clock was advanced and set by."""
        return self.steady() + self._set_by

    def monotonic(self) -> float:
        """Return the seconds that the clock was advanced by."""
        return self._elapsed

    def steady(self) -> datetime:
        """Return the start time plus what the clock was advanced by."""
        return self._start + timedelta(seconds=self._elapsed)

    def set_by(self, seconds: float) -> None:
        """Set the time of day forward, or back where it is negative, while no time passes."""
        self._set_by += timedelta(seconds=seconds)

    def drive(self, driven: Driven) -> None:
        """Fire `driven`'s timers whenever the clock is advanced."""
        self._driven.append(driven)

    def advance(self, seconds: float) -> None:
        """Move the clock forward and run every timer that becomes due on the way.

        Args:
            seconds: how far; zero runs what is due already.
        """
        with self._moving:
            end = self._elapsed + seconds
            while (due := self._earliest()) is not None and due <= end:
                self._elapsed = max(self._elapsed, due)
                for driven in list(self._driven):
                    driven.fire_due()
            self._elapsed = end

    def _earliest(self) -> float | None:
        dues = [due for driven in self._driven if (due := driven.next_due()) is not None]
        return min(dues, default=None)
