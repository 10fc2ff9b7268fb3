"""Who may ask: tokens known to the sandbox, apps, and short-lived registration tokens."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal

from sandbox.github.app_jwt import Access, App, app_of
from sandbox.github.budget import Budget, Limits
from sandbox.github.errors import ApiError
from sandbox.github.permissions import ALL_PERMISSIONS, ALL_SCOPES, Level, Need

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sandbox.github.model import Scope

Purpose = Literal["registration", "remove"]
TokenKind = Literal["classic", "fine-grained", "integration"]

_SHORT_TOKEN_LIFE = timedelta(hours=1)
_SCHEMES = ("token", "bearer")
_SUSPENDED = "This installation has been suspended"
_CLASSIC_PREFIX = "ghp_"


@dataclass(frozen=True)
class Grant:
    """What a token allows, and its own budget of requests."""

    access: Access
    budget: Budget
    kind: TokenKind = "fine-grained"
    permissions: Mapping[str, Level] = field(default_factory=dict)
    """What a fine-grained or an app's token may do."""
    scopes: tuple[str, ...] = ()
    """What a classic token may do."""
    expires_at: datetime | None = None
    installation_id: int | None = None

    def headers(self, need: Need | None) -> dict[str, str]:
        """Return the headers by which GitHub tells of a token and of what a request needs."""
        headers: dict[str, str] = {}
        if self.kind == "classic":
            headers["X-OAuth-Scopes"] = ", ".join(self.scopes)
            headers["X-Accepted-OAuth-Scopes"] = need.scope if need else ""
        elif need is not None:
            headers["X-Accepted-GitHub-Permissions"] = need.wanted
        if self.expires_at is not None and self.kind != "integration":
            moment = self.expires_at.astimezone(timezone.utc)
            headers["github-authentication-token-expiration"] = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
        return headers

    def check(self, need: Need | None, *, private: bool | None = None) -> None:
        """Let a request pass that the token suffices for.

        Args:
            need: what the request needs.
            private: whether it asks for a private repository; None where it asks for none.

        Raises:
            ApiError: 403; 404 for a private repository that the token does not see at all.
        """
        if need is None or (need.public and not private):
            return
        if private and not self._sees_private_repositories():
            raise ApiError.not_found()
        if need.by_push and self.kind == "fine-grained" and self.access == "none":
            raise ApiError(403, need.refusal)
        if self.kind == "classic":
            if not need.granted_by_scopes(self.scopes):
                raise ApiError(403, need.refusal)
        elif not need.granted_by_permissions(self.permissions):
            bearer = "integration" if self.kind == "integration" else "personal access token"
            raise ApiError.not_accessible(bearer)

    def _sees_private_repositories(self) -> bool:
        if self.kind == "classic":
            return "repo" in self.scopes
        return self.access != "none"


@dataclass(frozen=True)
class ShortToken:
    """A registration or removal token: for `config.sh`, not for the REST API."""

    token: str = field(repr=False)
    purpose: Purpose
    scope: Scope
    expires_at: datetime


