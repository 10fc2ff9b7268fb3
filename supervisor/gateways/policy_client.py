"""What the daemon asks a policy service over HTTP: whether it is well, and tokens for guests."""

from __future__ import annotations

import os
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING

import requests
from typing_extensions import Self

from supervisor.gateways.http_session import CERTIFICATES
from supervisor.gateways.silence import reason
from supervisor.github.credential import is_token

if TYPE_CHECKING:
    from types import TracebackType

_LONGEST_ANSWER = 1024
_QUICK_S = 3
_PATIENT_S = 8
"""Longer than the service gives GitHub to answer before it says that it does not."""
_OK, _NO_CONTENT, _UNAUTHORIZED, _FORBIDDEN = 200, 204, 401, 403


class PolicyUnavailable(Exception):
    """It does not answer, or not as such a service does; the message says how."""


class PolicyClient:
    """A policy service at an address, asked directly. Not for several threads.

    Args:
        base: where it is, such as `http://10.1.2.1:8643`.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._session = requests.Session()
        # Neither proxies nor logins of whoever started the daemon.
        self._session.trust_env = False
        self._session.verify = next(filter(None, map(os.environ.get, CERTIFICATES)), True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()

    def takes(self, token: str) -> bool:
        """Tell whether it takes a one-time token, which is used up by that.

        Raises:
            PolicyUnavailable: it does not say.
        """
        status, said = self._get("/auth-health", token, _QUICK_S)
        if status in {_NO_CONTENT, _UNAUTHORIZED, _FORBIDDEN}:
            return status == _NO_CONTENT
        raise PolicyUnavailable(f"it answers {status}: {said}")

    def trouble(self) -> str:
        """Say why it can't check jobs; empty if it can.

        Raises:
            PolicyUnavailable: it does not say.
        """
        status, said = self._get("/health", "", _PATIENT_S)
        return "" if status == _NO_CONTENT else said or f"it answers {status}"

    def one_time_token(self, charm_token: str) -> str:
        """Have it issue a token.

        Raises:
            PolicyUnavailable: it does not.
        """
        status, said = self._get("/one-time-token", charm_token, _QUICK_S)
        if status == _OK and is_token(said):
            return said
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            raise PolicyUnavailable(f"it refuses the token of policy.token ({status})")
        raise PolicyUnavailable(f"it issues no token: it answers {status}")

    def _get(self, path: str, token: str, limit_s: int) -> tuple[int, str]:
        headers = {"Connection": "close", "Accept-Encoding": "identity"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        deadline = monotonic() + limit_s
        try:
            answer = self._session.get(
                self._base + path,
                headers=headers,
                timeout=limit_s,
                allow_redirects=False,
                stream=True,
            )
            with closing(answer):
                said = _beginning(answer, deadline)
        except (requests.RequestException, OSError) as error:
            raise PolicyUnavailable(reason(error, limit_s)) from error
        if monotonic() > deadline:
            raise PolicyUnavailable(f"no answer within {limit_s} s")
        return answer.status_code, said


def _beginning(answer: requests.Response, deadline: float) -> str:
    body = bytearray()
    for piece in answer.iter_content(_LONGEST_ANSWER):
        body += piece
        if len(body) >= _LONGEST_ANSWER or monotonic() > deadline:
            break
    text = bytes(body[:_LONGEST_ANSWER]).decode(errors="replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
