"""The whole API: what is served, and how refusals and wanted faults come out."""

from __future__ import annotations

import asyncio
import os
import platform
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.lxd_emulator import admin, api_images, api_instances, api_objects
from sandbox.lxd_emulator.answers import refusal, sync
from sandbox.lxd_emulator.context import CONTEXT, Context, project_of, recursion_of
from sandbox.lxd_emulator.errors import LxdError
from sandbox.lxd_emulator.extensions import EXTENSIONS

if TYPE_CHECKING:
    from sandbox.lxd_emulator.context import Handler

_LARGEST_BODY = 16 * 1024 * 1024
_NOT_FOUND = 404
_NOT_ALLOWED = 405
VERSION = "5.0.2"


def application(context: Context) -> web.Application:
    """Return the API of one emulated server."""
    app = web.Application(middlewares=[_misbehave, _refuse], client_max_size=_LARGEST_BODY)
    app[CONTEXT] = context
    route = app.router.add_route
    route("GET", "/", _versions)
    route("GET", "/1.0", _server)
    route("GET", "/1.0/events", _events)
    route("GET", "/1.0/operations", _operations)
    route("GET", "/1.0/operations/{id}", _operation)
    route("GET", "/1.0/operations/{id}/wait", _wait)
    route("GET", "/1.0/operations/{id}/websocket", _stream)
    route("DELETE", "/1.0/operations/{id}", _cancel)
    route("GET", "/1.0/certificates", _nothing)
    route("GET", "/1.0/warnings", _nothing)
    route("GET", "/1.0/cluster/members", _not_clustered)
    for chapter in (api_instances, api_images, api_objects, admin):
        chapter.add(app)
    return app


@web.middleware
async def _misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path.startswith(admin.PREFIX):
        return await handler(request)
    fault = request.app[CONTEXT].faults.call(request.method, request.path)
    if fault is None:
        return await handler(request)
    if fault.way == "fail":
        return refusal(LxdError(fault.status, fault.text))
    if fault.way == "garble":
        return web.Response(status=fault.status, text=fault.text)
    if fault.way in {"drop", "lose"}:
        if fault.way == "lose":
            await handler(request)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    if fault.seconds is None:
        await asyncio.Event().wait()
    await asyncio.sleep(fault.seconds or 0)
    return await handler(request)


@web.middleware
async def _refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except LxdError as error:
        return refusal(error)
    except web.HTTPException as error:
        if error.status == _NOT_ALLOWED:
            return refusal(LxdError(501, "not implemented"))
        if error.status == _NOT_FOUND:
            return refusal(LxdError(404, "not found"))
        raise


async def _versions(_request: web.Request) -> web.Response:
    return sync(["/1.0"])


async def _server(request: web.Request) -> web.Response:
    machine = platform.machine()
    environment = {
        "addresses": [],
        "architectures": [machine],
        "certificate": "",
        "certificate_fingerprint": "",
        "driver": "lxc | qemu",
        "driver_version": "5.0.2 | 7.2.22",
        "firewall": "nftables",
        "kernel": platform.system(),
        "kernel_architecture": machine,
        "kernel_features": {},
        "kernel_version": platform.release(),
        "lxc_features": {},
        "os_name": "LXD emulator",
        "os_version": "",
        "project": project_of(request),
        "server": "lxd",
        "server_clustered": False,
        "server_event_mode": "full-mesh",
        "server_name": platform.node(),
        "server_pid": os.getpid(),
        "server_version": VERSION,
        "storage": "dir",
        "storage_version": "1",
        "storage_supported_drivers": [{"Name": "dir", "Version": "1", "Remote": False}],
    }
    return sync(
        {
            "config": {},
            "api_extensions": EXTENSIONS,
            "api_status": "stable",
            "api_version": "1.0",
            "auth": "trusted",
            "public": False,
            "auth_methods": ["tls"],
            "environment": environment,
        },
        etag="0",
    )


async def _events(request: web.Request) -> web.StreamResponse:
    context = request.app[CONTEXT]
    return await context.events.serve(request, context.state.projects)


async def _operations(request: web.Request) -> web.Response:
    listing = request.app[CONTEXT].operations.listing()
    if recursion_of(request):
        return sync({word: [one.document() for one in found] for word, found in listing.items()})
    return sync({word: [one.url for one in found] for word, found in listing.items()})


async def _operation(request: web.Request) -> web.Response:
    return sync(request.app[CONTEXT].operations.get(request.match_info["id"]).document())


async def _wait(request: web.Request) -> web.Response:
    given = request.query.get("timeout", "-1")
    try:
        limit_s = float(given)
    except ValueError as error:
        text = f'strconv.Atoi: parsing "{given}": invalid syntax'
        raise LxdError(400, text) from error
    operations = request.app[CONTEXT].operations
    operation = await operations.wait(request.match_info["id"], None if limit_s < 0 else limit_s)
    return sync(operation.document())


async def _stream(request: web.Request) -> web.StreamResponse:
    operation = request.app[CONTEXT].operations.get(request.match_info["id"])
    if operation.done.is_set():
        raise LxdError(500, "Only running operations can be connected")
    if operation.command is None:
        raise LxdError(500, "Only websocket operations can be connected")
    return await operation.command.serve(request)


async def _cancel(request: web.Request) -> web.Response:
    request.app[CONTEXT].operations.cancel(request.match_info["id"])
    return sync({})


async def _nothing(_request: web.Request) -> web.Response:
    return sync([])


async def _not_clustered(_request: web.Request) -> web.Response:
    raise LxdError(500, "Server is not clustered")


__all__ = ["VERSION", "application"]
