"""Runner groups of organisations and enterprises; who is in them stands in `members`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from aiohttp import web

from sandbox.github.documents import group_document
from sandbox.github.errors import ApiError
from sandbox.github.model import RunnerGroup, Scope, Visibility
from sandbox.github.rest.call import (
    ENTERPRISE_PATHS,
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

GROUPS = "/actions/runner-groups"
GROUP = GROUPS + "/{runner_group_id}"
GROUP_PATHS = ORGANIZATION_PATHS + ENTERPRISE_PATHS


def add(app: web.Application) -> None:
    """Serve this chapter."""
    add_routes(app, "GET", GROUP_PATHS, GROUPS, list_groups)
    add_routes(app, "POST", GROUP_PATHS, GROUPS, create_group)
    add_routes(app, "GET", GROUP_PATHS, GROUP, get_group)
    add_routes(app, "PATCH", GROUP_PATHS, GROUP, change_group)
    add_routes(app, "DELETE", GROUP_PATHS, GROUP, delete_group)


async def list_groups(request: web.Request) -> web.Response:
    """List the groups, or those that one repository (or organisation) may use."""
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        groups = state.directory.groups(scope)
    chosen = "organization" if scope.kind == "enterprise" else "repository"
    visible_to = request.query.get(f"visible_to_{chosen}")
    if visible_to:
        whole = "/" in visible_to or scope.kind == "enterprise"
        name = visible_to if whole else f"{scope.name}/{visible_to}"
        groups = [group for group in groups if group.admits(name)]
    base = api_base(request)
    return listing(
        request,
        "runner_groups",
        groups,
        scope.path_by_id + GROUPS,
        lambda group: group_document(group, scope, base),
    )


async def create_group(request: web.Request) -> web.Response:
    """Add a group."""
    body = await body_of(request)
    name = _name_in(body, None)
    with request.app[HUB].change() as state:
        scope = scope_of(request, state)
        visibility = _visibility_in(body, scope, "all")
        chosen = "organization" if scope.kind == "enterprise" else "repository"
        ids = numbers_in(body, f"selected_{chosen}_ids", needed=False)
        runner_ids = numbers_in(body, "runners", needed=False)
        found = [state.directory.scope_by_id(chosen, number) for number in ids]
        try:
            group = state.directory.add_group(
                scope,
                name,
                visibility=visibility,
                selected=[member.name for member in found if member],
                allows_public_repositories=bool(body.get("allows_public_repositories")),
            )
        except ValueError as error:
            raise ApiError(409, "Already exists - a group of that name exists.") from error
        for runner in list(state.runners(scope)):
            if runner.id in runner_ids:
                state.set_group(runner.id, group.id)
    return web.json_response(group_document(group, scope, api_base(request)), status=201)


async def get_group(request: web.Request) -> web.Response:
    """Return one group."""
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        group = group_of(request, state, scope)
    return web.json_response(group_document(group, scope, api_base(request)))


async def change_group(request: web.Request) -> web.Response:
    """Change a group's name and visibility."""
    body = await body_of(request)
    hub = request.app[HUB]
    with hub.change() as state:
        scope = scope_of(request, state)
        group = own_group_of(request, state, scope)
        changed = replace(
            group,
            name=_name_in(body, group.name if scope.kind == "enterprise" else None),
            visibility=_visibility_in(body, scope, group.visibility),
        )
        state.directory.change_group(changed)
    hub.wake()
    return web.json_response(group_document(changed, scope, api_base(request)))


async def delete_group(request: web.Request) -> web.Response:
    """Remove a group that is not the default; its runners go back to that one."""
    with request.app[HUB].change() as state:
        scope = scope_of(request, state)
        group = own_group_of(request, state, scope)
        if group.default:
            raise ApiError(403, "The default runner group can't be removed.")
        for runner in list(state.runners(scope)):
            if runner.group_id == group.id:
                state.set_group(runner.id, 1)
        state.directory.remove_group(group)
    return web.Response(status=204)


def group_of(request: web.Request, state: State, scope: Scope) -> RunnerGroup:
    """Return the group that the path names.

    Raises:
        ApiError: 404.
    """
    group = state.directory.group(scope, number_in(request, "runner_group_id"))
    if group is None:
        raise ApiError.not_found()
    return group


def own_group_of(request: web.Request, state: State, scope: Scope) -> RunnerGroup:
    """Return the group that the path names, for changing it.

    Raises:
        ApiError: 404, and 403 for one that is the enterprise's.
    """
    group = group_of(request, state, scope)
    if group.inherited_from is not None:
        raise ApiError.inherited_group()
    return group


def numbers_in(body: dict[str, Any], key: str, *, needed: bool = True) -> list[int]:
    """Return a list of numbers from a request's body.

    Raises:
        ApiError: 422 where it is needed and missing, or holds something else.
    """
    if key not in body and not needed:
        return []
    numbers = body.get(key)
    if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
        raise ApiError.unprocessable(f"Invalid input: {key} must be an array of integers")
    return numbers


def _name_in(body: dict[str, Any], default: str | None) -> str:
    name = body.get("name", default)
    if not isinstance(name, str) or not name.strip():
        raise ApiError.unprocessable("Invalid input: object is missing required key: name")
    return name


def _visibility_in(body: dict[str, Any], scope: Scope, default: Visibility) -> Visibility:
    known: tuple[Visibility, ...] = get_args(Visibility)
    if scope.kind == "enterprise":
        known = tuple(visibility for visibility in known if visibility != "private")
    for visibility in known:
        if body.get("visibility", default) == visibility:
            return visibility
    raise ApiError.unprocessable(f"Invalid input: visibility must be one of {', '.join(known)}")
