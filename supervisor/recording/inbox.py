"""What has been told and is not yet written down.

Whoever tells is never kept waiting: what finds no room is lost, and counted.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

from supervisor.observation.feed import Feed, Record

ROOM = 10_000
"""Records that wait at most."""
_MOST_AT_ONCE = 1000
"""Records that are taken at most, each time."""
_CATCH_UP_S = 1.0
"""For so long a reader waits for what is not written yet."""


class JournalInbox:
    """What has been told and is not yet taken, the oldest first. One thread takes of it.

    Args:
        path: of the journal's file.
        feed: is watched from now on.
        room: for so many; more are lost. So it is with what was taken and can't be written.
    """

    def __init__(self, path: Path, feed: Feed, room: int = ROOM) -> None:
        self.path = path
        self._feed = feed
        self.suspect = threading.Event()
        """Set by whoever has read something in the file that should not be there."""
        self._told: deque[Record] = deque()
        self.room = room
        self._crowd = min(_MOST_AT_ONCE, room // 2)
        self.is_attended = False
        """Set by whoever takes of it, for as long as that goes on."""
        self._wanted = threading.Event()
        self._readers: deque[threading.Event] = deque()
        self._is_late = False
        self._lost = 0
        self._counting = threading.Lock()
        feed.watch(lambda record, _at_s: self.take(record))

    @property
    def lost(self) -> int:
        """How many were lost since the daemon has started."""
        return self._lost

    @property
    def waiting(self) -> int:
        """How many wait to be taken."""
        self._feed.pass_on()
        return len(self._told)

    @property
    def is_crowded(self) -> bool:
        """Whether they are too many to wait for more."""
        return len(self._told) >= self._crowd

    def wake(self) -> None:
        """Have whoever takes of it do so now."""
        self._wanted.set()

    def wait(self, limit_s: float) -> None:
        """Wait until somebody wants it to be taken, so long at most."""
        self._wanted.wait(limit_s)
        self._wanted.clear()

    def catch_up(self, limit_s: float = _CATCH_UP_S) -> None:
        """Have what was told, the oldest thousand of it, be in the file: one is about to read that.

        Where it can't be written, or not soon enough, the reader finds what is there. Where one has
        waited in vain, as a write hangs, no other waits until that has ended.
        """
        if not self.is_attended or self._is_late:
            self.wake()
            return
        written = threading.Event()
        self._readers.append(written)
        self.wake()
        if not written.wait(limit_s):
            self._is_late = True
            with suppress(ValueError):  # what hangs has taken it already
                self._readers.remove(written)

    def readers(self) -> list[threading.Event]:
        """Give those who wait for what was told until now: to be set when that is written."""
        self._is_late = False
        found: list[threading.Event] = []
        with suppress(IndexError):
            while True:
                found.append(self._readers.popleft())
        return found

    def take(self, record: Record) -> None:
        """Take a record, in whichever thread passes it on: by one at a time.

        Nobody is woken for one, or for a few: that would cost more than all else that is done here.
        """
        if len(self._told) >= self.room:
            self.lose(1)
            return
        self._told.append(record)
        if len(self._told) == self._crowd:
            self.wake()

    def next(self) -> list[Record]:
        """Give the oldest ones, as many as there are and can be dealt with at once."""
        self._feed.pass_on()
        found: list[Record] = []
        with suppress(IndexError):
            while len(found) < _MOST_AT_ONCE:
                found.append(self._told.popleft())
        return found

    def lose(self, count: int) -> None:
        """Count some as lost."""
        with self._counting:
            self._lost += count
