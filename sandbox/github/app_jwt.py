"""The JSON web token with which an app shows who it is, checked by the server's own clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import jwt

from sandbox.github.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sandbox.github.permissions import Level

Access = Literal["write", "read", "none"]

_LONGEST_LIFE = timedelta(minutes=10)
_DRIFT = timedelta(seconds=60)
_EARLIEST = timedelta(seconds=5)
_UNDECODABLE = "A JSON web token could not be decoded"
_ISSUED_AT = (
    "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was"
    " issued"
)
_EXPIRATION = (
    "'Expiration time' claim ('exp') must be a numeric value representing the future time at which"
    " the assertion expires"
)
_TOO_FAR = "'Expiration time' claim ('exp') is too far in the future"


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
    suspended: bool = False
    permissions: Mapping[str, Level] | None = None
    """What it may do, where that is not all that its access stands for."""


def app_of(authorization: str | None, apps: Collection[App], now: datetime) -> list[App]:
    """Return the installations of the app whose JWT a request carries.

    Raises:
        ApiError: 401, for a JWT that does not hold now.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise ApiError(401, _UNDECODABLE)
    for app in apps:
        try:
            # GitHub's clock decides, not this machine's: `_check_times` compares.
            claims: dict[str, Any] = jwt.decode(
                token,
                app.public_key,
                algorithms=["RS256"],
                options={
                    "require": ["exp", "iat", "iss"],
                    "verify_aud": False,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.PyJWTError:
            continue
        if str(claims["iss"]) not in (str(app.app_id), app.client_id):
            continue
        _check_times(claims, now)
        return [other for other in apps if other.app_id == app.app_id]
    raise ApiError(401, _UNDECODABLE)


def _check_times(claims: dict[str, Any], now: datetime) -> None:
    issued, expires = claims["iat"], claims["exp"]
    if type(expires) not in (int, float) or expires <= now.timestamp():
        raise ApiError(401, _EXPIRATION)
    if type(issued) is not int or issued > (now + _EARLIEST).timestamp():
        raise ApiError(401, _ISSUED_AT)
    if expires > (now + _LONGEST_LIFE + _DRIFT).timestamp():
        raise ApiError(401, _TOO_FAR)
