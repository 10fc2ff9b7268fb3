"""LXD's event stream: what happened, to everyone who listens, once."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.lxd_emulator.clock import now
from sandbox.lxd_emulator.errors import LxdError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.lxd_emulator.faults import EventFault, Faults

TYPES = ("lifecycle", "logging", "operation")
REQUESTOR: Mapping[str, str] = {"username": "root", "protocol": "unix", "address": "@"}
"""Who asked, in the events that say so: whoever talks to the socket is root to LXD."""


@dataclass(eq=False)
class _Listener:
    types: frozenset[str]
    project: str | None
    waiting: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)


class EventHub:
    """Hands events to listeners. Belongs to the emulator's event loop."""

    def __init__(self, faults: Faults, ping_s: float = 10) -> None:
        self._faults = faults
        self._ping_s = ping_s
        self._listeners: set[_Listener] = set()
        self._held: list[tuple[str, str, str]] = []

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return len(self._listeners)

    def lifecycle(
        self,
        action: str,
        source: str,
        project: str,
        *,
        context: Mapping[str, Any] | None = None,
        requested: bool = False,
    ) -> None:
        """Tell that something happened to an instance, image, …."""
        metadata: dict[str, Any] = {"action": action, "source": source}
        if context is not None:
            metadata["context"] = context
        if requested:
            metadata["requestor"] = REQUESTOR
        self._publish("lifecycle", metadata, project, action, source)

    def operation(self, document: Mapping[str, Any], project: str) -> None:
        """Tell an operation's state."""
        if not any("operation" in listener.types for listener in self._listeners):
            return
        resources = next(iter((document["resources"] or {}).values()), [""])
        self._publish("operation", document, project, document["description"], resources[0])

    def close_all(self) -> None:
        """End all streams, as a daemon does that goes away."""
        for listener in self._listeners:
            listener.waiting.put_nowait(None)

    async def serve(self, request: web.Request, projects: Mapping[str, Any]) -> web.StreamResponse:
        """Answer `GET /1.0/events`: a websocket until either side ends it.

        Raises:
            LxdError: The request is refused.
        """
        types = [kind for kind in request.query.get("type", "").split(",") if kind]
        for kind in types:
            if kind not in TYPES:
                raise LxdError(500, f'"{kind}" isn\'t a supported event type')
        everywhere = request.query.get("all-projects") == "true"
        project = None if everywhere else request.query.get("project", "default")
        if project is not None and project not in projects:
            raise LxdError(500, "Project not found")
        stream = web.WebSocketResponse(compress=False)
        if not stream.can_prepare(request).ok:
            return web.Response(status=400, text="Bad Request\n")
        mute = self._faults.is_mute()
        listener = _Listener(frozenset() if mute else frozenset(types or TYPES), project)
        # From the handshake's answer on nothing may be missed, so it listens before.
        self._listeners.add(listener)
        try:
            await stream.prepare(request)
            await _send_until_end(request, stream, listener, None if mute else self._ping_s)
        finally:
            self._listeners.discard(listener)
        return stream

    def _publish(
        self, kind: str, metadata: Mapping[str, Any], project: str, action: str, source: str
    ) -> None:
        name = source.partition("?")[0].rpartition("/")[2]
        fault = self._faults.event(action, name)
        if not self._listeners or (fault is not None and fault.way == "withhold"):
            return
        text = json.dumps(
            {
                "type": kind,
                "timestamp": now(),
                "metadata": metadata,
                "location": "none",
                "project": project,
            }
        )
        self._deliver(fault, (kind, project, text))

    def _deliver(self, fault: EventFault | None, event: tuple[str, str, str]) -> None:
        if fault is not None and fault.way == "delay":
            asyncio.get_running_loop().call_later(fault.seconds, self._send, *event)
            return
        if fault is not None and fault.way == "reorder":
            self._held.append(event)
            return
        self._send(*event)
        if fault is not None and fault.way == "duplicate":
            self._send(*event)
        held, self._held = self._held, []
        for earlier in held:
            self._send(*earlier)

    def _send(self, kind: str, project: str, text: str) -> None:
        for listener in self._listeners:
            if kind in listener.types and listener.project in {None, project}:
                listener.waiting.put_nowait(text)


async def _send_until_end(
    request: web.Request,
    stream: web.WebSocketResponse,
    listener: _Listener,
    ping_s: float | None,
) -> None:
    tasks = [asyncio.ensure_future(_read_until_closed(stream, listener))]
    if ping_s is not None:
        tasks.append(asyncio.ensure_future(_give_signs_of_life(stream, ping_s)))
    try:
        while (text := await listener.waiting.get()) is not None:
            with suppress(ConnectionError):
                await stream.send_str(text)
    finally:
        for task in tasks:
            task.cancel()
    if not stream.closed and request.transport is not None:
        # LXD that goes away says no goodbye.
        request.transport.abort()


async def _read_until_closed(stream: web.WebSocketResponse, listener: _Listener) -> None:
    async for _ in stream:
        pass
    listener.waiting.put_nowait(None)


async def _give_signs_of_life(stream: web.WebSocketResponse, ping_s: float) -> None:
    """Send a ping at once and then regularly, as LXD does."""
    with suppress(ConnectionError):
        while True:
            await stream.ping()
            await asyncio.sleep(ping_s)
