"""What has been told and is not yet written down.

Whoever tells is never kept waiting: what finds no room is lost, and counted.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from pathlib import Path

from supervisor.feed import Record

ROOM = 10_000
_MOST_AT_ONCE = 1000


class JournalInbox:
    """What has been told and is not yet taken, the oldest first. It outlives the thread that takes.

    Args:
        path: of the journal's file.
        room: for so many; more are lost.
    """

    def __init__(self, path: Path, room: int = ROOM) -> None:
        self.path = path
        self.suspect = threading.Event()
        """Set by whoever has read something in the file that should not be there."""
        self._told: queue.Queue[Record] = queue.Queue(room)
        self._lost = 0
        self._counting = threading.Lock()

    @property
    def lost(self) -> int:
        """How many were lost since the daemon has started."""
        return self._lost

    def take(self, record: Record) -> None:
        """Take a record, in whichever thread tells it."""
        try:
            self._told.put_nowait(record)
        except queue.Full:
            self.lose(1)

    def next(self, wait_s: float) -> list[Record]:
        """Give the oldest ones, and wait for the first of them so long; none if none comes."""
        found: list[Record] = []
        with suppress(queue.Empty):
            found.append(self._told.get(timeout=wait_s) if wait_s > 0 else self._told.get_nowait())
            while len(found) < _MOST_AT_ONCE:
                found.append(self._told.get_nowait())
        return found

    def lose(self, count: int) -> None:
        """Count some as lost."""
        with self._counting:
            self._lost += count
