"""Runner groups of organisations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from aiohttp import web

from sandbox.github.documents import group_document, runner_document
from sandbox.github.errors import ApiError
from sandbox.github.model import RunnerGroup, Scope, Visibility
from sandbox.github.profiles import minimal_repository
from sandbox.github.rest.call import (
    HUB,
    ORGANIZATION_PATHS,
    add_routes,
    api_base,
    body_of,
    listing,
    number_in,
    scope_of,
)

if TYPE_CHECKING:
    from sandbox.github.state import State

_GROUPS = "/actions/runner-groups"
_GROUP = _GROUPS + "/{runner_group_id}"


def add(app: web.Application) -> None:
    """Serve this chapter."""
    add_routes(app, "GET", ORGANIZATION_PATHS, _GROUPS, list_groups)
    add_routes(app, "POST", ORGANIZATION_PATHS, _GROUPS, create_group)
    add_routes(app, "GET", ORGANIZATION_PATHS, _GROUP, get_group)
    add_routes(app, "PATCH", ORGANIZATION_PATHS, _GROUP, change_group)
    add_routes(app, "DELETE", ORGANIZATION_PATHS, _GROUP, delete_group)
    add_routes(app, "GET", ORGANIZATION_PATHS, _GROUP + "/runners", list_group_runners)
    add_routes(app, "GET", ORGANIZATION_PATHS, _GROUP + "/repositories", list_group_repositories)


async def list_groups(request: web.Request) -> web.Response:
    """List an organisation's groups, or those that one repository may use."""
    visible_to = request.query.get("visible_to_repository")
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        groups = state.directory.groups(scope)
    if visible_to:
        full_name = visible_to if "/" in visible_to else f"{scope.name}/{visible_to}"
        groups = [group for group in groups if group.admits(full_name)]
    base = api_base(request)
    return listing(
        request,
        "runner_groups",
        groups,
        scope.path_by_id + _GROUPS,
        lambda group: group_document(group, base),
    )


async def create_group(request: web.Request) -> web.Response:
    """Add a group."""
    body = await body_of(request)
    name = _name_in(body)
    ids = body.get("selected_repository_ids", [])
    with request.app[HUB].change() as state:
        scope = scope_of(request, state)
        chosen = [state.directory.scope_by_id("repository", number) for number in ids]
        try:
            group = state.directory.add_group(
                scope,
                name,
                visibility=_visibility_in(body, "all"),
                repositories=[repository.name for repository in chosen if repository],
                allows_public_repositories=bool(body.get("allows_public_repositories")),
            )
        except ValueError as error:
            raise ApiError(409, "Already exists - a group of that name exists.") from error
    return web.json_response(group_document(group, api_base(request)), status=201)


async def get_group(request: web.Request) -> web.Response:
    """Return one group."""
    with request.app[HUB].view() as state:
        group = _group_of(request, state, scope_of(request, state))
    return web.json_response(group_document(group, api_base(request)))


async def change_group(request: web.Request) -> web.Response:
    """Change a group's name and visibility."""
    body = await body_of(request)
    hub = request.app[HUB]
    with hub.change() as state:
        group = _group_of(request, state, scope_of(request, state))
        visibility = _visibility_in(body, group.visibility)
        group = state.directory.rename_group(group, _name_in(body), visibility)
    hub.wake()
    return web.json_response(group_document(group, api_base(request)))


async def delete_group(request: web.Request) -> web.Response:
    """Remove a group that is not the default; its runners go back to that one."""
    with request.app[HUB].change() as state:
        scope = scope_of(request, state)
        group = _group_of(request, state, scope)
        if group.default:
            raise ApiError(403, "The default runner group can't be removed.")
        for runner in list(state.runners(scope)):
            if runner.group_id == group.id:
                state.set_group(runner.id, 1)
        state.directory.remove_group(group)
    return web.Response(status=204)


async def list_group_runners(request: web.Request) -> web.Response:
    """List a group's runners."""
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        group = _group_of(request, state, scope)
        runners = [runner for runner in state.runners(scope) if runner.group_id == group.id]
    path = f"{scope.path_by_id}{_GROUPS}/{group.id}/runners"
    return listing(request, "runners", runners, path, runner_document)


async def list_group_repositories(request: web.Request) -> web.Response:
    """List the repositories selected for a group."""
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        group = _group_of(request, state, scope)
        names = sorted(group.repositories)
        repositories = [found for name in names if (found := state.directory.scope(name))]
    base = api_base(request)
    path = f"{scope.path_by_id}{_GROUPS}/{group.id}/repositories"
    return listing(
        request, "repositories", repositories, path, lambda found: minimal_repository(found, base)
    )


def _group_of(request: web.Request, state: State, scope: Scope) -> RunnerGroup:
    group = state.directory.group(scope, number_in(request, "runner_group_id"))
    if group is None:
        raise ApiError.not_found()
    return group


def _name_in(body: dict[str, Any]) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        raise ApiError.unprocessable("Invalid input: object is missing required key: name")
    return name


def _visibility_in(body: dict[str, Any], default: Visibility) -> Visibility:
    visibilities: tuple[Visibility, ...] = get_args(Visibility)
    for known in visibilities:
        if body.get("visibility", default) == known:
            return known
    raise ApiError.unprocessable("Invalid input: visibility must be selected, all or private")
