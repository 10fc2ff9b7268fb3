"""Pull requests, their reviews and their comments."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.github.errors import ApiError
from sandbox.github.pull_documents import (
    comment_document,
    pull_document,
    review_document,
    simple_pull_document,
)
from sandbox.github.rest.call import (
    HUB,
    REPOSITORY_PATHS,
    add_routes,
    api_base,
    array,
    choice_in,
    number_in,
    scope_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.github.settings import PullRequest, Repository

_PULLS = "/pulls"
_PULL = _PULLS + "/{pull_number}"
_SORTS = ("created", "updated", "popularity", "long-running")


def add(app: web.Application) -> None:
    """Serve this chapter."""
    add_routes(app, "GET", REPOSITORY_PATHS, _PULLS, list_pulls)
    add_routes(app, "GET", REPOSITORY_PATHS, _PULL, get_pull)
    add_routes(app, "GET", REPOSITORY_PATHS, _PULL + "/reviews", list_reviews)
    add_routes(app, "GET", REPOSITORY_PATHS, "/issues/{pull_number}/comments", list_comments)
    add_routes(app, "GET", REPOSITORY_PATHS, "/commits/{commit_sha}/pulls", list_commit_pulls)


async def list_pulls(request: web.Request) -> web.Response:
    """List pull requests, by default the open ones, the newest first."""
    state = choice_in(request, "state", ("open", "closed", "all"), "open")
    sort = choice_in(request, "sort", _SORTS, "created")
    usual = "desc" if sort == "created" else "asc"
    direction = choice_in(request, "direction", ("asc", "desc"), usual)
    owner, colon, ref = request.query.get("head", "").partition(":")
    base_ref = request.query.get("base", "")

    def is_wanted(pull: PullRequest) -> bool:
        # GitHub takes no notice of a head that names no owner.
        of_head = not colon or (pull.head_owner.casefold(), pull.head_ref) == (
            owner.casefold(),
            ref,
        )
        return state in ("all", pull.state) and base_ref in ("", pull.base_ref) and of_head

    def order(pull: PullRequest) -> tuple[datetime, int]:
        return (pull.updated_at if sort == "updated" else pull.created_at), pull.number

    return _pulls(
        request,
        _PULLS,
        lambda pulls: sorted(filter(is_wanted, pulls), key=order, reverse=direction == "desc"),
    )


async def list_commit_pulls(request: web.Request) -> web.Response:
    """List the pull requests whose newest commit is that one."""
    sha = request.match_info["commit_sha"]
    return _pulls(
        request,
        f"/commits/{sha}/pulls",
        lambda pulls: [pull for pull in pulls if pull.head_sha == sha],
    )


async def get_pull(request: web.Request) -> web.Response:
    """Return one pull request."""
    base = api_base(request)
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        pull = _pull_of(request, state.repositories.of(scope.name))
        document = pull_document(pull, state.repositories.pull_context(scope, pull, base))
    return web.json_response(document)


async def list_reviews(request: web.Request) -> web.Response:
    """List a pull request's reviews, the oldest first."""
    base = api_base(request)
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        settings = state.repositories.of(scope.name)
    pull = _pull_of(request, settings)
    return array(
        request,
        [review for review in settings.reviews if review.number == pull.number],
        f"{scope.path_by_id}{_PULLS}/{pull.number}/reviews",
        lambda review: review_document(review, settings, base),
    )


async def list_comments(request: web.Request) -> web.Response:
    """List a pull request's comments, the oldest first; `since` leaves out older ones."""
    base = api_base(request)
    since = _moment_in(request, "since")
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        settings = state.repositories.of(scope.name)
    pull = _pull_of(request, settings)
    return array(
        request,
        [
            comment
            for comment in settings.comments
            if comment.number == pull.number and (since is None or comment.updated_at >= since)
        ],
        f"{scope.path_by_id}/issues/{pull.number}/comments",
        lambda comment: comment_document(comment, settings, base),
    )


def _pulls(
    request: web.Request, path: str, select: Callable[[list[PullRequest]], list[PullRequest]]
) -> web.Response:
    base = api_base(request)
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        repositories = state.repositories
        return array(
            request,
            select(list(repositories.of(scope.name).pulls.values())),
            scope.path_by_id + path,
            lambda pull: simple_pull_document(pull, repositories.pull_context(scope, pull, base)),
        )


def _pull_of(request: web.Request, settings: Repository) -> PullRequest:
    pull = settings.pulls.get(number_in(request, "pull_number"))
    if pull is None:
        raise ApiError.not_found()
    return pull


def _moment_in(request: web.Request, name: str) -> datetime | None:
    text = request.query.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise ApiError.unprocessable(f"Invalid input: {name} must be a timestamp") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
