"""Who calls the service, by the token that is presented."""

import hmac
import logging
from datetime import datetime, timezone
from enum import Enum
from http import HTTPStatus
from typing import NoReturn

from flask import Response, abort, request

from supervisor.policy.tokens import Claim, verify
from supervisor.policy_service.settings import Settings
from supervisor.policy_service.state import State

_log = logging.getLogger(__name__)


class Charm(Enum):
    """Whoever runs the service: it may ask for tokens and set the policy."""

    CHARM = "charm"


class Callers:
    """Tells callers by the request at hand. For any thread.

    Args:
        settings: tokens and secrets.
        state: knows which tokens have been used.
    """

    def __init__(self, settings: Settings, state: State) -> None:
        self._settings = settings
        self._state = state

    def require_charm(self) -> None:
        """Answer 401 or 403 to everybody else, before anything else of the request is read."""
        if isinstance(self._who(), Claim):
            _refuse(HTTPStatus.FORBIDDEN)

    def require_runner(self) -> Claim:
        """Give the runner's claim; answer 401 or 403 to everybody else."""
        claim = self._who()
        if not isinstance(claim, Claim):
            _refuse(HTTPStatus.FORBIDDEN)
        return claim

    def _who(self) -> Charm | Claim:
        """Tell who calls. A one-time token is used up by that, whatever comes of the request.

        Not so where it belongs to another address: its runner shall not lose it to a thief.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            _refuse(HTTPStatus.UNAUTHORIZED)
        token = token.strip()
        charm = self._settings.charm_token.encode()
        if hmac.compare_digest(token.encode(errors="replace"), charm):
            return Charm.CHARM
        now = datetime.now(timezone.utc)
        claim = verify(self._settings.token_secrets, token, request.remote_addr or "", now)
        if not isinstance(claim, Claim) or not self._use(claim, now):
            _refuse(HTTPStatus.UNAUTHORIZED)
        return claim

    def _use(self, claim: Claim, now: datetime) -> bool:
        try:
            return self._state.use(claim, now)
        except OSError as error:
            _log.error("can't note that a token is used: %s", error)
            reason = f"that the token is used can't be noted: {error.strerror}"
            abort(Response(reason, HTTPStatus.INTERNAL_SERVER_ERROR))


def _refuse(status: HTTPStatus) -> NoReturn:
    headers = {"WWW-Authenticate": 'Bearer realm="Authentication Required"'}
    abort(Response("Unauthorized Access", status, headers))
