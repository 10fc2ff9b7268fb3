"""The work of deleting registrations when there is no daemon to do it: it blocks, and gives up.

One conversation after the other is led by whoever calls. A place that does not answer, or does not
let us in, is not asked again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeVar

from supervisor.config import ConfigError
from supervisor.gateways.github import GitHub
from supervisor.github import conversations, places
from supervisor.github.errors import (
    Asker,
    GitHubError,
    Rejected,
    RunnerBusy,
    Unavailable,
    check,
    unreachable,
)
from supervisor.github.exchange import Cache
from supervisor.github.scope import GitHubPlace, Scope
from supervisor.github.session import Session
from supervisor.host import removal

if TYPE_CHECKING:
    from supervisor.config import Config
    from supervisor.github.credential import Credential
    from supervisor.github.exchange import Answer, Request, Talk
    from supervisor.planning import Registration

T = TypeVar("T")

_TRIES = 3
_RETRY_S = 1.0
# GitHub takes a runner for busy until it has noticed that it does not answer any more.
_BUSY_PAUSE_S = 1.0
# https://docs.github.com/en/actions/concepts/runners/communicating-with-self-hosted-runners
_GOES_ITSELF = "GitHub removes it by itself when it has not been there for a day"


class Line:
    """Leads conversations about one place, until a moment.

    Args:
        config: for that place.
        credential: who asks.
        deadline: monotonic, seconds: nothing is asked after that.
    """

    def __init__(self, config: Config, credential: Credential, deadline: float) -> None:
        self.scope = Scope.parse(config.path)
        self._session = Session(credential)
        self._asker = Asker(self.scope, credential.kind)
        self._client = GitHub(GitHubPlace.parse(config.github_url).api_url, config.proxies)
        self._deadline = deadline
        self._skew = timedelta(0)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def lead(self, talk: Talk[T]) -> T:
        """Lead a conversation to its end.

        Raises:
            GitHubError: what it ends in.
        """
        try:
            request = next(talk)
            while True:
                try:
                    answer = self._ask(request)
                except GitHubError as error:
                    request = talk.throw(error)
                else:
                    request = talk.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _ask(self, request: Request) -> Answer:
        """Ask, once more where another token can make it good, and again if nobody answers."""
        tries = 0
        while True:
            tries += 1
            try:
                return self._exchange(request, self._token())
            except Rejected:
                if tries > 1 or not self._session.drop_token():
                    raise
            except Unavailable:
                late = time.monotonic() + _RETRY_S >= self._deadline
                if late or tries >= _TRIES or not request.is_idempotent:
                    raise
                time.sleep(_RETRY_S)

    def _token(self) -> str:
        token = self._session.token(time.monotonic())
        if token:
            return token
        try:
            self._get_token()
        except Rejected:
            self._get_token()  # by GitHub's clock, which the refusal has told
        return self._session.token(time.monotonic())

    def _get_token(self) -> None:
        request = self._session.request(self._server_time())
        answer = self._exchange(request, "")
        self._session.accept(request, answer, time.monotonic(), self._server_time())

    def _exchange(self, request: Request, token: str) -> Answer:
        if time.monotonic() >= self._deadline:
            raise unreachable(request, "it has taken too long")
        answer = self._client.exchange(request, token)
        if answer.date:
            self._skew = answer.date - datetime.now(timezone.utc)
        check(request, answer, self._asker)
        return answer

    def _server_time(self) -> datetime:
        return datetime.now(timezone.utc) + self._skew


class Registrations:
    """The registrations of an installation at one place.

    Args:
        config: the installation's.
        place: as `places` names it.
        numbers: those that instances of ours say to have there.

    Attributes:
        place: in words.
        removed: what was deleted, in words.
        left: what was not in the last call, in words, each with the reason.
        busy: what of that GitHub took for busy.
    """

    def __init__(self, config: Config, place: str, numbers: Collection[int]) -> None:
        self._installation = config.name
        self._config = places.config_at(config, place)
        self._numbers = frozenset(numbers)
        self.place = places.in_words(place, config)
        self.removed: list[str] = []
        self.left: dict[str, str] = {}
        self.busy: frozenset[str] = frozenset()

    def delete(
        self, credential: Callable[[], Credential], *, limit_s: float, patience_s: float
    ) -> None:
        """Delete them, as far as GitHub lets us.

        What is left another call may delete: that of a runner at work, once its instance is gone.

        Args:
            credential: reads the credential.
            limit_s: no request begins later.
            patience_s: how long to wait for those that GitHub takes for busy.
        """
        self.left, self.busy = {}, frozenset()
        began = time.monotonic()
        try:
            with self._line(credential, began + limit_s) as line:
                busy = self._delete(line, self._ours(line))
                while busy and time.monotonic() + _BUSY_PAUSE_S < began + patience_s:
                    time.sleep(_BUSY_PAUSE_S)
                    busy = self._delete(line, busy)
        except (GitHubError, ConfigError) as error:
            self.left[f"registrations at {self.place}"] = str(error)

    @contextmanager
    def _line(self, credential: Callable[[], Credential], deadline: float) -> Iterator[Line]:
        if self._config is None:
            raise Rejected(f"no credential for that GitHub is known; {_GOES_ITSELF}")
        line = Line(self._config, credential(), deadline)
        try:
            yield line
        finally:
            line.close()

    def _ours(self, line: Line) -> dict[str, Registration]:
        listed = line.lead(conversations.registrations(line.scope, Cache()))
        claims = (
            (removal.claim_registration(self._installation, one, self._numbers, self.place), one)
            for one in listed
        )
        return {claim.what: one for claim, one in claims if claim}

    def _delete(self, line: Line, ours: dict[str, Registration]) -> dict[str, Registration]:
        """Delete each, and return those that GitHub takes for busy."""
        busy, self.left = {}, {}
        for what, one in ours.items():
            try:
                line.lead(conversations.delete(line.scope, one.id, one.name))
            except RunnerBusy as error:
                busy[what] = one
                self.left[what] = f"{error}; {_GOES_ITSELF}"
            else:
                self.removed.append(what)
        self.busy = frozenset(busy)
        return busy
