"""Self-hosted runners: list, get, delete, and their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.github.documents import labels_document, runner_document
from sandbox.github.errors import ApiError
from sandbox.github.model import Label, Runner
from sandbox.github.registrations import RunnerBusyError
from sandbox.github.rest.call import (
    HUB,
    MOST_LABELS,
    SCOPE_PATHS,
    add_routes,
    body_of,
    label_names_in,
    listing,
    runner_of,
    scope_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def add(app: web.Application) -> None:
    """Serve this chapter."""
    runners = "/actions/runners"
    runner = runners + "/{runner_id}"
    labels = runner + "/labels"
    add_routes(app, "GET", SCOPE_PATHS, runners, list_runners)
    add_routes(app, "GET", SCOPE_PATHS, runner, get_runner)
    add_routes(app, "DELETE", SCOPE_PATHS, runner, delete_runner)
    add_routes(app, "GET", SCOPE_PATHS, labels, get_labels)
    add_routes(app, "POST", SCOPE_PATHS, labels, add_labels)
    add_routes(app, "PUT", SCOPE_PATHS, labels, set_labels)
    add_routes(app, "DELETE", SCOPE_PATHS, labels, remove_labels)
    add_routes(app, "DELETE", SCOPE_PATHS, labels + "/{name}", remove_label)


async def list_runners(request: web.Request) -> web.Response:
    """List a scope's runners; `name` keeps but the one of exactly that name."""
    name = request.query.get("name")
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        if name:
            named = state.runner_named(scope, name)
            runners = [named] if named is not None and named.name == name else []
        else:
            runners = list(state.runners(scope))
    return listing(
        request, "runners", runners, f"{scope.path_by_id}/actions/runners", runner_document
    )


async def get_runner(request: web.Request) -> web.Response:
    """Return one runner."""
    with request.app[HUB].view() as state:
        return web.json_response(runner_document(runner_of(request, state)))


async def delete_runner(request: web.Request) -> web.Response:
    """Remove an idle runner."""
    hub = request.app[HUB]
    with hub.change() as state:
        runner = runner_of(request, state)
        try:
            state.delete_runner(runner.id)
        except RunnerBusyError as error:
            raise ApiError.unprocessable(
                f"Runner {runner.name} is currently running a job and cannot be deleted."
            ) from error
    hub.wake()
    return web.Response(status=204)


async def get_labels(request: web.Request) -> web.Response:
    """Return a runner's labels."""
    with request.app[HUB].view() as state:
        return web.json_response(labels_document(runner_of(request, state)))


async def add_labels(request: web.Request) -> web.Response:
    """Add custom labels to those that a runner has."""
    names = label_names_in(await body_of(request), at_least=1)

    def added(runner: Runner) -> tuple[Label, ...]:
        new = [name for name in names if name.casefold() not in runner.label_names]
        if len(runner.labels) + len(new) > MOST_LABELS:
            raise ApiError.unprocessable(f"A runner can't have more than {MOST_LABELS} labels")
        return runner.labels + _custom(new)

    return _relabel(request, added)


async def set_labels(request: web.Request) -> web.Response:
    """Replace a runner's custom labels."""
    names = label_names_in(await body_of(request), at_least=0)

    def replaced(runner: Runner) -> tuple[Label, ...]:
        fixed = _read_only(runner)
        taken = {label.name.casefold() for label in fixed}
        return fixed + _custom([name for name in names if name.casefold() not in taken])

    return _relabel(request, replaced)


async def remove_labels(request: web.Request) -> web.Response:
    """Remove all of a runner's custom labels."""
    return _relabel(request, _read_only)


async def remove_label(request: web.Request) -> web.Response:
    """Remove one custom label."""
    name = request.match_info["name"].casefold()

    def without(runner: Runner) -> tuple[Label, ...]:
        label = next((label for label in runner.labels if label.name.casefold() == name), None)
        if label is None:
            raise ApiError.not_found()
        if label.type == "read-only":
            raise ApiError.unprocessable(f"Label {label.name} is read-only and can't be removed")
        return tuple(kept for kept in runner.labels if kept is not label)

    return _relabel(request, without)


def _relabel(request: web.Request, change: Callable[[Runner], tuple[Label, ...]]) -> web.Response:
    hub = request.app[HUB]
    with hub.change() as state:
        runner = runner_of(request, state)
        runner = state.set_labels(runner.id, change(runner))
    hub.wake()
    return web.json_response(labels_document(runner))


def _read_only(runner: Runner) -> tuple[Label, ...]:
    return tuple(label for label in runner.labels if label.type == "read-only")


def _custom(names: list[str]) -> tuple[Label, ...]:
    return tuple(Label(name, "custom") for name in names)
