"""LXD's events with LXD's own timestamps, recorded beside whatever is being measured."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

import pylxd
from typing_extensions import Self
from ws4py.client import WebSocketBaseClient

from supervisor.gateways.lxd._moments import moment

_SUCCESS = 200


@dataclass(frozen=True)
class Operation:
    """One finished operation of LXD's on an instance; times in seconds since the epoch."""

    what: str
    name: str
    began: float
    ended: float


class Watch:
    """Records events while it is entered. Any thread may look at it.

    Args:
        path: of LXD's socket.
        project: whose events.
    """

    def __init__(self, path: Path, project: str) -> None:
        self._changed = threading.Condition()
        self._moments: dict[str, dict[str, float]] = {}
        self._order: dict[str, list[str]] = {}
        self._operations: list[Operation] = []
        self._socket = _Socket(f"ws+unix://{path}", self._take)
        query = {"type": "lifecycle,operation", "project": project}
        self._socket.resource = f"/1.0/events?{urlencode(query)}"

    def __enter__(self) -> Self:
        self._socket.connect()  # type: ignore[no-untyped-call]
        threading.Thread(target=self._listen, name="watch", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # This wakes the thread that waits for bytes; closing alone would not.
        with suppress(OSError):
            self._socket.sock.shutdown(socket.SHUT_RDWR)

    def clear(self) -> None:
        """Forget all that was recorded."""
        with self._changed:
            self._moments.clear()
            self._order.clear()
            self._operations.clear()

    def when(self, action: str) -> dict[str, float]:
        """Return when each instance had this lifecycle event last, in seconds since the epoch."""
        with self._changed:
            return dict(self._moments.get(action, {}))

    def names(self, action: str) -> list[str]:
        """Return which instances had this lifecycle event, in order."""
        with self._changed:
            return list(self._order.get(action, ()))

    def operations(self) -> list[Operation]:
        """Return the operations that succeeded."""
        with self._changed:
            return list(self._operations)

    def wait_for(self, action: str, count: int, limit_s: float) -> None:
        """Wait until so many instances had this lifecycle event.

        Raises:
            TimeoutError: they had not.
        """
        deadline = time.monotonic() + limit_s
        with self._changed:
            while len(self._order.get(action, ())) < count:
                if not self._changed.wait(deadline - time.monotonic()):
                    seen = len(self._order.get(action, ()))
                    raise TimeoutError(f"{seen} of {count} {action} within {limit_s:g} s")

    def _listen(self) -> None:
        with suppress(OSError):
            while self._socket.once():  # type: ignore[no-untyped-call]
                pass

    def _take(self, event: dict[str, Any]) -> None:
        metadata = event["metadata"]
        with self._changed:
            if event["type"] == "lifecycle":
                name = metadata["source"].split("?")[0].rpartition("/")[2]
                action = metadata["action"]
                self._moments.setdefault(action, {})[name] = _seconds(event["timestamp"])
                self._order.setdefault(action, []).append(name)
            elif metadata["status_code"] == _SUCCESS:
                touched = (metadata.get("resources") or {}).get("instances") or [""]
                began, ended = _seconds(metadata["created_at"]), _seconds(event["timestamp"])
                name = touched[0].split("?")[0].rpartition("/")[2]
                self._operations.append(Operation(metadata["description"], name, began, ended))
            self._changed.notify_all()


class _Socket(WebSocketBaseClient):
    def __init__(self, url: str, take: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(url, exclude_headers=["Origin"])  # type: ignore[no-untyped-call]
        self._take = take

    def handshake_ok(self) -> None:
        """Nothing more is needed: the owner runs the loop."""

    def received_message(self, message: Any) -> None:
        """Hand it over."""
        self._take(json.loads(message.data))


def client(path: Path, project: str, timeout_s: float = 120) -> pylxd.Client:
    """Return a bare client of LXD; each thread needs its own."""
    address = f"http+unix://{quote(str(path), safe='')}"
    return pylxd.Client(endpoint=address, project=project, timeout=timeout_s)


def _seconds(text: str) -> float:
    at: datetime = moment(text)
    return at.timestamp()
