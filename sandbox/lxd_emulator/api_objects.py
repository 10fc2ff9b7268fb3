"""`/1.0/profiles`, `projects`, `storage-pools`, `networks`, `network-acls`: handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.lxd_emulator import documents, objects
from sandbox.lxd_emulator.answers import body_of, created, sync
from sandbox.lxd_emulator.context import CONTEXT, project_of, recursion_of
from sandbox.lxd_emulator.errors import LxdError, not_found
from sandbox.lxd_emulator.state import address_in, check_match, etag

if TYPE_CHECKING:
    from sandbox.lxd_emulator.model import Acl, Network, Pool, Profile, Project


def add(app: web.Application) -> None:
    """Serve what instances are made with."""
    kinds = (
        ("profiles", _Profiles),
        ("projects", _Projects),
        ("storage-pools", _Pools),
        ("networks", _Networks),
        ("network-acls", _Acls),
    )
    for name, kind in kinds:
        app.router.add_route("GET", f"/1.0/{name}", kind.listing)
        app.router.add_route("POST", f"/1.0/{name}", kind.create)
        app.router.add_route("GET", f"/1.0/{name}/{{name}}", kind.show)
        app.router.add_route("PUT", f"/1.0/{name}/{{name}}", kind.change)
        app.router.add_route("PATCH", f"/1.0/{name}/{{name}}", kind.change)
        app.router.add_route("DELETE", f"/1.0/{name}/{{name}}", kind.delete)
    app.router.add_route("GET", "/1.0/networks/{name}/state", _Networks.state)
    app.router.add_route("GET", "/1.0/networks/{name}/leases", _Networks.leases)
    app.router.add_route("GET", "/1.0/storage-pools/{name}/resources", _Pools.resources)


class _Profiles:
    @staticmethod
    def _project(request: web.Request) -> str:
        project = project_of(request)
        try:
            return request.app[CONTEXT].state.project_for("profiles", project)
        except LxdError as error:
            text = f'Failed loading project "{project}": Project not found'
            raise LxdError(404, text) from error

    @classmethod
    def _find(cls, request: web.Request, prefix: str) -> Profile:
        key = (cls._project(request), request.match_info["name"])
        found = request.app[CONTEXT].state.profiles.get(key)
        if found is None:
            raise LxdError(404, f"{prefix}Profile not found")
        return found

    @classmethod
    async def listing(cls, request: web.Request) -> web.Response:
        project, state = cls._project(request), request.app[CONTEXT].state
        found = [item for (owner, _), item in sorted(state.profiles.items()) if owner == project]
        if recursion_of(request):
            return sync([documents.profile(state, item) for item in found])
        return sync([f"/1.0/profiles/{item.name}" for item in found])

    @classmethod
    async def create(cls, request: web.Request) -> web.Response:
        context, project = request.app[CONTEXT], cls._project(request)
        profile = objects.make_profile(context.state, project, await body_of(request))
        source = address_in(profile.project, f"/1.0/profiles/{profile.name}")
        context.events.lifecycle("profile-created", source, project, requested=True)
        return created(source)

    @classmethod
    async def show(cls, request: web.Request) -> web.Response:
        profile = cls._find(request, "Fetch profile: ")
        return sync(documents.profile(request.app[CONTEXT].state, profile), etag=etag(profile))

    @classmethod
    async def change(cls, request: web.Request) -> web.Response:
        body, context = await body_of(request), request.app[CONTEXT]
        name = request.match_info["name"]
        profile = cls._find(request, f'Failed to retrieve profile "{name}": ')
        check_match(request.headers.get("If-Match"), etag(profile))
        objects.change_profile(context.state, profile, body, whole=request.method == "PUT")
        source = address_in(profile.project, f"/1.0/profiles/{name}")
        context.events.lifecycle("profile-updated", source, profile.project, requested=True)
        return sync({})

    @classmethod
    async def delete(cls, request: web.Request) -> web.Response:
        context, profile = request.app[CONTEXT], cls._find(request, "")
        objects.delete_profile(context.state, profile)
        source = address_in(profile.project, f"/1.0/profiles/{profile.name}")
        context.events.lifecycle("profile-deleted", source, profile.project, requested=True)
        return sync({})


class _Projects:
    @staticmethod
    def _find(request: web.Request, prefix: str = "") -> Project:
        found = request.app[CONTEXT].state.projects.get(request.match_info["name"])
        if found is None:
            raise LxdError(404, f"{prefix}Project not found")
        return found

    @classmethod
    async def listing(cls, request: web.Request) -> web.Response:
        state = request.app[CONTEXT].state
        if recursion_of(request):
            return sync([documents.project(state, item) for item in state.projects.values()])
        return sync([f"/1.0/projects/{name}" for name in state.projects])

    @classmethod
    async def create(cls, request: web.Request) -> web.Response:
        project = objects.make_project(request.app[CONTEXT].state, await body_of(request))
        return created(f"/1.0/projects/{project.name}")

    @classmethod
    async def show(cls, request: web.Request) -> web.Response:
        project = cls._find(request)
        return sync(documents.project(request.app[CONTEXT].state, project), etag=etag(project))

    @classmethod
    async def change(cls, request: web.Request) -> web.Response:
        body, project = await body_of(request), cls._find(request)
        check_match(request.headers.get("If-Match"), etag(project))
        state = request.app[CONTEXT].state
        objects.change_project(state, project, body, whole=request.method == "PUT")
        return sync({})

    @classmethod
    async def delete(cls, request: web.Request) -> web.Response:
        project = cls._find(request, f'Fetch project "{request.match_info["name"]}": ')
        objects.delete_project(request.app[CONTEXT].state, project)
        return sync({})


class _Pools:
    @staticmethod
    def _find(request: web.Request) -> Pool:
        found = request.app[CONTEXT].state.pools.get(request.match_info["name"])
        if found is None:
            raise not_found("Storage pool")
        return found

    @classmethod
    async def listing(cls, request: web.Request) -> web.Response:
        state = request.app[CONTEXT].state
        if recursion_of(request):
            return sync([documents.pool(state, item) for item in state.pools.values()])
        return sync([f"/1.0/storage-pools/{name}" for name in state.pools])

    @classmethod
    async def create(cls, request: web.Request) -> web.Response:
        pool = objects.make_pool(request.app[CONTEXT].state, await body_of(request))
        return created(f"/1.0/storage-pools/{pool.name}")

    @classmethod
    async def show(cls, request: web.Request) -> web.Response:
        return sync(documents.pool(request.app[CONTEXT].state, cls._find(request)))

    @classmethod
    async def change(cls, request: web.Request) -> web.Response:
        cls._find(request)
        raise LxdError(501, "not implemented")

    @classmethod
    async def delete(cls, request: web.Request) -> web.Response:
        objects.delete_pool(request.app[CONTEXT].state, cls._find(request))
        return sync({})

    @classmethod
    async def resources(cls, request: web.Request) -> web.Response:
        cls._find(request)
        space = {"used": 1 << 30, "total": 1 << 40}
        return sync({"space": space, "inodes": {"used": 1000, "total": 1 << 24}})


class _Networks:
    @staticmethod
    def _find(request: web.Request, prefix: str = "") -> Network:
        found = request.app[CONTEXT].state.networks.get(request.match_info["name"])
        if found is None:
            raise LxdError(404, f"{prefix}Network not found")
        return found

    @classmethod
    async def listing(cls, request: web.Request) -> web.Response:
        state = request.app[CONTEXT].state
        if recursion_of(request):
            return sync([documents.network(state, item) for item in state.networks.values()])
        return sync([f"/1.0/networks/{name}" for name in state.networks])

    @classmethod
    async def create(cls, request: web.Request) -> web.Response:
        network = objects.make_network(request.app[CONTEXT].state, await body_of(request))
        return created(f"/1.0/networks/{network.name}")

    @classmethod
    async def show(cls, request: web.Request) -> web.Response:
        network = cls._find(request)
        return sync(documents.network(request.app[CONTEXT].state, network), etag=etag(network))

    @classmethod
    async def change(cls, request: web.Request) -> web.Response:
        body, network = await body_of(request), cls._find(request)
        check_match(request.headers.get("If-Match"), etag(network))
        state = request.app[CONTEXT].state
        objects.change_network(state, network, body, whole=request.method == "PUT")
        return sync({})

    @classmethod
    async def delete(cls, request: web.Request) -> web.Response:
        network = cls._find(request, "Failed loading network: ")
        objects.delete_network(request.app[CONTEXT].state, network)
        return sync({})

    @classmethod
    async def state(cls, request: web.Request) -> web.Response:
        return sync(documents.network_state(cls._find(request)))

    @classmethod
    async def leases(cls, request: web.Request) -> web.Response:
        return sync(documents.leases(request.app[CONTEXT].state, cls._find(request)))


class _Acls:
    @staticmethod
    def _find(request: web.Request) -> Acl:
        found = request.app[CONTEXT].state.acls.get(request.match_info["name"])
        if found is None:
            raise not_found("Network ACL")
        return found

    @classmethod
    async def listing(cls, request: web.Request) -> web.Response:
        state = request.app[CONTEXT].state
        if recursion_of(request):
            return sync([documents.acl(item) for item in state.acls.values()])
        return sync([f"/1.0/network-acls/{name}" for name in state.acls])

    @classmethod
    async def create(cls, request: web.Request) -> web.Response:
        acl = objects.make_acl(request.app[CONTEXT].state, await body_of(request))
        return created(f"/1.0/network-acls/{acl.name}")

    @classmethod
    async def show(cls, request: web.Request) -> web.Response:
        acl = cls._find(request)
        return sync(documents.acl(acl), etag=etag(acl))

    @classmethod
    async def change(cls, request: web.Request) -> web.Response:
        body, acl = await body_of(request), cls._find(request)
        check_match(request.headers.get("If-Match"), etag(acl))
        objects.change_acl(request.app[CONTEXT].state, acl, body)
        return sync({})

    @classmethod
    async def delete(cls, request: web.Request) -> web.Response:
        acl = cls._find(request)
        del request.app[CONTEXT].state.acls[acl.name]
        return sync({})
