"""What GitHub's refusals mean, and what the operator can do about them.

Statuses, headers and words: https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api
and https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api. Messages of
these errors are for the operator, one line each, and hold no secret.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from supervisor.causes import Cause, CausedError
from supervisor.github.exchange import NOT_MODIFIED, Answer, Request
from supervisor.github.scope import Scope
from supervisor.web.proxies import Proxy

_BAD_REQUEST = 400
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_NOT_FOUND = 404
_CONFLICT = 409
_UNPROCESSABLE = 422
_TOO_MANY = 429
_SERVER = 500
_LIMITED = re.compile(r"rate limit|abuse detection|please wait a few minutes", re.IGNORECASE)
_ACCEPTED = "x-accepted-github-permissions"


class GitHubError(CausedError):
    """GitHub can't be reached or refuses.

    Args:
        message: what was asked for, and what came of it.
        cause: if it is another than what all of its kind have.
        answer: the message without what was asked for, for those who wait with other questions.
    """

    def __init__(self, message: str = "", cause: Cause | None = None, answer: str = "") -> None:
        super().__init__(message, cause)
        self.answer = answer or message


class NameTaken(GitHubError):
    """A runner of this name is registered already (409)."""

    cause = Cause.GITHUB_REFUSED


class RunnerBusy(GitHubError):
    """The runner runs a job: GitHub does not delete it (422)."""


class NotFound(GitHubError):
    """There is no such thing, or the credential may not see it: GitHub does not say which (404)."""

    cause = Cause.PERMISSION_MISSING


class Rejected(GitHubError):
    """The credential is wrong, expired or revoked (401): nothing can be asked with it."""

    cause = Cause.CREDENTIAL_REJECTED


class Forbidden(GitHubError):
    """The credential is good, but not for this (403)."""

    cause = Cause.PERMISSION_MISSING


class Refused(GitHubError):
    """GitHub does not do it as asked, such as for a value that it does not take."""

    cause = Cause.GITHUB_REFUSED


class RateLimited(GitHubError):
    """A limit of GitHub's is used up: nothing was done, and the same may be asked later."""

    cause = Cause.RATE_LIMITED


class Cancelled(GitHubError):
    """It was not asked for, or not to its end, for what became of something else."""


class Unavailable(GitHubError):
    """GitHub could not be reached, failed, or said what can't be read.

    Whether a request that changes something was carried out is unknown.
    """

    cause = Cause.GITHUB_UNAVAILABLE


@dataclass(frozen=True)
class Asker:
    """Who asks for what: for messages that name what is missing.

    Attributes:
        scope: whose runners.
        credential: its kind in words, such as "classic personal access token".
    """

    scope: Scope
    credential: str


def check(request: Request, answer: Answer, asker: Asker) -> None:
    """Do nothing for an answer that is as asked for.

    Raises:
        GitHubError: the subclass that says what went wrong, with words for the operator.
    """
    status = answer.status
    good = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    is_whole = status == HTTPStatus.NO_CONTENT or answer.data is not None
    if (good and is_whole) or status == NOT_MODIFIED:
        return
    if good:
        raise unreadable(request.aim)
    kind, hint = _verdict(request, answer, asker)
    said = "; ".join(part for part in (answer.message, hint) if part)
    detail = f": {said}" if said else ""
    answered = f"GitHub answered {status}{detail}"
    raise kind(f"could not {request.aim}: {answered}", answer=answered)


def unreachable(request: Request, reason: str, proxy: Proxy | None = None) -> Unavailable:
    """Make the error for a request that got no answer.

    Args:
        request: what was asked.
        reason: in plain words.
        proxy: what it was asked through.
    """
    way = f" through the proxy {proxy}" if proxy else ""
    cause = Cause.PROXY_FAILED if proxy else None
    answer = f"GitHub can't be reached{way} ({reason})"
    return Unavailable(f"could not {request.aim}: {answer}", cause, answer)


def unreadable(aim: str) -> Unavailable:
    """Make the error for an answer that is not as GitHub describes it: a proxy's, perhaps."""
    answer = (
        "the answer can't be read; is github-url GitHub's address, "
        "with no proxy answering in its place?"
    )
    return Unavailable(f"could not {aim}: {answer}", answer=answer)


@contextmanager
def reading(aim: str) -> Iterator[None]:
    """Translate what comes of reading an answer of another shape than described.

    Raises:
        Unavailable: it can't be read.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise unreadable(aim) from error


def is_rate_limit(answer: Answer) -> bool:
    """Tell whether a refusal is for one of GitHub's limits. By status, headers and words.

    GitHub documents 403 and 429 for both kinds.
    """
    if answer.status == _TOO_MANY:
        return True
    headers = answer.headers
    used_up = headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers
    return answer.status == _FORBIDDEN and (used_up or bool(_LIMITED.search(answer.message)))


def _verdict(request: Request, answer: Answer, asker: Asker) -> tuple[type[GitHubError], str]:
    if is_rate_limit(answer):
        return RateLimited, "no more calls for now"
    status = answer.status
    needs = asker.scope.needs(write=not request.is_read)
    who = asker.credential
    unseen = f"there is no {asker.scope}, or the {who} may not see it; it needs {needs}"
    bad = f"the {who} is wrong, expired or revoked; set another"
    busy = request.verb == "DELETE"
    moved = "it may have been moved or renamed; are path and github-url right?"
    verdicts: dict[int, tuple[type[GitHubError], str]] = {
        _UNAUTHORIZED: (Rejected, bad),
        _FORBIDDEN: (Forbidden, _missing(answer, asker)),
        _NOT_FOUND: (NotFound, unseen),
        _CONFLICT: (NameTaken, "the name is taken"),
        _UNPROCESSABLE: (RunnerBusy, "it runs a job") if busy else (Refused, ""),
    }
    if status >= _SERVER:
        return Unavailable, ""
    return verdicts.get(status, (Refused, moved if status < _BAD_REQUEST else ""))


def _missing(answer: Answer, asker: Asker) -> str:
    """Name the permission that is missing: GitHub's headers know it best."""
    sso = answer.headers.get("x-github-sso", "")
    if sso.startswith("required"):
        return (
            f"the {asker.credential} is not authorised for the organisation's single sign-on; "
            "authorise it in GitHub's settings of the token"
        )
    if "suspended" in answer.message.lower():
        return "its owner can lift the suspension in GitHub's settings of installed apps"
    if accepted := answer.headers.get(_ACCEPTED):
        needed = accepted.replace(";", " or")
    elif (accepted := answer.headers.get("x-accepted-oauth-scopes")) and (
        "x-oauth-scopes" in answer.headers
    ):
        has = answer.headers["x-oauth-scopes"] or "none"
        needed = f"one of the scopes {accepted} (it has: {has})"
    else:
        needed = asker.scope.needs(write=True)
    return f"the {asker.credential} may not do this; it needs {needed}"


def scopes_of(headers: Mapping[str, str]) -> str:
    """Give the scopes of a classic token, as each answer to it lists them."""
    return headers.get("x-oauth-scopes", "")
