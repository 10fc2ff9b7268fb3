"""What a request needs: a permission of a fine-grained token or app, a scope of a classic one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Level = Literal["read", "write"]

RUNNERS = "organization_self_hosted_runners"
ALL_PERMISSIONS = (
    RUNNERS,
    "administration",
    "enterprise_self_hosted_runners",
    "actions",
    "contents",
    "issues",
    "pull_requests",
)
ALL_SCOPES = ("admin:org", "manage_runners:enterprise", "repo")
_INCLUDED = {"admin:enterprise": ("manage_runners:enterprise",)}
_READING = ("GET", "HEAD")
_REPOSITORY = re.compile(r"/(repos/[^/]+/[^/]+|repositories/\d+)/?(?P<rest>.*)$")
_SHOWN: dict[str, tuple[str, str | None]] = {
    "branches": ("contents", None),
    "pulls": ("pull_requests", None),
    "commits": ("pull_requests", None),
    "issues": ("issues", "pull_requests"),
}
"""What shows the chapters of a private repository; the others are shown by its metadata."""


@dataclass(frozen=True)
class Need:
    """What a request needs, in each of the ways in which a token may have it."""

    permission: str
    level: Level
    scope: str
    refusal: str
    """What GitHub tells the bearer of a classic token that lacks the scope."""
    alternative: str | None = None
    """A permission that does as well."""
    public: bool = False
    """Whether a public repository shows it to everybody."""
    by_push: bool = False
    """Whether the bearer of a personal token must also have push access to the repository."""

    @property
    def wanted(self) -> str:
        """The permission as `X-Accepted-GitHub-Permissions` names it."""
        return "; ".join(f"{permission}={self.level}" for permission in self._permissions)

    @property
    def _permissions(self) -> tuple[str, ...]:
        return (self.permission, self.alternative) if self.alternative else (self.permission,)

    def granted_by_permissions(self, permissions: Mapping[str, Level]) -> bool:
        """Tell whether permissions suffice."""
        return any(permissions.get(name) in {self.level, "write"} for name in self._permissions)

    def granted_by_scopes(self, scopes: tuple[str, ...]) -> bool:
        """Tell whether a classic token's scopes suffice."""
        return any(
            self.scope == scope or self.scope in _INCLUDED.get(scope, ()) for scope in scopes
        )


def need_of(method: str, path: str) -> Need | None:
    """Return what a request needs, None where any token will do."""
    level: Level = "read" if method in _READING else "write"
    within = _REPOSITORY.match(path)
    if within is not None and not within["rest"].startswith("actions/"):
        return _need_of_settings(within["rest"], level)
    if "/actions/" not in path:
        return None
    if path.startswith("/enterprises/"):
        permission, scope = "enterprise_self_hosted_runners", "manage_runners:enterprise"
        return Need(permission, level, scope, "Must have admin rights to Enterprise.")
    if path.startswith(("/orgs/", "/organizations/")):
        refusal = (
            "You must be an org admin or have the runners and runner groups fine-grained"
            " permission."
        )
        return Need(RUNNERS, level, "admin:org", refusal)
    permission = "administration" if "/actions/runners" in path else "actions"
    return Need(permission, level, "repo", "Must have admin rights to Repository.")


def _need_of_settings(within: str, level: Level) -> Need:
    """Return what is needed to see a repository, its settings and its pull requests."""
    chapter, _, rest = within.partition("/")
    if chapter == "branches" and rest.endswith("/protection"):
        return Need("administration", level, "repo", "Must have admin rights to Repository.")
    if chapter == "collaborators":
        refusal = "Must have push access to view repository collaborators."
        return Need("metadata", level, "repo", refusal, by_push=True)
    permission, alternative = _SHOWN.get(chapter, ("metadata", None))
    return Need(permission, level, "repo", "Not Found", alternative, public=True)
