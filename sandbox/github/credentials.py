"""Who may ask: tokens known to the sandbox, apps, and short-lived registration tokens."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import jwt

from sandbox.github.budget import Budget
from sandbox.github.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.github.model import Scope

Access = Literal["write", "read", "none"]
Purpose = Literal["registration", "remove"]

_SHORT_TOKEN_LIFE = timedelta(hours=1)
_LONGEST_JWT_LIFE = timedelta(minutes=10)
_CLOCK_DRIFT = timedelta(seconds=60)
_SCHEMES = ("token", "bearer")


@dataclass
class Grant:
    """What a token allows, and its own budget of requests."""

    access: Access
    budget: Budget
    kind: Literal["personal access token", "integration"] = "personal access token"
    expires_at: datetime | None = None


@dataclass(frozen=True)
class App:
    """A GitHub App installed in the sandbox.

    `public_key` is PEM text; the client signs its JWT with the private half (RS256).
    """

    app_id: int
    installation_id: int
    public_key: str = field(repr=False)
    client_id: str = "Iv1.sandbox"
    access: Access = "write"


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
        limit: requests per hour that a new token gets.
    """

    def __init__(self, limit: int = 5000) -> None:
        self._limit = limit
        self._grants: dict[str, Grant] = {}
        self._apps: dict[int, App] = {}
        self._short: dict[str, ShortToken] = {}

    def add_token(self, token: str, access: Access = "write") -> Grant:
        """Make a personal access token known."""
        grant = self._grants[token] = Grant(access, Budget(self._limit))
        return grant

    def revoke(self, token: str) -> None:
        """Forget a token: whoever uses it gets 401 from now on."""
        self._grants.pop(token, None)

    def revoke_installation_tokens(self) -> None:
        """Forget all tokens of apps, as GitHub does when an app's owner says so."""
        self._grants = {t: g for t, g in self._grants.items() if g.kind != "integration"}

    def known(self) -> tuple[str, ...]:
        """Give every token that was ever good: each is a secret."""
        return (*self._grants, *self._short)

    def add_app(self, app: App) -> None:
        """Make an app known."""
        self._apps[app.installation_id] = app

    def grant(self, authorization: str | None, now: datetime) -> Grant | None:
        """Return what an Authorization header allows; None for no header.

        Raises:
            ApiError: 401, unknown or expired.
        """
        if not authorization:
            return None
        scheme, _, token = authorization.partition(" ")
        grant = self._grants.get(token.strip()) if scheme.lower() in _SCHEMES else None
        if grant is None or (grant.expires_at is not None and grant.expires_at <= now):
            raise ApiError.bad_credentials()
        return grant

    def installation_token(
        self, authorization: str | None, installation_id: int, now: datetime
    ) -> tuple[str, Grant]:
        """Exchange an app's JWT for an installation's token, which lives an hour.

        Raises:
            ApiError: 401 for a JWT that does not hold, 404 for an installation not the app's.
        """
        app = self._app_of(authorization, now)
        if app.installation_id != installation_id:
            raise ApiError.not_found()
        # GitHub's own look so since 2026-04: an app's number, then dots, dashes, underscores.
        parts = (secrets.token_urlsafe(12), secrets.token_urlsafe(40), secrets.token_urlsafe(20))
        token = f"ghs_{app.app_id}_{'.'.join(parts)}"
        grant = Grant(app.access, Budget(self._limit), "integration", now + _SHORT_TOKEN_LIFE)
        self._grants[token] = grant
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

    def _app_of(self, authorization: str | None, now: datetime) -> App:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not self._apps:
            raise ApiError(401, "A JSON web token could not be decoded")
        for app in self._apps.values():
            try:
                claims = jwt.decode(
                    token,
                    app.public_key,
                    algorithms=["RS256"],
                    # By the sandbox's own clock, below.
                    options={
                        "require": ["exp", "iat", "iss"],
                        "verify_iat": False,
                        "verify_exp": False,
                    },
                )
            except jwt.PyJWTError:
                continue
            if str(claims["iss"]) not in (str(app.app_id), app.client_id):
                continue
            _judge_times(claims, now)
            return app
        raise ApiError(401, "A JSON web token could not be decoded")


def _judge_times(claims: Mapping[str, Any], now: datetime) -> None:
    """Refuse a JWT that was made at another time, in GitHub's words.

    Raises:
        ApiError: 401.
    """
    if claims["iat"] > (now + _CLOCK_DRIFT).timestamp():
        raise ApiError(
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion"
            " was issued",
        )
    if claims["exp"] <= now.timestamp():
        raise ApiError(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future time"
            " at which the assertion expires",
        )
    if claims["exp"] > (now + _LONGEST_JWT_LIFE + _CLOCK_DRIFT).timestamp():
        raise ApiError(401, "'Expiration time' claim ('exp') is too far in the future")
