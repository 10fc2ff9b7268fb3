"""`/_emulator/…` on the same socket: misbehaviour on request, and a look inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.lxd_emulator.answers import body_of, sync
from sandbox.lxd_emulator.context import CONTEXT
from sandbox.lxd_emulator.errors import LxdError, not_found
from sandbox.lxd_emulator.faults import read_fault

if TYPE_CHECKING:
    from sandbox.lxd_emulator.context import Context

PREFIX = "/_emulator/"


def add(app: web.Application) -> None:
    """Serve the emulator's own calls."""
    route = app.router.add_route
    route("POST", f"{PREFIX}faults", _add_fault)
    route("DELETE", f"{PREFIX}faults", _clear_faults)
    route("GET", f"{PREFIX}guests", _guests)
    route("DELETE", f"{PREFIX}guests/{{name}}", _crash_guest)
    route("DELETE", f"{PREFIX}events", _close_events)
    route("POST", f"{PREFIX}restart", _restart)


async def _add_fault(request: web.Request) -> web.Response:
    try:
        fault = read_fault(await body_of(request))
    except ValueError as error:
        raise LxdError(400, str(error)) from error
    _context(request).faults.add(fault)
    return sync({})


async def _clear_faults(request: web.Request) -> web.Response:
    _context(request).faults.clear()
    return sync({})


async def _guests(request: web.Request) -> web.Response:
    return sync(_context(request).guests.stages())


async def _crash_guest(request: web.Request) -> web.Response:
    key = (request.query.get("project") or "default", request.match_info["name"])
    if not _context(request).guests.crash(key):
        raise not_found("Guest")
    return sync({})


async def _close_events(request: web.Request) -> web.Response:
    _context(request).events.close_all()
    return sync({})


async def _restart(request: web.Request) -> web.Response:
    body = await body_of(request)
    down_s = body.get("down_s", 0)
    if not isinstance(down_s, (int, float)):
        raise LxdError(400, "down_s is a number of seconds")
    _context(request).restart(float(down_s))
    return sync({})


def _context(request: web.Request) -> Context:
    return request.app[CONTEXT]
