"""Adds up the processor time of calls within this process, by what they are for."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any


@dataclass(eq=False)
class _Call:
    """One that is counted, while it is under way.

    Attributes:
        what: is counted.
        began_s: by the processor time of its thread.
        clock: of that thread.
        others_s: what calls within it took that are counted for themselves.
    """

    what: str
    began_s: float
    clock: int = field(default_factory=lambda: time.pthread_getcpuclockid(threading.get_ident()))
    others_s: float = 0.0


class Meter:
    """Counts a call that is made within another for itself alone. For any thread."""

    def __init__(self) -> None:
        self._spent_s: defaultdict[str, float] = defaultdict(float)
        self._under_way: set[_Call] = set()
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    @property
    def spent_s(self) -> dict[str, float]:
        """Processor seconds, by what they were spent on."""
        with self._lock:
            return dict(self._spent_s)

    def counted(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Have the processor time of a call be added up, in whatever thread it is made."""

        @wraps(call)
        def timed(*arguments: Any, **options: Any) -> Any:
            outer: _Call | None = getattr(self._of_thread, "call", None)
            came_s = time.thread_time()
            mine = self._of_thread.call = _Call(what, came_s)
            with self._lock:
                self._under_way.add(mine)
            # What it takes to read the clock is known here, and not in a loop, where it is less.
            reading_s = -time.thread_time()
            mine.began_s = time.thread_time()
            reading_s += mine.began_s
            try:
                return call(*arguments, **options)
            finally:
                took_s = time.thread_time() - mine.began_s - reading_s - mine.others_s
                self._of_thread.call = outer
                with self._lock:
                    self._under_way.discard(mine)
                    self._spent_s[what] += took_s
                if outer:
                    outer.others_s += time.thread_time() - came_s

        return timed

    def so_far(self) -> dict[str, float]:
        """Give what was spent until now, also by calls that are under way."""
        with self._lock:
            spent_s = Counter(self._spent_s)
            for call in self._under_way:
                spent_s[call.what] += time.clock_gettime(call.clock) - call.began_s - call.others_s
            return dict(spent_s)
