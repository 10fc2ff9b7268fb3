"""Who is in a runner group: its runners, and whose jobs may use them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.github.documents import runner_document
from sandbox.github.errors import ApiError
from sandbox.github.profiles import minimal_repository, organization
from sandbox.github.rest.call import (
    ENTERPRISE_PATHS,
    HUB,
    ORGANIZATION_PATHS,
    Handler,
    add_routes,
    api_base,
    body_of,
    listing,
    number_in,
    scope_of,
)
from sandbox.github.rest.groups import GROUP, GROUP_PATHS, group_of, numbers_in, own_group_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.github.model import RunnerGroup, Scope, ScopeKind
    from sandbox.github.state import State


def add(app: web.Application) -> None:
    """Serve this chapter."""
    runners, runner = f"{GROUP}/runners", GROUP + "/runners/{runner_id}"
    add_routes(app, "GET", GROUP_PATHS, runners, list_runners)
    add_routes(app, "PUT", GROUP_PATHS, runners, set_runners)
    add_routes(app, "PUT", GROUP_PATHS, runner, add_runner)
    add_routes(app, "DELETE", GROUP_PATHS, runner, remove_runner)
    kinds: tuple[tuple[ScopeKind, str, tuple[str, ...]], ...] = (
        ("repository", "repositories", ORGANIZATION_PATHS),
        ("organization", "organizations", ENTERPRISE_PATHS),
    )
    for kind, plural, places in kinds:
        chosen = f"{GROUP}/{plural}"
        one = chosen + ("/{repository_id}" if kind == "repository" else "/{org_id}")
        add_routes(app, "GET", places, chosen, _listing_of(plural))
        add_routes(app, "PUT", places, chosen, _choosing_all(kind))
        add_routes(app, "PUT", places, one, _choosing(kind, _with))
        add_routes(app, "DELETE", places, one, _choosing(kind, _without))


async def list_runners(request: web.Request) -> web.Response:
    """List a group's runners."""
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        group = group_of(request, state, scope)
        runners = [runner for runner in state.runners(scope) if runner.group_id == group.id]
    path = f"{scope.path_by_id}/actions/runner-groups/{group.id}/runners"
    return listing(request, "runners", runners, path, runner_document)


async def set_runners(request: web.Request) -> web.Response:
    """Have a group hold those runners and no others."""
    numbers = numbers_in(await body_of(request), "runners")
    with request.app[HUB].change() as state:
        scope = scope_of(request, state)
        group = _joinable(request, state, scope)
        for runner in list(state.runners(scope)):
            if runner.id in numbers:
                state.set_group(runner.id, group.id)
            elif runner.group_id == group.id:
                state.set_group(runner.id, 1)
    request.app[HUB].wake()
    return web.Response(status=204)


async def add_runner(request: web.Request) -> web.Response:
    """Move a runner into a group."""
    return _move(request, lambda group: group.id)


async def remove_runner(request: web.Request) -> web.Response:
    """Move a runner back to the default group."""
    return _move(request, lambda _: 1)


def _move(request: web.Request, target: Callable[[RunnerGroup], int]) -> web.Response:
    with request.app[HUB].change() as state:
        scope = scope_of(request, state)
        group = _joinable(request, state, scope)
        runner = state.runner(number_in(request, "runner_id"))
        if runner is None or runner.scope != scope:
            raise ApiError.not_found()
        state.set_group(runner.id, target(group))
    request.app[HUB].wake()
    return web.Response(status=204)


def _joinable(request: web.Request, state: State, scope: Scope) -> RunnerGroup:
    group = own_group_of(request, state, scope)
    if group.hosted:
        raise ApiError.hosted_group()
    return group


def _listing_of(plural: str) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        with request.app[HUB].view() as state:
            scope = scope_of(request, state)
            group = group_of(request, state, scope)
            found = [state.directory.scope(name) for name in sorted(group.selected)]
            base = api_base(request)
            documents = [
                organization(member, base)
                if member.kind == "organization"
                else minimal_repository(state.repositories.profile(member), base)
                for member in found
                if member is not None
            ]
        path = f"{scope.path_by_id}/actions/runner-groups/{group.id}/{plural}"
        return listing(request, plural, documents, path, lambda document: document)

    return answer


def _choosing_all(kind: ScopeKind) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        numbers = numbers_in(await body_of(request), f"selected_{kind}_ids")
        with request.app[HUB].change() as state:
            found = [state.directory.scope_by_id(kind, number) for number in numbers]
            names = frozenset(member.name.casefold() for member in found if member)
            _select(request, state, lambda _: names)
        return web.Response(status=204)

    return answer


def _choosing(kind: ScopeKind, change: Callable[[frozenset[str], str], frozenset[str]]) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        key = "repository_id" if kind == "repository" else "org_id"
        with request.app[HUB].change() as state:
            member = state.directory.scope_by_id(kind, number_in(request, key))
            if member is None:
                raise ApiError.not_found()
            name = member.name.casefold()
            _select(request, state, lambda names: change(names, name))
        return web.Response(status=204)

    return answer


def _select(
    request: web.Request, state: State, change: Callable[[frozenset[str]], frozenset[str]]
) -> None:
    group = own_group_of(request, state, scope_of(request, state))
    if group.visibility != "selected":
        raise ApiError(409, "The runner group's visibility is not selected.")
    state.directory.change_group(replace(group, selected=change(group.selected)))
    request.app[HUB].wake()


def _with(names: frozenset[str], name: str) -> frozenset[str]:
    return names | {name}


def _without(names: frozenset[str], name: str) -> frozenset[str]:
    return names - {name}
