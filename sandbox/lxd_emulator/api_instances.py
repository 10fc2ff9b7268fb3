"""`/1.0/instances`: handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.lxd_emulator import documents, instances
from sandbox.lxd_emulator.answers import background, body_of, sync
from sandbox.lxd_emulator.clock import now
from sandbox.lxd_emulator.config_keys import CONTAINER, VIRTUAL_MACHINE
from sandbox.lxd_emulator.context import CONTEXT, project_of, recursion_of
from sandbox.lxd_emulator.errors import LxdError
from sandbox.lxd_emulator.state import check_match

if TYPE_CHECKING:
    from sandbox.lxd_emulator.model import Instance

_WITH_STATE = 2


def add(app: web.Application) -> None:
    """Serve instances."""
    route = app.router.add_route
    route("GET", "/1.0/instances", listing)
    route("POST", "/1.0/instances", create)
    route("GET", "/1.0/instances/{name}", show)
    route("PUT", "/1.0/instances/{name}", put)
    route("PATCH", "/1.0/instances/{name}", patch)
    route("DELETE", "/1.0/instances/{name}", delete)
    route("GET", "/1.0/instances/{name}/state", show_state)
    route("PUT", "/1.0/instances/{name}/state", change_state)
    route("POST", "/1.0/instances/{name}/exec", execute)
    route("GET", "/1.0/instances/{name}/console", console)
    route("GET", "/1.0/instances/{name}/logs", logs)
    route("GET", "/1.0/instances/{name}/logs/{log}", log)
    route("GET", "/1.0/instances/{name}/snapshots", snapshots)


async def listing(request: web.Request) -> web.Response:
    """List instances; those of a project that isn't there are none."""
    context = request.app[CONTEXT]
    state = context.state
    kind = request.query.get("instance-type")
    if kind and kind not in {CONTAINER, VIRTUAL_MACHINE}:
        raise LxdError(500, "Invalid instance type")
    everywhere = request.query.get("all-projects") == "true"
    found = [
        item
        for item in state.instances_of(None if everywhere else project_of(request))
        if not kind or item.type == kind
    ]
    found = list(context.faults.listed(found))
    depth = recursion_of(request)
    if depth == 0:
        return sync([instances.url(item) for item in found])
    describe = documents.full_instance if depth >= _WITH_STATE else documents.instance
    return sync([describe(state, item) for item in found])


async def create(request: web.Request) -> web.Response:
    """Begin to make an instance."""
    context = request.app[CONTEXT]
    body = await body_of(request)
    admission = instances.admit(context.state, project_of(request), body, now())
    return background(context.machines.create(admission))


async def show(request: web.Request) -> web.Response:
    """Describe one instance."""
    item = _instance(request)
    describe = documents.full_instance if recursion_of(request) else documents.instance
    document = describe(request.app[CONTEXT].state, item)
    return sync(document, etag=instances.instance_etag(item))


async def put(request: web.Request) -> web.Response:
    """Begin to replace an instance's configuration."""
    body = await body_of(request)
    item = _instance(request)
    instances.check_new_profiles(request.app[CONTEXT].state, item.project, body)
    check_match(request.headers.get("If-Match"), instances.instance_etag(item))
    return background(request.app[CONTEXT].machines.replace_config(item, body))


async def patch(request: web.Request) -> web.Response:
    """Change parts of an instance's configuration."""
    body = await body_of(request)
    item = _instance(request)
    instances.check_new_profiles(request.app[CONTEXT].state, item.project, body)
    check_match(request.headers.get("If-Match"), instances.instance_etag(item))
    request.app[CONTEXT].machines.patch_config(item, body)
    return sync({})


async def delete(request: web.Request) -> web.Response:
    """Begin to delete an instance."""
    return background(request.app[CONTEXT].machines.delete(_instance(request)))


async def show_state(request: web.Request) -> web.Response:
    """Describe what an instance uses."""
    return sync(documents.instance_state(request.app[CONTEXT].state, _instance(request)))


async def change_state(request: web.Request) -> web.Response:
    """Begin to start, stop, restart, freeze or unfreeze an instance."""
    body = await body_of(request)
    return background(request.app[CONTEXT].machines.change_state(_instance(request), body))


async def execute(request: web.Request) -> web.Response:
    """Begin to run a command in an instance's guest."""
    body = await body_of(request)
    return background(request.app[CONTEXT].machines.execute(_instance(request), body))


async def console(request: web.Request) -> web.Response:
    """Return what the guest has written on its console."""
    item = _instance(request)
    text = request.app[CONTEXT].guests.console((item.project, item.name))
    if text is None:
        raise LxdError(500, f"open /var/log/lxd/{item.name}/console.log: no such file or directory")
    return web.Response(body=text.encode(), content_type="application/octet-stream")


async def logs(request: web.Request) -> web.Response:
    """List LXD's own logs of an instance."""
    item = _instance(request)
    return sync([f"/1.0/instances/{item.name}/logs/{_log_name(item)}"])


async def log(request: web.Request) -> web.Response:
    """Return LXD's own log of an instance, in which nothing stands."""
    item, wanted = _instance(request), request.match_info["log"]
    if wanted != _log_name(item):
        raise LxdError(400, f"log file name {wanted} not valid")
    return web.Response(body=b"", content_type="application/octet-stream")


async def snapshots(request: web.Request) -> web.Response:
    """List no snapshots."""
    _instance(request)
    return sync([])


def _log_name(item: Instance) -> str:
    return "lxc.log" if item.type == CONTAINER else "qemu.log"


def _instance(request: web.Request) -> Instance:
    state = request.app[CONTEXT].state
    return state.instance(project_of(request), request.match_info["name"])
