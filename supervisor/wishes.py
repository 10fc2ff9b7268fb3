"""What the daemon's main thread is wanted for, told by signals and by the end of the tree."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import TypeAlias

_PACE_S = 1.0


class Ended(Enum):
    """The tree has ended by itself."""

    TREE = "tree"


Wish: TypeAlias = signal.Signals | Ended


class Wishes:
    """What is wanted, each wish once however often it is told.

    The first of its kind is given at once. Those that follow within a second are one, given at its
    end: a storm of signals costs no more than that, and the last of them counts.

    Args:
        monotonic: tells the time, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._wanted: dict[Wish, None] = {}  # a set that keeps the order
        self._not_before: dict[Wish, float] = {}
        # The one queue that may be used in a signal's handler, whatever that has interrupted.
        self._wake_ups: queue.SimpleQueue[None] = queue.SimpleQueue()

    def tell(self, wish: Wish) -> None:
        """Take a wish, in any thread and in a signal's handler."""
        self._wanted.setdefault(wish)
        # Also for one that is known: `get` misses its time limit when signals come at that moment
        # and it is given nothing (seen with CPython 3.11).
        if self._wake_ups.empty():
            self._wake_ups.put(None)

    def next(self, until: float) -> Wish | None:
        """Wait for the next one; for one thread.

        Args:
            until: when to give up (monotonic, seconds), however many are told.

        Returns:
            None if the time has come.
        """
        while (now := self._monotonic()) < until:
            wake_at = until
            for wish in list(self._wanted):
                at = self._not_before.get(wish, now)
                if at <= now:
                    del self._wanted[wish]
                    self._not_before[wish] = now + _PACE_S
                    return wish
                wake_at = min(wake_at, at)
            with suppress(queue.Empty):
                self._wake_ups.get(timeout=wake_at - now)
        return None
