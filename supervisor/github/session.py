"""Who asks GitHub: the token that requests are sent with, and how an app comes by one.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone

import jwt

from supervisor.github.credential import AppKey, Credential, PersonalToken, is_token
from supervisor.github.errors import reading, scopes_of
from supervisor.github.exchange import Answer, Request, Talk
from supervisor.text import moments

_REFRESH_BEFORE_S = 300.0
_SHORTEST_USE_S = 30.0
_JWT_STARTS_BEFORE = timedelta(seconds=60)
_JWT_LIFE = timedelta(minutes=9)
_EXPIRATION = "github-authentication-token-expiration"


class Session:
    """Holds the token for one credential. Not for several threads.

    A personal access token is used as it is. An app signs a request for an installation's token,
    which lives an hour; it is asked for again before that is over.

    Args:
        credential: what the operator has given.
    """

    def __init__(self, credential: Credential) -> None:
        self.credential = credential
        self._token = credential.token if isinstance(credential, PersonalToken) else ""
        self._good_until = float("inf") if self._token else 0.0
        self.permissions = ""
        self.expires_at: datetime | None = None

    def token(self, now: float) -> str:
        """Give the token to ask with; empty if one must be asked for first.

        Args:
            now: monotonic, seconds.
        """
        return self._token if now < self._good_until else ""

    def drop_token(self) -> bool:
        """Forget a token that GitHub does not take. Tells whether another can be asked for."""
        if isinstance(self.credential, AppKey):
            self._good_until = 0.0
        return isinstance(self.credential, AppKey)

    def renewal(
        self, monotonic: Callable[[], float], server_time: Callable[[], datetime]
    ) -> Talk[None]:
        """Ask for an installation's token, and take it in.

        Args:
            monotonic: tells the time in seconds.
            server_time: tells the time as GitHub's clock shows it.
        """
        request = self.request(server_time())
        answer = yield request
        self.accept(request, answer, monotonic(), server_time())

    def request(self, server_time: datetime) -> Request:
        """Make the request for an installation's token.

        Args:
            server_time: the time as GitHub's clock shows it, which judges the signature.
        """
        app = self.credential
        assert isinstance(app, AppKey)  # noqa: S101 - a personal token is never asked for
        claims = {
            "iss": str(app.app_id),
            "iat": int((server_time - _JWT_STARTS_BEFORE).timestamp()),
            "exp": int((server_time + _JWT_LIFE).timestamp()),
        }
        return Request(
            "POST",
            f"/app/installations/{app.installation_id}/access_tokens",
            f"get a token for installation {app.installation_id} of {app.kind}",
            jwt=jwt.encode(claims, app.private_key, algorithm="RS256"),
        )

    def accept(self, request: Request, answer: Answer, now: float, server_time: datetime) -> None:
        """Take in the installation's token.

        Args:
            request: that asked for it.
            answer: that holds it.
            now: monotonic, seconds.
            server_time: the time as GitHub's clock shows it, which says how long the token lives.

        Raises:
            GitHubError: the answer holds none.
        """
        with reading(request.aim):
            token = answer.data["token"]
            if not isinstance(token, str) or not is_token(token):
                raise ValueError("not a token")
            self._token = token
            self.expires_at = datetime.fromisoformat(
                moments.without_letter(str(answer.data["expires_at"]))
            )
            life_s = (self.expires_at - server_time).total_seconds()
            permissions: Mapping[str, str] = answer.data.get("permissions") or {}
            self.permissions = ", ".join(
                f"{name}: {level}" for name, level in sorted(permissions.items())
            )
        # One that lives for a short time only is used for half of it.
        self._good_until = now + max(life_s - _REFRESH_BEFORE_S, life_s / 2, _SHORTEST_USE_S)

    def learn(self, answer: Answer) -> None:
        """Take in what an answer says of a personal access token: scopes, and when it expires."""
        if isinstance(self.credential, AppKey):
            return
        self.permissions = scopes_of(answer.headers) or self.permissions
        expiration = answer.headers.get(_EXPIRATION, "")
        for form in ("%Y-%m-%d %H:%M:%S %Z", "%Y-%m-%d %H:%M:%S %z"):
            try:
                moment = datetime.strptime(expiration, form)  # noqa: DTZ007 - UTC, where it names no other
            except ValueError:
                continue
            self.expires_at = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
