"""How checks ask GitHub: many at a time, with one credential, one budget and one cache.

There is one `GitHub` in each worker process, for all its threads, and one `Errand` for each check.
Workers know nothing of each other but the pause that GitHub has asked one of them for.
"""

import json
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from threading import Lock
from time import monotonic, sleep
from typing import TypeVar

from supervisor.github.budget import Budget, Hold, Priority
from supervisor.github.errors import (
    Asker,
    GitHubError,
    RateLimited,
    Rejected,
    Unavailable,
    check,
    is_rate_limit,
    unreachable,
)
from supervisor.github.exchange import NOT_MODIFIED, Answer, Cache, Request, Talk
from supervisor.github.scope import Scope, ScopeKind
from supervisor.github.session import Session
from supervisor.policy_service.github_client import Client
from supervisor.policy_service.pause import Pause
from supervisor.policy_service.recent import Recent
from supervisor.policy_service.settings import Settings

T = TypeVar("T")

_TRIES = 3
_FIRST_PAUSE_S = 0.5
_UNAUTHORIZED = 401
_NOT_FOUND = 404
_CREATED = 201
_OK = 200
_BYTES_HELD = 32 << 20
_LARGEST_HELD = 1 << 20
_BESIDES = 1 << 10
"""Bytes that an answer takes apart from its text."""


