"""What guests reach of a package: tokens are known here, and what it says is made sure of.

Tokens are those of the service built in: they are signed by the daemon, used once, over restarts
of the package too, which knows its own only as long as it runs.
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from http import HTTPStatus
from time import monotonic
from typing import Any

from supervisor.github.scope import is_within
from supervisor.hosted_policy.package import Answer, Busy, Package
from supervisor.policy.limits import ALLOWED, ERROR, REFUSED
from supervisor.policy.tokens import Claim, verify
from supervisor.policy_service.decisions import Decision, DecisionLog
from supervisor.policy_service.known import DISK_HOLDS_S, Known
from supervisor.policy_service.used_tokens import UsedTokens

_EVENTS = ("pull_request", "push", "schedule", "workflow_dispatch", "default", "always-fail")
CHECKS = {f"/{event}/check-run": event for event in _EVENTS} | {"/check-run": "pull_request"}
_LONGEST_BODY = 64 << 10
_CHECK_LIMIT_S = 20.0
_HEALTH_LIMIT_S = 6.0
_WELL_HOLDS_S, _ILL_HOLDS_S = 60.0, 10.0
"""How long an answer about its health serves: it asks GitHub each time."""
_LONGEST_REASON = 1000
_LONGEST_NAME = 200
Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


class Front:
    """A WSGI application. For any thread.

    Args:
        package: is asked.
        secrets: that may have signed a token.
        used: knows which tokens have been used.
        log: takes the decisions.
        scope: the owner or the repository whose jobs alone may run; None for any.
    """

    def __init__(
        self,
        package: Package,
        secrets: tuple[bytes, ...],
        used: UsedTokens,
        log: DecisionLog,
        scope: str | None = None,
    ) -> None:
        self._package = package
        self._secrets = secrets
        self._scope = scope
        self._used = used
        self._log = log
        self._disk = Known(
            lambda: used.trouble() or log.trouble(),
            DISK_HOLDS_S,
            "its directory is being looked at",
        )
        self._health = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"the package has not been asked")
        self._health_until = 0.0

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        try:
            answer = self._answer(environ)
        except Exception as error:  # noqa: BLE001 - any error is a no, with its kind as the reason
            words = f"it could not be checked: {type(error).__name__}"
            answer = _error(words)
        status = HTTPStatus(answer.status)
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(answer.body))),
        ]
        if status is HTTPStatus.NO_CONTENT:
            headers = []
        start_response(f"{status:d} {status.phrase}", headers)
        return [answer.body]

    def _answer(self, environ: Environ) -> Answer:
        asked = (environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
        if asked == ("GET", "/health"):
            return self._say_health()
        if asked == ("GET", "/auth-health"):
            return self._say_whether_it_lives(environ)
        if asked[0] == "POST" and asked[1] in CHECKS:
            return self._check(environ, asked[1])
        return Answer(HTTPStatus.NOT_FOUND, b"Not Found")

    def _say_health(self) -> Answer:
        if trouble := self._disk.trouble():
            return _error(trouble)
        if monotonic() < self._health_until:
            return self._health
        try:
            found = self._package.health(_HEALTH_LIMIT_S)
        except Busy as error:
            # With checks: what was last known, unless it hangs.
            return _error(str(error)) if self._package.hangs else self._health
        is_well = found.status == HTTPStatus.NO_CONTENT
        self._health = found if is_well else _error(found.text or f"it answers {found.status}")
        self._health_until = monotonic() + (_WELL_HOLDS_S if is_well else _ILL_HOLDS_S)
        return self._health

    def _say_whether_it_lives(self, environ: Environ) -> Answer:
        if not self._runner(environ):
            return _refusal()
        if self._package.hangs:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"the package hangs")
        return Answer(HTTPStatus.NO_CONTENT)

    def _check(self, environ: Environ, path: str) -> Answer:
        claim = self._runner(environ)
        if claim is None:
            return _refusal()
        body = _body(environ)
        if isinstance(body, Answer):
            return body
        began, now = monotonic(), datetime.now(timezone.utc)
        repository = _repository(body)
        answer = self._judge(path, body, repository)
        is_allowed = answer.status == HTTPStatus.NO_CONTENT
        is_refused = answer.status == HTTPStatus.FORBIDDEN
        self._log.write(
            Decision(
                time=now,
                runner=claim.runner,
                repository=repository,
                event=CHECKS[path],
                verdict=ALLOWED if is_allowed else REFUSED if is_refused else ERROR,
                reason="" if is_allowed else answer.text[:_LONGEST_REASON],
                duration_ms=round((monotonic() - began) * 1000),
                github_calls=0,
            )
        )
        return answer

    def _judge(self, path: str, body: bytes, repository: str) -> Answer:
        """Say whether a job may run: 204 if it may, and an error in any other case."""
        if not is_within(repository, self._scope):
            words = f"these runners serve {self._scope}, and no other's jobs"
            return Answer(HTTPStatus.FORBIDDEN, words.encode())
        try:
            answer = self._package.check(path, body, _CHECK_LIMIT_S)
        except Exception as error:  # noqa: BLE001 - of the package's own kinds
            return _error(str(error) or type(error).__name__)
        if answer.status < HTTPStatus.BAD_REQUEST and answer.status != HTTPStatus.NO_CONTENT:
            return _error(f"the package answers {answer.status}")
        return answer

    def _runner(self, environ: Environ) -> Claim | None:
        """Tell which runner asks; its token is used up by that, whatever comes of the request."""
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        now = datetime.now(timezone.utc)
        claim = verify(self._secrets, token.strip(), environ.get("REMOTE_ADDR", ""), now)
        return claim if isinstance(claim, Claim) and self._used.use(claim, now) else None


def _body(environ: Environ) -> bytes | Answer:
    given = environ.get("CONTENT_LENGTH") or ""
    if not (given.isascii() and given.isdigit()):
        return Answer(HTTPStatus.LENGTH_REQUIRED, b"the length of the body must be told")
    if int(given) > _LONGEST_BODY:
        return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"the body is too long")
    body: bytes = environ["wsgi.input"].read(int(given))
    return body


def _repository(body: bytes) -> str:
    try:
        name = json.loads(body)["repository_name"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""  # the package says what is wrong with it
    return name[:_LONGEST_NAME] if isinstance(name, str) else ""


def _refusal() -> Answer:
    return Answer(HTTPStatus.UNAUTHORIZED, b"Unauthorized Access")


def _error(reason: str) -> Answer:
    return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, reason[:_LONGEST_REASON].encode())
