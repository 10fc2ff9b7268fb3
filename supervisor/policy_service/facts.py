"""What GitHub says of a repository, as far as checks need it, read from its answers.

Whatever is missing or of another kind than GitHub describes raises one of the errors that
`supervisor.github.errors.reading` translates: no fact is ever made up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ADMIN_ROLE = 5  # https://docs.github.com/en/rest/repos/rules: the RepositoryRole "admin"
_PROTECTING = frozenset(
    {"pull_request", "update", "merge_queue", "required_status_checks", "non_fast_forward"}
)
"""Kinds of rules that keep a branch from being changed by anybody and at will."""


@dataclass(frozen=True)
class Reviews:
    """That changes of a branch need a review.

    Attributes:
        source: what says so, in words.
        approvals: how many are needed.
        bypassers: who need none; None where GitHub does not show it to our credential.
    """

    source: str
    approvals: int
    bypassers: tuple[str, ...] | None


@dataclass(frozen=True)
class Rule:
    """A rule in force for a branch, by a ruleset.

    Attributes:
        ruleset_id: GitHub's number of it.
        source: where the ruleset is set: a repository or an organisation.
        protects: it keeps the branch from being changed by anybody and at will.
        approvals: how many a change needs; None if it is no rule about pull requests.
    """

    ruleset_id: int
    source: str
    protects: bool
    approvals: int | None


@dataclass(frozen=True)
class Collaborator:
    """Somebody who has a role in a repository."""

    login: str
    role: str


@dataclass(frozen=True)
class Pull:
    """An open pull request.

    Attributes:
        number: the repository's.
        head_ref: the branch it comes from.
        head_repository: where that is; empty if it has been deleted.
    """

    number: int
    head_ref: str
    head_repository: str


@dataclass(frozen=True)
class Comment:
    """A comment to a pull request.

    Attributes:
        author: empty if there is no such user any more.
        body: Markdown.
        is_associated: GitHub says that the author belongs to the repository.
    """

    author: str
    body: str
    is_associated: bool


def items(value: Any) -> list[Any]:
    """Read a list."""
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def default_branch(data: Any) -> str:
    """Read a repository."""
    return _text(data["default_branch"])


def is_protected(data: Any) -> bool:
    """Read a branch."""
    return _bool(data["protected"])


def protection(data: Any) -> Reviews | None:
    """Read a branch's protection; None where it asks for no reviews."""
    reviews = _mapping(data).get("required_pull_request_reviews")
    if reviews is None:
        return None
    # GitHub leaves the allowances out where nobody has one.
    allowances = _mapping(reviews.get("bypass_pull_request_allowances") or {})
    bypassers = [
        f"{kind[:-1]} {_text(one[key])}"
        for kind, key in (("users", "login"), ("teams", "slug"), ("apps", "slug"))
        for one in items(allowances.get(kind) or [])
    ]
    approvals = _number(reviews["required_approving_review_count"])
    return Reviews("branch protection", approvals, tuple(bypassers))


def rule(data: Any) -> Rule:
    """Read a rule that is in force for a branch."""
    kind = _text(data["type"])
    approvals = None
    if kind == "pull_request":
        approvals = _number(data["parameters"]["required_approving_review_count"])
    number, source = _number(data["ruleset_id"]), _text(data["ruleset_source"])
    return Rule(number, source, kind in _PROTECTING, approvals)


def bypassers(data: Any) -> tuple[str, ...] | None:
    """Read who may bypass a ruleset; None where it is not shown.

    Administrators are left out: they may change the ruleset itself, and branch protection lets them
    pass as well.
    """
    actors = _mapping(data).get("bypass_actors")
    if actors is None:
        return None
    found = []
    for actor in items(actors):
        kind, number = _text(actor["actor_type"]), actor["actor_id"]
        is_admin = kind == "OrganizationAdmin" or (
            kind == "RepositoryRole" and number == _ADMIN_ROLE
        )
        if not is_admin:
            found.append(f"{kind} {'' if number is None else _number(number)}".strip())
    return tuple(found)


def collaborator(data: Any) -> Collaborator:
    """Read a collaborator."""
    return Collaborator(_text(data["login"]), _text(data["role_name"]))


def permission(data: Any, login: str) -> str:
    """Read what a user may do: `admin`, `write`, `read` or `none`."""
    if _text(data["user"]["login"]).lower() != login.lower():
        raise ValueError("of another user")
    level = _text(data["permission"])
    if level not in {"admin", "write", "read", "none"}:
        raise ValueError("not a permission")
    return level


def pull(data: Any) -> Pull:
    """Read a pull request."""
    if data["state"] != "open":
        raise ValueError("not an open one")
    repository = data["head"]["repo"]
    return Pull(
        number=_number(data["number"]),
        head_ref=_text(data["head"]["ref"]),
        head_repository="" if repository is None else _text(repository["full_name"]),
    )


def comment(data: Any) -> Comment:
    """Read a comment."""
    user, body = data["user"], data["body"]
    association = _mapping(data).get("author_association")
    return Comment(
        author="" if user is None else _text(user["login"]),
        body="" if body is None else _text(body, may_be_empty=True),
        is_associated=association in {"OWNER", "MEMBER", "COLLABORATOR"},
    )


def _text(value: Any, *, may_be_empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or may_be_empty):
        raise ValueError("not a text")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("not a number of GitHub's")
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("not a mapping")
    return value
