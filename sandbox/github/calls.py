"""A record of the REST calls that came, so that a test can tell what a client asked for."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_MOST_CALLS = 100_000


@dataclass(frozen=True)
class Call:
    """One call of the REST API, and what came of it."""

    method: str
    path: str
    """The path without its query, and without `/api/v3`."""
    query: str
    """The query as it came, without its question mark."""
    status: int | None
    """The answer's status; None where the client got none."""
    at: datetime
    """When it came, by the server's clock."""
    conditional: bool
    """Whether it was an `If-None-Match`."""
    resource: str
    """The bucket of the budget in which it is counted."""

    @property
    def not_modified(self) -> bool:
        """Whether the client had the answer already, which costs nothing."""
        return self.status == 304  # noqa: PLR2004  the status says what it is


class CallLog:
    """The last calls. Any thread may look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque(maxlen=_MOST_CALLS)

    def note(self, call: Call) -> None:
        """Add a call."""
        with self._lock:
            self._calls.append(call)

    def calls(self) -> tuple[Call, ...]:
        """Return the calls in the order in which they were answered."""
        with self._lock:
            return tuple(self._calls)

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._calls.clear()
