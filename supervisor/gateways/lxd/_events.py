"""LXD's lifecycle events, as they happen.

LXD sends no event twice and keeps none for who wasn't connected: after a stream has ended, only
a listing tells what happened meanwhile.

The order is LXD's, and not what one might think: an ephemeral instance that is stopped by force
is reported deleted first and stopped afterwards; one is reported created before the operation
that creates it has succeeded.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode, urlsplit

from ws4py.exc import WebSocketException

from supervisor.gateways.lxd._connection import Connection
from supervisor.gateways.lxd._errors import LxdUnavailable, unreachable
from supervisor.gateways.lxd._moments import moment
from supervisor.gateways.lxd._websocket import Websocket

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from typing_extensions import Self

# LXD 5.0 sends a ping at once and then every 10 s; three missing ones mean that it hangs.
_SILENCE_S = 35.0


@dataclass(frozen=True)
class LifecycleEvent:
    """Something that happened to an instance or another object of LXD's.

    Attributes:
        action: LXD's word, such as `instance-shutdown` or `instance-deleted`.
        name: The object's name; an instance's for all that concerns it.
        project: Where it is.
        at: When LXD says it happened, in UTC.
    """

    action: str
    name: str
    project: str
    at: datetime


class EventStream:
    """A connection on which lifecycle events of one project arrive; iterate over it.

    One thread iterates. The iteration ends when `close` was called, from whatever thread, and
    raises LxdUnavailable when the connection is lost; it does not connect anew.
    """

    def __init__(self, websocket: Websocket, where: str) -> None:
        self._websocket = websocket
        self._socket: socket.socket = websocket.sock
        self._where = where
        self._closed = threading.Event()

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> LifecycleEvent:
        while not self._closed.is_set():
            if self._websocket.arrived:
                event = _event(self._websocket.arrived.popleft())
                if event is not None:
                    return event
            elif not self._websocket.receive():
                break
        self._end()
        if self._closed.is_set():
            raise StopIteration
        raise LxdUnavailable(f"LXD's event stream from {self._where} ended: {self._reason()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream, and the wait of the thread that iterates over it; from any thread."""
        self._closed.set()
        # This wakes a thread that waits for bytes; closing alone would not.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._socket.close()

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def _reason(self) -> str:
        failure = self._websocket.failure
        if isinstance(failure, TimeoutError):
            return f"nothing came for {_SILENCE_S:g} s, not even a sign of life"
        return f"{failure}" if failure else "LXD closed it, or is gone"


class Events(Connection):
    """The call that connects to the events."""

    def events(self) -> EventStream:
        """Connect to the lifecycle events of the project; those from now on will arrive.

        Raises:
            LxdUnavailable: LXD can't be reached, or doesn't answer within the time limit.
        """
        aim = "listen to the events"
        where, timeout_s = str(self.endpoint.find_socket()), self.endpoint.timeout_s
        websocket = self._client(aim).events(websocket_client=Websocket)
        query = urlencode({"type": "lifecycle", "project": self.endpoint.project})
        websocket.resource = f"{websocket.resource}?{query}"
        websocket.sock.settimeout(timeout_s)
        try:
            websocket.connect()
            websocket.sock.settimeout(_SILENCE_S)
        except (WebSocketException, OSError, ValueError, AttributeError) as error:
            websocket.close_connection()
            raise unreachable(error, aim, where, timeout_s) from error
        return EventStream(websocket, where)


def _event(data: bytes) -> LifecycleEvent | None:
    """Read one event; None if it is of a kind that nobody here understands."""
    try:
        body = json.loads(data)
        if body["type"] != "lifecycle":
            return None
        metadata = body["metadata"]
        return LifecycleEvent(
            action=metadata["action"],
            name=_name(metadata),
            project=body.get("project") or metadata.get("project") or "default",
            at=moment(body["timestamp"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _name(metadata: Mapping[str, Any]) -> str:
    """Return the name in an event's source, `/1.0/instances/NAME/...?project=...`."""
    segments = [unquote(part) for part in urlsplit(metadata["source"]).path.split("/") if part]
    if "instances" in segments[:-1]:
        return segments[segments.index("instances") + 1]
    return segments[-1] if segments else ""
