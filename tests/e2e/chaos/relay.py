"""A unix socket between the daemon and LXD, so that the way between the two can fail by itself."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

_START_LIMIT_S = 10.0
_CHUNK = 64 * 1024


@dataclass(eq=False)
class _Way:
    """One connection of the daemon's, and the one to LXD that was made for it."""

    here: asyncio.StreamWriter
    there: asyncio.StreamWriter
    is_event_stream: bool = False

    def abort(self) -> None:
        self.here.transport.abort()
        self.there.transport.abort()


class Relay:
    """Passes bytes on in both directions; a context manager. Any thread may call it.

    Args:
        path: the socket to be made.
        target: LXD's own.
    """

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self._target = target
        self._ways: set[_Way] = set()
        self._loop = asyncio.new_event_loop()
        self._free = asyncio.Event()
        self._over = asyncio.Event()
        self._serves = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._serves.wait(_START_LIMIT_S), f"no socket at {self.path}"
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def cut(self, *, only_event_streams: bool = False) -> None:
        """Break what is open; connections may be made again at once."""
        self._loop.call_soon_threadsafe(self._cut, only_event_streams)

    def hold(self) -> None:
        """Pass nothing on from now on; connections are taken nevertheless."""
        self._loop.call_soon_threadsafe(self._free.clear)

    def release(self) -> None:
        """Pass everything on again, what was held back too."""
        self._loop.call_soon_threadsafe(self._free.set)

    def open_ways(self) -> int:
        """Count the connections."""
        return len(self._ways)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._free.set()
        async with await asyncio.start_unix_server(self._connected, str(self.path), backlog=512):
            self._serves.set()
            await self._over.wait()
            self._free.set()
            self._cut(only_event_streams=False)
        # Those that pass on end by themselves now.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    def _cut(self, only_event_streams: bool) -> None:
        for way in tuple(self._ways):
            if way.is_event_stream or not only_event_streams:
                way.abort()

    async def _connected(
        self, from_here: asyncio.StreamReader, to_here: asyncio.StreamWriter
    ) -> None:
        try:
            from_there, to_there = await asyncio.open_unix_connection(str(self._target))
        except OSError:  # LXD is dead
            to_here.transport.abort()
            return
        way = _Way(to_here, to_there)
        self._ways.add(way)
        try:
            await asyncio.gather(
                self._pass_on(from_here, to_there, way), self._pass_on(from_there, to_here, way)
            )
        finally:
            self._ways.discard(way)
            way.abort()

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, way: _Way
    ) -> None:
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                if data.startswith(b"GET /1.0/events"):
                    way.is_event_stream = True
                await self._free.wait()
                target.write(data)
                await target.drain()
            await self._free.wait()
            if target.can_write_eof():
                target.write_eof()
