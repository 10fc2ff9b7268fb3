"""Commands in guests: three streams over websockets, and what a simulated guest has to say.

No command is really run: whatever it is, a guest answers with its diary.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.lxd_emulator.errors import LxdError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECT_S = 5.0
_STREAMS = ("0", "1", "2")
_CONTROL = "control"
_ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "USER": "root",
}


def check(body: Mapping[str, Any]) -> None:
    """Refuse what LXD refuses, and what is not emulated.

    Raises:
        LxdError: It is refused.
    """
    command = body.get("command")
    if isinstance(command, str):
        raise LxdError(
            400,
            "json: cannot unmarshal string into Go struct field "
            "InstanceExecPost.command of type []string",
        )
    if not body.get("wait-for-websocket") or body.get("interactive"):
        raise LxdError(501, "not implemented")


@dataclass(eq=False)
class Command:
    """One command of a guest's, from its order to its end. Belongs to the event loop."""

    given: Mapping[str, Any]
    fds: Mapping[str, str] = field(
        default_factory=lambda: {name: secrets.token_hex(32) for name in (*_STREAMS, _CONTROL)}
    )
    _open: dict[str, web.WebSocketResponse] = field(default_factory=dict)
    _connected: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def metadata(self) -> dict[str, Any]:
        """Return what its operation says of it."""
        return {
            "command": self.given.get("command"),
            "environment": {**(self.given.get("environment") or {}), **_ENVIRONMENT},
            "fds": self.fds,
            "interactive": False,
        }

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Be one of its streams, until it has ended.

        Raises:
            LxdError: The secret is missing or wrong.
        """
        secret = request.query.get("secret")
        if secret is None:
            raise LxdError(500, "missing secret")
        name = next((name for name, one in self.fds.items() if one == secret), None)
        if name is None or name in self._open:
            raise LxdError(500, "permission denied")
        stream = web.WebSocketResponse(compress=False)
        if not stream.can_prepare(request).ok:
            return web.Response(status=400, text="Bad Request\n")
        await stream.prepare(request)
        self._open[name] = stream
        if all(one in self._open for one in _STREAMS):
            self._connected.set()
        await self._ended.wait()
        return stream

    async def all_connected(self) -> None:
        """Wait until the client has all its streams.

        Raises:
            LxdError: It takes too long.
        """
        try:
            await asyncio.wait_for(self._connected.wait(), _CONNECT_S)
        except asyncio.TimeoutError as error:
            raise LxdError(400, "Timed out waiting for websockets to connect") from error

    async def write(self, output: bytes) -> None:
        """Write to the standard output, to its end; a client that has gone does not matter."""
        with suppress(ConnectionError):
            if output:
                await self._open["1"].send_bytes(output)
            await self._open["1"].send_str("")

    async def close(self) -> None:
        """Let go of all streams."""
        self._ended.set()
        for stream in self._open.values():
            await stream.close()