class Credentials:
    """All tokens the sandbox knows.

    Args:
        limits: how much a new token may ask for.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._grants: dict[str, Grant] = {}
        self._apps: dict[int, App] = {}
        self._short: dict[str, ShortToken] = {}

    def add_token(
        self,
        token: str,
        access: Access = "write",
        scopes: Collection[str] = (),
        expires_at: datetime | None = None,
        permissions: Mapping[str, Level] | None = None,
    ) -> Grant:
        """Make a personal access token known: a classic one, if it begins with `ghp_`.

        A classic token may do what its scopes say. Without any named it has all that runners need,
        or with an access other than `write` only `read:org`, with which no runner can be seen.
        A fine-grained one may do what its permissions say, or else what its access stands for.
        """
        usual = ALL_SCOPES if access == "write" else ("read:org",)
        grant = self._grants[token] = Grant(
            access,
            self._limits.budget(),
            "classic" if token.startswith(_CLASSIC_PREFIX) else "fine-grained",
            permissions_of(access, permissions),
            tuple(scopes) or usual,
            expires_at,
        )
        return grant

    def revoke(self, token: str) -> None:
        """Forget a token: whoever uses it gets 401 from now on."""
        self._grants.pop(token, None)

    def revoke_installation_tokens(self) -> None:
        """Forget all tokens of installations, as GitHub does when an App's owner says so."""
        self._grants = {
            token: grant for token, grant in self._grants.items() if grant.installation_id is None
        }

    def known(self) -> tuple[str, ...]:
        """Give every token there is: each is a secret."""
        return (*self._grants, *self._short)

    def add_app(self, app: App) -> None:
        """Make an app's installation known, or change it."""
        self._apps[app.installation_id] = app

    def remove_app(self, installation_id: int) -> None:
        """Take an installation away, and with it its tokens."""
        self._apps.pop(installation_id, None)
        for token, grant in list(self._grants.items()):
            if grant.installation_id == installation_id:
                self.revoke(token)

    def suspend(self, installation_id: int, suspended: bool = True) -> None:
        """Suspend an installation, or take it up again.

        Raises:
            KeyError: no such installation.
        """
        app = self._apps[installation_id]
        self._apps[installation_id] = replace(app, suspended=suspended)

    def grant(self, authorization: str | None, now: datetime) -> Grant | None:
        """Return what an Authorization header allows; None for no header.

        Raises:
            ApiError: 401, unknown or expired; 403, its installation is suspended.
        """
        if not authorization:
            return None
        scheme, _, token = authorization.partition(" ")
        grant = self._grants.get(token.strip()) if scheme.lower() in _SCHEMES else None
        if grant is None or (grant.expires_at is not None and grant.expires_at <= now):
            raise ApiError.bad_credentials()
        app = self._apps.get(grant.installation_id) if grant.installation_id is not None else None
        if app is not None and app.suspended:
            raise ApiError(403, _SUSPENDED)
        return grant

    def installation_token(
        self,
        authorization: str | None,
        installation_id: int,
        now: datetime,
        wanted: Mapping[str, object] | None = None,
    ) -> tuple[str, Grant]:
        """Exchange an app's JWT for an installation's token, which lives an hour.

        Args:
            authorization: the request's header.
            installation_id: which installation.
            now: the time.
            wanted: the permissions asked for; all there are if it is empty.

        Raises:
            ApiError: 401 for a JWT that does not hold, 404 for an installation not the app's, 403
                for a suspended one, 422 for permissions that it does not have.
        """
        installed = app_of(authorization, list(self._apps.values()), now)
        app = next((app for app in installed if app.installation_id == installation_id), None)
        if app is None:
            raise ApiError.not_found()
        if app.suspended:
            raise ApiError(403, _SUSPENDED)
        permissions = _narrowed(permissions_of(app.access, app.permissions), wanted or {})
        # GitHub's own look so since 2026-04: an app's number, then dots, dashes, underscores.
        parts = (secrets.token_urlsafe(12), secrets.token_urlsafe(40), secrets.token_urlsafe(20))
        token = f"ghs_{app.app_id}_{'.'.join(parts)}"
        grant = self._grants[token] = Grant(
            app.access,
            self._limits.budget(),
            "integration",
            permissions,
            expires_at=now + _SHORT_TOKEN_LIFE,
            installation_id=installation_id,
        )
        return token, grant

    def new_short(self, purpose: Purpose, scope: Scope, now: datetime) -> ShortToken:
        """Make a registration or removal token, good for an hour."""
        token = "A" + secrets.token_hex(14).upper()
        short = ShortToken(token, purpose, scope, now + _SHORT_TOKEN_LIFE)
        self._short[token] = short
        return short

    def short(self, token: str, purpose: Purpose, now: datetime) -> ShortToken | None:
        """Return a registration or removal token if it is good for that purpose now."""
        short = self._short.get(token)
        if short is None or short.purpose != purpose or short.expires_at <= now:
            return None
        return short


def permissions_of(
    access: Access, permissions: Mapping[str, Level] | None = None
) -> dict[str, Level]:
    """Return the permissions named, or those that an access stands for."""
    if permissions is not None:
        return {**permissions, "metadata": "read"}
    if access == "none":
        return {"metadata": "read"}
    return dict.fromkeys(ALL_PERMISSIONS, access) | {"metadata": "read"}


def _narrowed(granted: dict[str, Level], wanted: Mapping[str, object]) -> dict[str, Level]:
    for name, level in wanted.items():
        if granted.get(name) not in (level, "write") or level not in ("read", "write"):
            raise ApiError.unprocessable(
                "The permissions requested are not granted to this installation."
            )
    if not wanted:
        return granted
    return {
        name: "write" if wanted.get(name) == "write" else "read"
        for name in granted
        if name in wanted or name == "metadata"
    }
