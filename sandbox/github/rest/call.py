"""What every REST handler needs: the parties, the addressed scope, the body, an answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from sandbox.github.calls import CallLog
from sandbox.github.credentials import Grant
from sandbox.github.directory import ENTERPRISES
from sandbox.github.errors import ApiError
from sandbox.github.faults import Faults
from sandbox.github.hub import Hub
from sandbox.github.paging import cut
from sandbox.github.releases import Releases

if TYPE_CHECKING:
    from sandbox.github.model import Runner, Scope, ScopeKind
    from sandbox.github.state import State

Item = TypeVar("Item")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HUB = web.AppKey("hub", Hub)
FAULTS = web.AppKey("faults", Faults)
CALLS = web.AppKey("calls", CallLog)
PREFIXES = ("", "/api/v3")
"""The API's place: github.com's own host has none, an Enterprise Server has `/api/v3`."""

SCOPE_PATHS = (
    r"/orgs/{org}",
    r"/repos/{owner}/{repo}",
    r"/organizations/{organization_id:\d+}",
    r"/repositories/{repository_id:\d+}",
    r"/enterprises/{enterprise}",
)
ORGANIZATION_PATHS = (SCOPE_PATHS[0], SCOPE_PATHS[2])
REPOSITORY_PATHS = (SCOPE_PATHS[1], SCOPE_PATHS[3])
ENTERPRISE_PATHS = (SCOPE_PATHS[4],)


@dataclass(frozen=True)
class Offer:
    """The runner application that the sandbox offers, and how guests reach the sandbox."""

    releases: Releases
    guest_url: str | None = None
    """Address for guests, where it is not the one that the daemon uses."""


DOWNLOADS = web.AppKey("downloads", CallLog)
OFFER = web.AppKey("offer", Offer)
GRANT = web.RequestKey("grant", Grant)
MOST_LABELS = 100
"""The description's maxItems, and the most that a runner has."""


def origin(request: web.Request) -> str:
    """Return the server's address as this client knows it."""
    return f"{request.scheme}://{request.host}"


def api_base(request: web.Request) -> str:
    """Return the API's address as this client knows it."""
    prefix = next(p for p in reversed(PREFIXES) if request.path.startswith(f"{p}/"))
    return origin(request) + prefix


def guest_origin(request: web.Request) -> str:
    """Return the server's address for guests."""
    return request.app[OFFER].guest_url or origin(request)


def grant_of(request: web.Request) -> Grant:
    """Return what the request's token allows; the middleware has put it there."""
    return request[GRANT]


def scope_of(request: web.Request, state: State) -> Scope:
    """Return the organisation, repository or enterprise that the path names.

    Raises:
        ApiError: 404.
    """
    found: Scope | None
    match = request.match_info
    if "org" in match:
        found = _named(state, "organization", match["org"])
    elif "owner" in match:
        found = _named(state, "repository", f"{match['owner']}/{match['repo']}")
    elif "enterprise" in match:
        found = _named(state, "enterprise", f"{ENTERPRISES}/{match['enterprise']}")
    elif "organization_id" in match:
        found = state.directory.scope_by_id("organization", int(match["organization_id"]))
    else:
        found = state.directory.scope_by_id("repository", int(match["repository_id"]))
    if found is None:
        raise ApiError.not_found()
    return found


def _named(state: State, kind: ScopeKind, name: str) -> Scope | None:
    found = state.directory.scope(name)
    return found if found is not None and found.kind == kind else None


def number_in(request: web.Request, name: str) -> int:
    """Return a number that is part of the path.

    Raises:
        ApiError: 404 where it is none.
    """
    text = request.match_info[name]
    if not (text.isascii() and text.isdigit()):
        raise ApiError.not_found()
    return int(text)


def runner_of(request: web.Request, state: State) -> Runner:
    """Return the runner that the path names.

    Raises:
        ApiError: 404, also for a runner of another scope.
    """
    scope = scope_of(request, state)
    runner = state.runner(number_in(request, "runner_id"))
    if runner is None or runner.scope != scope:
        raise ApiError.not_found()
    return runner


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the request's JSON object.

    Raises:
        ApiError: 400 where it is no JSON, 422 where it is no object.
    """
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise ApiError(400, "Problems parsing JSON") from error
    if not isinstance(body, dict):
        raise ApiError.unprocessable("Invalid request.\n\nThe body is not an object.")
    return body


def label_names_in(body: Mapping[str, Any], *, at_least: int) -> list[str]:
    """Return the labels of a request's body.

    Raises:
        ApiError: 422 where there are none, too few or too many, or they are no words.
    """
    if "labels" not in body:
        raise ApiError.unprocessable("Invalid input: object is missing required key: labels")
    names = body["labels"]
    if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() for n in names):
        raise ApiError.unprocessable("Invalid input: labels must be an array of strings")
    if not at_least <= len(names) <= MOST_LABELS:
        raise ApiError.unprocessable(
            f"Invalid input: labels must hold {at_least} to {MOST_LABELS} items, not {len(names)}"
        )
    return list(dict.fromkeys(names))


def listing(
    request: web.Request,
    key: str,
    items: Sequence[Item],
    path: str,
    document: Callable[[Item], dict[str, Any]],
) -> web.Response:
    """Return one page of a listing, with its Link header.

    Args:
        request: what asked for it.
        key: the array's name in the answer.
        items: everything there is.
        path: the listing's path for the Link header.
        document: renders one item; called for those of the page only.
    """
    page = cut(items, request.query)
    link = page.link(api_base(request) + path)
    return web.json_response(
        {"total_count": page.total, key: [document(item) for item in page.items]},
        headers={"Link": link} if link else None,
    )


def array(
    request: web.Request,
    items: Sequence[Item],
    path: str,
    document: Callable[[Item], dict[str, Any]],
) -> web.Response:
    """Return one page of a listing that is but an array, with its Link header.

    Args:
        request: what asked for it.
        items: everything there is.
        path: the listing's path for the Link header.
        document: renders one item; called for those of the page only.
    """
    page = cut(items, request.query)
    link = page.link(api_base(request) + path)
    return web.json_response(
        [document(item) for item in page.items], headers={"Link": link} if link else None
    )


def choice_in(request: web.Request, name: str, known: Sequence[str], default: str) -> str:
    """Return the value of a query's parameter.

    Raises:
        ApiError: 422 where it is none of the known ones.
    """
    value = request.query.get(name, default)
    if value not in known:
        raise ApiError.unprocessable(
            f"Invalid input: {name} must be one of {', '.join(known)}, not {value!r}"
        )
    return value


def add_routes(
    app: web.Application, method: str, places: tuple[str, ...], path: str, handler: Handler
) -> None:
    """Serve a path at each of its places, with and without the Enterprise prefix."""
    for prefix in PREFIXES:
        for place in places:
            app.router.add_route(method, f"{prefix}{place}{path}", handler)
