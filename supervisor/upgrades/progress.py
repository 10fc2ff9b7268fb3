"""How far a download is, told by one thread and read by others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from supervisor.text import sizes


class Progress:
    """Bytes done, bytes in all, and since when. Any thread may call it.

    Args:
        clock: tells seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._done, self._total, self._since = 0, 0, -1.0

    def begin(self, done: int = 0, total: int = 0) -> None:
        """Start to count.

        Args:
            done: bytes that are there already.
            total: bytes in all; 0 if that is not known.
        """
        with self._lock:
            self._done, self._total, self._since = done, total, self._clock()

    def add(self, size: int) -> None:
        """Count so many bytes more."""
        with self._lock:
            self._done += size

    def end(self) -> None:
        """Stop to count: nothing is on its way any more."""
        with self._lock:
            self._since = -1.0

    @property
    def done(self) -> int:
        """Bytes that are there."""
        with self._lock:
            return self._done

    @property
    def total(self) -> int:
        """Bytes in all; 0 if that is not known."""
        with self._lock:
            return self._total

    def in_words(self) -> str:
        """Say how far it is, such as `52 MiB of 217 MiB (24 %) in 8 s`; empty if nothing is on."""
        with self._lock:
            done, total, since = self._done, self._total, self._since
        if since < 0:
            return ""
        seconds = f"in {self._clock() - since:,.0f} s"
        if not total:
            return f"{sizes.in_words(done)} {seconds}"
        percent = f"({100 * done // total} %)"
        return f"{sizes.in_words(done)} of {sizes.in_words(total)} {percent} {seconds}"
