"""What a request needs: a permission of a fine-grained token or app, a scope of a classic one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Level = Literal["read", "write"]

RUNNERS = "organization_self_hosted_runners"
ALL_PERMISSIONS = (RUNNERS, "administration", "enterprise_self_hosted_runners", "actions")
ALL_SCOPES = ("admin:org", "manage_runners:enterprise", "repo")
_INCLUDED = {"admin:enterprise": ("manage_runners:enterprise",)}
_READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Need:
    """What a request needs, in each of the ways in which a token may have it."""

    permission: str
    level: Level
    scope: str
    refusal: str
    """What GitHub tells the bearer of a classic token that lacks the scope."""

    @property
    def wanted(self) -> str:
        """The permission as `X-Accepted-GitHub-Permissions` names it."""
        return f"{self.permission}={self.level}"

    def granted_by_permissions(self, permissions: Mapping[str, Level]) -> bool:
        """Tell whether permissions suffice."""
        return permissions.get(self.permission) in {self.level, "write"}

    def granted_by_scopes(self, scopes: tuple[str, ...]) -> bool:
        """Tell whether a classic token's scopes suffice."""
        return any(
            self.scope == scope or self.scope in _INCLUDED.get(scope, ()) for scope in scopes
        )


def need_of(method: str, path: str) -> Need | None:
    """Return what a request needs, None where any token will do."""
    level: Level = "read" if method in _READING else "write"
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
