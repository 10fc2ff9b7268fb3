"""One emulated server in an event loop: its life, its restarts, its state on disk."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.lxd_emulator.api import application
from sandbox.lxd_emulator.clock import now
from sandbox.lxd_emulator.context import Context
from sandbox.lxd_emulator.events import EventHub
from sandbox.lxd_emulator.faults import Faults
from sandbox.lxd_emulator.guests import GuestBehaviour, Guests
from sandbox.lxd_emulator.machines import Machines, Timing
from sandbox.lxd_emulator.operations import Operations
from sandbox.lxd_emulator.state import ServerState, add_image, furnish

if TYPE_CHECKING:
    from pathlib import Path

_BACKLOG = 2048
# For calls that hang: aiohttp takes 0 for no limit.
_GRACE_S = 0.01
_SAVE_EVERY_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How an emulated server is set up.

    Attributes:
        socket: The unix socket; a stale one is replaced.
        guest: How guests behave.
        timing: How long LXD takes.
        state_file: Where the state is kept over the process's end; None keeps it in memory.
        images: Images that are there from the beginning: type by alias, in the default project.
        furnished: There is a pool, a bridge and a default profile with both from the beginning.
        mode: The socket's permissions.
    """

    socket: Path
    guest: GuestBehaviour = field(default_factory=GuestBehaviour)
    timing: Timing = field(default_factory=Timing)
    state_file: Path | None = None
    images: dict[str, str] = field(default_factory=dict)
    furnished: bool = True
    mode: int = 0o660


class Server:
    """An emulated server. Everything in it belongs to the event loop it was made in.

    The daemon's part can go down and come up again; state and guests go on meanwhile.

    Raises:
        ValueError: The state file holds something else.
        OSError: The state file can't be read.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        state = self._first_state()
        faults = Faults()
        events = EventHub(faults, settings.timing.ping_s)
        operations = Operations(events, faults)
        machines = Machines(state, operations, events, settings.timing)
        guests = Guests(settings.guest, faults, machines.guest_ended)
        machines.guests = guests
        self.context = Context(
            state, events, operations, machines, guests, faults, self._restart_soon
        )
        self._runner: web.AppRunner | None = None
        self._saving: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve; returns when the first call can come.

        Raises:
            OSError: The socket can't be had.
        """
        await self.context.guests.open()
        await self.come_up()
        if self.settings.state_file is not None:
            self._saving = asyncio.create_task(self._save_now_and_then(self.settings.state_file))

    async def stop(self) -> None:
        """End everything, guests as well."""
        for task in (self._saving, self._restarting):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await self.go_down()
        await self.context.guests.close()
        if self.settings.state_file is not None:
            _save(self.settings.state_file, self.context.state.dump())
        self.settings.socket.unlink(missing_ok=True)

    async def go_down(self) -> None:
        """End the daemon as if it was killed: calls break, streams end, operations are lost."""
        self.context.machines.go_down()
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        self.context.events.close_all()
        for connection in runner.server.connections if runner.server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()
        await self.context.operations.abandon_all()
        await runner.cleanup()

    async def come_up(self) -> None:
        """Start the daemon; what died meanwhile is started again, as LXD does.

        Raises:
            OSError: The socket can't be had.
        """
        if self._runner is not None:
            return
        runner = web.AppRunner(
            application(self.context),
            access_log=None,
            shutdown_timeout=_GRACE_S,
            keepalive_timeout=3600,
        )
        await runner.setup()
        path = self.settings.socket
        try:
            path.unlink(missing_ok=True)
            await web.UnixSite(runner, str(path), backlog=_BACKLOG).start()
            path.chmod(self.settings.mode)
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.context.machines.come_up()

    def _restart_soon(self, down_s: float) -> None:
        async def restart() -> None:
            # The call that asked for it is answered first.
            await asyncio.sleep(0.05)
            await self.go_down()
            await asyncio.sleep(down_s)
            await self.come_up()

        self._restarting = asyncio.create_task(restart())

    def _first_state(self) -> ServerState:
        path = self.settings.state_file
        if path is not None and path.exists():
            return ServerState.load(path.read_text(encoding="utf-8"))
        state = ServerState()
        if self.settings.furnished:
            furnish(state)
        for alias, image_type in self.settings.images.items():
            add_image(state, alias, image_type, now())
        return state

    async def _save_now_and_then(self, path: Path) -> None:
        saved = ""
        while True:
            text = self.context.state.dump()
            if text != saved:
                _save(path, text)
                saved = text
            await asyncio.sleep(_SAVE_EVERY_S)


def _save(path: Path, text: str) -> None:
    # It holds what guests were given: nobody else may read it.
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