class GitHub:
    """What all checks of a worker share. For any thread; it is made before workers are forked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session = Session(settings.credential)
        self._session_lock = Lock()
        self._budget = Budget()
        self._budget_lock = Lock()
        self._pause = Pause()
        self._skew = timedelta(0)
        self._idle: deque[Client] = deque()
        self.cache = Cache(Recent(_BYTES_HELD, _LARGEST_HELD, _weight))

    @property
    def credential(self) -> str:
        """What kind of credential asks, in words."""
        return self._settings.credential.kind

    def exchange(self, request: Request, token: str, deadline: float) -> Answer:
        """Ask once, through a connection that nobody else uses meanwhile.

        Raises:
            RateLimited: GitHub wants to be asked nothing for now.
            Unavailable: there was no answer.
        """
        if hold := self._hold(request, monotonic()):
            seconds = max(1, round(hold.until - monotonic()))
            raise RateLimited(f"could not {request.aim}: {hold.reason}; try again in {seconds} s")
        try:
            client = self._idle.pop()
        except IndexError:
            client = Client(self._settings.api_url, self._settings.proxies)
        answer = client.exchange(request, token, deadline)
        self._idle.append(client)  # one that has failed is let go
        self._learn(request, answer)
        return answer

    def _hold(self, request: Request, now: float) -> Hold | None:
        """Say why a request must not be sent now, whichever worker has been told so."""
        with self._budget_lock:
            own = self._budget.wait(request, Priority.CREDENTIAL, now)
        until = self._pause.until
        return own or (Hold(until, "GitHub asks for a pause") if now < until else None)

    def token(self, deadline: float) -> str:
        """Give the token to ask with; an App's is asked for when it is time.

        Raises:
            GitHubError: none can be had.
        """
        aim = Request("GET", "/", "get a token")
        if not self._session_lock.acquire(timeout=max(0.0, deadline - monotonic())):
            raise unreachable(aim, "the time for the check is over")
        try:
            token = self._session.token(monotonic())
            return token or self._renewed(deadline)
        finally:
            self._session_lock.release()

    def drop(self, token: str) -> bool:
        """Use a token no longer that GitHub has refused; tell whether there can be another."""
        with self._session_lock:
            is_current = self._session.token(monotonic()) == token
            return self._session.drop_token() if is_current else True

    def _renewed(self, deadline: float) -> str:
        skew = self._skew
        request = self._session.request(self._server_time())
        answer = self.exchange(request, "", deadline)
        if answer.status == _UNAUTHORIZED and self._skew != skew:  # signed for another hour
            request = self._session.request(self._server_time())
            answer = self.exchange(request, "", deadline)
        if is_rate_limit(answer):
            raise RateLimited(f"could not {request.aim}: GitHub limits calls")
        if answer.status != _CREATED:
            raise Rejected(
                f"could not {request.aim}: GitHub answered {answer.status}: {answer.message}; "
                "are the App's id, installation and private key right?"
            )
        self._session.accept(request, answer, monotonic(), self._server_time())
        return self._session.token(monotonic())

    def _server_time(self) -> datetime:
        return datetime.now(timezone.utc) + self._skew

    def _learn(self, request: Request, answer: Answer) -> None:
        now = monotonic()
        if answer.date:
            skew = answer.date - datetime.now(timezone.utc)
            # Smaller ones are the clock's resolution and the way of the answer.
            self._skew = skew if abs(skew) > timedelta(seconds=30) else timedelta(0)
        with self._budget_lock:
            if is_rate_limit(answer):
                self._budget = self._budget.limited(request, answer, now)
                if hold := self._budget.wait(request, Priority.CREDENTIAL, now):
                    self._pause.extend(hold.until)
            elif answer.status != _UNAUTHORIZED and not request.jwt:
                self._budget = self._budget.learn(request, answer, now)


class Errand:
    """One check's dealings with GitHub.

    Args:
        github: what is shared with others.
        repository: `OWNER/NAME`, for words of what the credential needs.
        deadline: monotonic, seconds.

    Attributes:
        calls: how many requests were sent.
    """

    def __init__(self, github: GitHub, repository: str, deadline: float) -> None:
        self._github = github
        self._asker = Asker(Scope(ScopeKind.REPOSITORY, repository), github.credential)
        self._deadline = deadline
        self.calls = 0

    def lead(self, talk: Talk[T]) -> T:
        """Lead a conversation to its end.

        Raises:
            GitHubError: what the conversation ends with.
        """
        step: Callable[[], Request] = partial(next, talk)
        while True:
            try:
                request = step()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                answer = self._ask(request)
            except GitHubError as error:
                step = partial(talk.throw, error)
            else:
                step = partial(talk.send, answer)

    def _ask(self, request: Request) -> Answer:
        """Ask; a read that failed is repeated, while there is time."""
        for tried in range(1, _TRIES):
            pause_s = _FIRST_PAUSE_S * tried
            try:
                return self._once(request)
            except Unavailable:
                if monotonic() + pause_s >= self._deadline:
                    raise
            sleep(pause_s)
        return self._once(request)

    def _once(self, request: Request) -> Answer:
        token = self._github.token(self._deadline)
        answer = self._send(request, token)
        if answer.status == _UNAUTHORIZED and self._github.drop(token):
            answer = self._send(request, self._github.token(self._deadline))
        check(request, answer, self._asker)
        if answer.status not in {_OK, NOT_MODIFIED} or (
            answer.status == NOT_MODIFIED and not request.etag
        ):
            raise Unavailable(f"could not {request.aim}: GitHub answered {answer.status}")
        return answer

    def _send(self, request: Request, token: str) -> Answer:
        self.calls += 1
        return self._github.exchange(request, token, self._deadline)


def ping(github: GitHub, deadline: float) -> None:
    """Ask GitHub for what costs nothing: whether it answers, and takes the credential.

    Raises:
        GitHubError: it does not.
    """
    request = Request("GET", "/rate_limit", "ask GitHub")
    answer = github.exchange(request, github.token(deadline), deadline)
    if answer.status == _UNAUTHORIZED:
        raise Rejected(
            f"GitHub refuses the {github.credential}: it is wrong, expired or revoked; set another"
        )
    # An Enterprise Server without limits says so by a 404.
    if answer.status not in {_OK, _NOT_FOUND} or answer.data is None:
        raise Unavailable(f"GitHub answered {answer.status}: {answer.message}")


def _weight(held: tuple[str, Answer]) -> int:
    etag, answer = held
    return _BESIDES + len(etag) + len(json.dumps(answer.data))
