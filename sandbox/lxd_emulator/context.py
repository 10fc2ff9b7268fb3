"""What every handler can reach."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from sandbox.lxd_emulator.events import EventHub
    from sandbox.lxd_emulator.faults import Faults
    from sandbox.lxd_emulator.guests import Guests
    from sandbox.lxd_emulator.machines import Machines
    from sandbox.lxd_emulator.operations import Operations
    from sandbox.lxd_emulator.state import ServerState

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Context:
    """The parts of one emulated server.

    Attributes:
        restart: Ends the server and lets it come up again after so many seconds.
    """

    state: ServerState
    events: EventHub
    operations: Operations
    machines: Machines
    guests: Guests
    faults: Faults
    restart: Callable[[float], None]


CONTEXT = web.AppKey("context", Context)


def project_of(request: web.Request) -> str:
    """Return the project that a request is about."""
    return request.query.get("project") or "default"


def recursion_of(request: web.Request) -> int:
    """Return how much of each item a listing is to tell."""
    value = request.query.get("recursion", "0").partition(";")[0]
    return int(value) if value.isdigit() else 0
