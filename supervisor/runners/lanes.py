"""The work on each instance in order, one piece at a time, whoever gave it."""

import threading
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any

import pykka

from supervisor.observation.speaker import for_speaker
from supervisor.workers import Work, Workers


@dataclass(frozen=True)
class _Piece:
    workers: Workers
    work: Work
    ref: pykka.ActorRef[Any]


class Lanes:
    """A lane of work for each name; any thread may use it.

    It outlives the actors: what LXD is still doing for a runner whose actor has crashed comes
    before the first look of the next incarnation, and a name in a lane is one that may yet become
    an instance.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[_Piece]] = {}
        self._lock = threading.Lock()

    def submit(self, name: str, workers: Workers, work: Work, ref: pykka.ActorRef[Any]) -> None:
        """Have `work` done by `workers` after all that was given for `name` before."""
        # It may be begun by the thread of the piece before it.
        piece = _Piece(workers, for_speaker(work), ref)
        with self._lock:
            waiting = self._waiting.get(name)
            if waiting is not None:
                waiting.append(piece)
                return
            self._waiting[name] = deque()
        self._begin(name, piece)

    def clear(self, name: str) -> None:
        """Forget what waits for its turn: whoever gave it is not there any more."""
        with self._lock:
            if name in self._waiting:
                self._waiting[name].clear()

    def names(self) -> frozenset[str]:
        """Give the names for which work is under way."""
        with self._lock:
            return frozenset(self._waiting)

    def _begin(self, name: str, piece: _Piece) -> None:
        # The next one begins after this one's outcome is told, so outcomes come in order too.
        try:
            piece.workers.submit(piece.work, piece.ref, then=partial(self._next, name))
        except RuntimeError:
            with self._lock:
                del self._waiting[name]  # or whatever is given later would wait for ever
            raise

    def _next(self, name: str) -> None:
        with self._lock:
            if not self._waiting[name]:
                del self._waiting[name]
                return
            piece = self._waiting[name].popleft()
        self._begin(name, piece)
