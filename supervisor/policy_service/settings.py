"""What the service is told when it starts: read once, from a file descriptor.

So no secret stands in an argument, in the environment or in a file.
"""

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from supervisor.github.credential import ONE_PLAIN_LINE, AppKey, Credential, PersonalToken, is_token
from supervisor.policy import document
from supervisor.web.proxies import Proxies, parse_exception, parse_proxy

_LONGEST = 1 << 20
_SHORTEST_SECRET = 16


class SettingsError(Exception):
    """They can't be used; the message says what is wrong, and quotes no value."""


@dataclass(frozen=True)
class Settings:
    """All that the service is told.

    Attributes:
        api_url: the base of GitHub's REST API.
        credential: what GitHub is asked with.
        proxies: what GitHub is asked through.
        charm_token: of whoever runs the service.
        token_secrets: those that sign one-time tokens; the first signs new ones.
        state_directory: where used tokens and the policy are kept; the service's alone.
        policy: the policy document, or None for the usual policy.
        decisions: the file that decisions are logged in.
        scope: the owner or the repository whose jobs alone may run; None for any.
    """

    api_url: str
    credential: Credential = field(repr=False)
    proxies: Proxies
    charm_token: str = field(repr=False)
    token_secrets: tuple[bytes, ...] = field(repr=False)
    state_directory: Path
    policy: Any
    decisions: Path
    scope: str | None = None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _App(_Strict):
    id: Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]
    installation_id: Annotated[int, Field(gt=0)]
    private_key: Annotated[str, Field(min_length=1)]


class _Credential(_Strict):
    token: str | None = None
    app: _App | None = None


class _Proxies(_Strict):
    http: str | None = None
    https: str | None = None
    exceptions: tuple[str, ...] = ()


class _GitHub(_Strict):
    api_url: Annotated[str, Field(pattern=r"^https?://[^\s@?#]+$")]
    credential: _Credential
    proxies: _Proxies = _Proxies()


class _Document(_Strict):
    github: _GitHub
    charm_token: str
    token_secrets: Annotated[tuple[str, ...], Field(min_length=1)]
    state_directory: Path
    policy: Any = None
    decisions: Path
    scope: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$")] | None = None


def read(descriptor: int) -> Settings:
    """Read the settings to their end, and close the descriptor.

    Raises:
        SettingsError: they can't be read, or used.
    """
    try:
        with os.fdopen(descriptor, "rb") as file:
            return parse(file.read(_LONGEST + 1))
    except OSError as error:
        raise SettingsError(f"file descriptor {descriptor}: {error.strerror}") from None


def parse(text: bytes) -> Settings:
    """Read the settings from JSON.

    Raises:
        SettingsError: they can't be used.
    """
    if len(text) > _LONGEST:
        raise SettingsError(f"the settings are longer than {_LONGEST} bytes")
    try:
        given = _Document.model_validate_json(text)
    except ValidationError as error:
        # The causes are left out of it, as they hold what was given.
        first = error.errors(include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the settings"
        raise SettingsError(f"{where}: {first['msg']}") from None
    try:
        document.parse_optional(given.policy)
        for name, path in (
            ("state_directory", given.state_directory),
            ("decisions", given.decisions),
        ):
            _expect(path.is_absolute(), f"{name}: must be an absolute path")
        _expect(is_token(given.charm_token), f"charm_token: {ONE_PLAIN_LINE}")
        return Settings(
            api_url=given.github.api_url.rstrip("/"),
            credential=_credential(given.github.credential),
            proxies=_proxies(given.github.proxies),
            charm_token=given.charm_token,
            token_secrets=tuple(map(_secret, given.token_secrets)),
            state_directory=given.state_directory,
            policy=given.policy,
            decisions=given.decisions,
            scope=given.scope,
        )
    except document.DocumentError as error:
        raise SettingsError(f"policy: {error}") from error
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _credential(given: _Credential) -> Credential:
    if given.app is not None and given.token is None:
        app = given.app
        return AppKey(app.id, app.installation_id, app.private_key)
    _expect(
        given.token is not None and given.app is None, "github.credential: must be token or app"
    )
    token = given.token or ""
    _expect(is_token(token), f"github.credential.token: {ONE_PLAIN_LINE}")
    return PersonalToken(token)


def _proxies(given: _Proxies) -> Proxies:
    return Proxies(
        http=parse_proxy(given.http) if given.http else None,
        https=parse_proxy(given.https) if given.https else None,
        exceptions=tuple(map(parse_exception, given.exceptions)),
    )


def _secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text, validate=True)
    except ValueError:
        secret = b""
    rule = f"token_secrets: must be base64 of at least {_SHORTEST_SECRET} bytes each"
    _expect(len(secret) >= _SHORTEST_SECRET, rule)
    return secret


def _expect(fits: bool, rule: str) -> None:
    if not fits:
        raise ValueError(rule)
