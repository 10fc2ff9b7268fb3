"""The repositories' part of the sandbox's own API: what other processes may set of them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.github.errors import ApiError
from sandbox.github.repository_staging import RepositoryStaging
from sandbox.github.rest.call import HUB, body_of, number_in
from sandbox.github.settings import Protection, Reviews, Ruleset

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.github.rest.call import Handler

    # What to do in which repository, with what the body holds; it returns what is shown of it.
    Setting = Callable[[RepositoryStaging, str, web.Request, dict[str, Any]], object]


def _document(value: Any) -> Any:
    return _plain(asdict(value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _name(request: web.Request) -> str:
    return f"{request.match_info['owner']}/{request.match_info['repo']}"


def _setting(method: str, setting: Setting) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = await body_of(request) if method in ("POST", "PUT", "PATCH") else {}
        staging = RepositoryStaging(request.app[HUB])
        try:
            made = setting(staging, _name(request), request, body)
        except KeyError as error:
            raise ApiError.not_found() from error
        except (TypeError, ValueError) as error:
            raise ApiError.unprocessable(f"No such setting: {error}") from error
        if made is None:
            return web.Response(status=204)
        return web.json_response(_document(made), status=201 if method == "POST" else 200)

    return answer


def _set_branch(
    staging: RepositoryStaging, name: str, request: web.Request, body: dict[str, Any]
) -> object:
    branch = request.match_info["branch"]
    unknown = body.keys() - {"sha", "protection"}
    if unknown:
        raise ValueError(f"a branch has a sha and a protection, no {', '.join(sorted(unknown))}")
    protection = _protection(body.get("protection"))
    made = staging.set_branch(name, branch, body.get("sha"))
    if protection is not None:
        return staging.protect(name, branch, protection)
    return staging.unprotect(name, branch) if "protection" in body else made


def _protection(body: Any) -> Protection | None:
    if body is None:
        return None
    if not isinstance(body, dict) or not isinstance(body.get("reviews", {}), dict | None):
        raise TypeError("protection and its reviews are objects, or null")
    reviews = body.get("reviews", {})
    given = None if reviews is None else Reviews(**_tuples(reviews))
    return Protection(**{**body, "reviews": given})


def _tuples(body: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(held) if isinstance(held, list) else held for key, held in body.items()}


_PLACE = "/_sandbox/repositories/{owner}/{repo}"
_PULL = _PLACE + "/pulls/{number}"
_SETTINGS: tuple[tuple[str, str, Setting], ...] = (
    ("GET", _PLACE, lambda staging, name, _request, _body: staging.repository(name)),
    ("PATCH", _PLACE, lambda staging, name, _, body: staging.set_repository(name, **body)),
    ("POST", _PLACE + "/forks", lambda staging, name, _, body: staging.add_fork(name, **body)),
    ("PUT", _PLACE + "/branches/{branch:.+}", _set_branch),
    (
        "DELETE",
        _PLACE + "/branches/{branch:.+}",
        lambda staging, name, request, _: staging.remove_branch(name, request.match_info["branch"]),
    ),
    (
        "POST",
        _PLACE + "/rulesets",
        lambda staging, name, _, body: staging.add_ruleset(name, Ruleset(**_tuples(body))),
    ),
    (
        "DELETE",
        _PLACE + "/rulesets/{number}",
        lambda staging, name, request, _: staging.remove_ruleset(
            name, number_in(request, "number")
        ),
    ),
    (
        "PUT",
        _PLACE + "/collaborators/{login}",
        lambda staging, name, request, body: staging.set_collaborator(
            name, request.match_info["login"], **body
        ),
    ),
    (
        "DELETE",
        _PLACE + "/collaborators/{login}",
        lambda staging, name, request, _: staging.remove_collaborator(
            name, request.match_info["login"]
        ),
    ),
    ("POST", _PLACE + "/pulls", lambda staging, name, _, body: staging.open_pull(name, **body)),
    (
        "PATCH",
        _PULL,
        lambda staging, name, request, body: staging.change_pull(
            name, number_in(request, "number"), **body
        ),
    ),
    (
        "POST",
        _PULL + "/comments",
        lambda staging, name, request, body: staging.add_comment(
            name, number_in(request, "number"), **body
        ),
    ),
    (
        "POST",
        _PULL + "/reviews",
        lambda staging, name, request, body: staging.add_review(
            name, number_in(request, "number"), **body
        ),
    ),
)
ROUTES: tuple[tuple[str, str, Handler], ...] = tuple(
    (method, path, _setting(method, setting)) for method, path, setting in _SETTINGS
)
"""Method, path and handler of each call."""
