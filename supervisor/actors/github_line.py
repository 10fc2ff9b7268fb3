"""The one line to GitHub: whose turn it is, when, and what becomes of a call that failed.

A part of the tokens actor, in its thread. Calls are made by one worker thread through one client,
one at a time; while one is under way, or a limit lasts, everybody else waits here, and no thread
sleeps.
"""

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Generic, Protocol, TypeVar

import pykka
from loguru import logger

from supervisor.causes import Cause
from supervisor.config import Config, ConfigError, credentials
from supervisor.gateways.github import GitHub
from supervisor.github import places
from supervisor.github.budget import Budget, Hold, Priority
from supervisor.github.calls import Calls, Told
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
from supervisor.github.exchange import Answer, Request, Talk
from supervisor.github.scope import GitHubPlace, Scope
from supervisor.github.session import Session
from supervisor.supervision import Clock, Timer
from supervisor.web.proxies import Proxies
from supervisor.workers import Workers

T = TypeVar("T")
Done = Callable[[T | GitHubError], None]

_TRIES = 3
_TRIES_TO_INQUIRE = 1  # whoever inquires asks again by itself, and much later
_LONGEST_LIST_WAIT_S = 5.0
_UNAUTHORIZED = 401
_FIRST_RETRY_S = 0.5
_SKEW_OF_NOTE = timedelta(seconds=30)
_SKEW_BEYOND_BELIEF = timedelta(days=3650)
_PATIENCE_S = {
    Priority.CREDENTIAL: 60.0,
    Priority.REGISTER: 60.0,
    Priority.REGISTER_AHEAD: 60.0,
    Priority.DELETE: 60.0,
    Priority.LIST: 2.0,  # a reconcile must not wait for it: half of it can go on without
    Priority.INQUIRE: 0.0,  # waits elsewhere
}


class TellAfter(Protocol):
    """As an actor's `tell_after`."""

    def __call__(self, delay_s: float, message: object) -> Timer:
        """Have a message told later."""


@dataclass(frozen=True)
class Exchanged:
    """The worker's message: what came of a request.

    Attributes:
        line: that sent it, and takes it in by `exchanged`.
        sent_at: when it was sent (monotonic, seconds), which tells it from one that was given up.
        outcome: the answer, or why there is none.
    """

    line: "Line"
    sent_at: float
    outcome: Answer | Unavailable


@dataclass(frozen=True)
class Due:
    """The line's own message, to be handed to `pump`: somebody's time has come."""

    line: "Line"


@dataclass(eq=False)
class Turn(Generic[T]):
    """A conversation that waits for its turn, or for an answer.

    Attributes:
        talk: the conversation.
        priority: who goes first.
        number: among equals, the one that came first does.
        done: called at its end.
        request: the next one.
        not_before: it waits for a while before it is tried again (monotonic, seconds).
        tries: how often the request has failed.
        repeated: it was sent again with another token.
        since: when it began to wait (monotonic, seconds).
        committed: it may have changed something on GitHub, and must see what became of it.
        runner: whom it is about, for the log; empty if not one alone.
    """

    talk: Talk[T]
    priority: Priority
    number: int
    done: Done[T]
    request: Request
    not_before: float = 0.0
    tries: int = 0
    repeated: bool = False
    since: float = 0.0
    committed: bool = False
    runner: str = ""

    def __lt__(self, other: "Turn[Any]") -> bool:
        return (self.priority, self.number) < (other.priority, other.number)


class Line:
    """Leads conversations with GitHub.

    Args:
        config: where GitHub is, whose runners, and the credential.
        ref: the actor's, which hands `Exchanged` and `Due` on to the line that they name.
        clock: tells the time.
        tell_after: the actor's.
        told_of_calls: is told of each call.
    """

    def __init__(
        self,
        config: Config,
        ref: pykka.ActorRef[Any],
        clock: Clock,
        tell_after: TellAfter,
        told_of_calls: Told,
    ) -> None:
        self._config = config
        self._ref = ref
        self._clock = clock
        self._tell_after = tell_after
        self._place = GitHubPlace.parse(config.github_url)
        self.place = places.of(config)
        self.scope = Scope.parse(config.path)
        self.budget = Budget(paced=self._place.has_published_limits)
        self.session: Session | None = None
        self.calls = Calls(told_of_calls)
        self._workers = Workers("github", 1)
        self._proxies = config.proxies
        self._client = GitHub(self._place.api_url, self._proxies)
        if self._client.proxy:
            self._say_way()
        self._stamp: object = None
        self._keeps_credential = False
        self._skew = timedelta(0)
        self._numbers = count()
        self._waiting: list[Turn[Any]] = []
        self._current: Turn[Any] | None = None
        self._timer: Timer | None = None
        self._pumping = False
        self.asking_since = 0.0

    # What the actor asks for.

    def begin(
        self, talk: Talk[T], priority: Priority, done: Done[T], *, runner: str = ""
    ) -> "Turn[T]":
        """Begin a conversation; `done` is called with its result, or with the error it ended in."""
        turn = Turn(talk, priority, next(self._numbers), done, _NOTHING, runner=runner)
        self._go_on(turn, lambda: next(talk))
        self.pump()
        return turn

    def promote(self, turn: "Turn[Any]", priority: Priority) -> None:
        """Let a conversation go before those that it was to wait for."""
        if turn in self._waiting:
            self._waiting.remove(turn)
            turn.priority = priority
            insort(self._waiting, turn)
        turn.priority = priority

    def reconfigure(self, config: Config) -> None:
        """Use another credential, and other proxies, from the next request on."""
        self._config = config
        self.use_proxies(config.proxies)
        self._stamp = None
        self._keeps_credential = False

    def use_proxies(self, proxies: Proxies) -> bool:
        """Ask through those proxies from the next request on; tell whether they are others."""
        if proxies == self._proxies:
            return False
        self._proxies = proxies
        self._workers.submit(self._client.close, self._ref)  # after the call under way
        self._client = GitHub(self._place.api_url, proxies)
        self._say_way()
        return True

    def _say_way(self) -> None:
        proxy = self._client.proxy
        way = f"through the proxy {proxy}" if proxy else "directly"
        logger.info("{} is asked {}", self._place.url, way)

    def keep_credential(self) -> None:
        """Go on with the credential in use, whatever its file holds, until `reconfigure`."""
        self._keeps_credential = True

    def credential_may_have_changed(self) -> bool:
        """Tell whether the credential's file is another than the one in use."""
        return credentials.stamp(self._config) != self._stamp

    def fail_all(self, priorities: set[Priority], error: GitHubError) -> None:
        """End the conversations of those priorities that wait, with an error.

        Not one that must still see what became of a request of its own.
        """
        doomed = [t for t in self._waiting if t.priority in priorities and not t.committed]
        self._waiting = [turn for turn in self._waiting if turn not in doomed]
        for turn in doomed:
            self._end(turn, error)

    @property
    def asking(self) -> Request | None:
        """The request under way, since `asking_since`."""
        return self._current.request if self._current else None

    @property
    def is_idle(self) -> bool:
        """Tell whether no conversation is under way."""
        return self._current is None and not self._waiting

    def hold(self, priority: Priority) -> Hold | None:
        """Say whether a limit keeps calls of that priority from being made now."""
        is_post = priority in {Priority.REGISTER, Priority.REGISTER_AHEAD}
        request = Request("POST" if is_post else "GET", "/", "ask")
        return self.budget.wait(request, priority, self._clock.monotonic())

    def in_words(self, hold: Hold) -> str:
        """Say why nothing is asked, and until when."""
        return f"{hold.reason}, until {self.moment(hold.until):%H:%M:%S} UTC"

    def moment(self, at: float) -> datetime:
        """Turn the monotonic clock's time into the one that people read."""
        return self._clock.now() + timedelta(seconds=at - self._clock.monotonic())

    def give_up(self, reason: str) -> None:
        """Wait no longer for the call under way; its thread can't be ended, so it is left alone."""
        turn, self._current = self._current, None
        proxy = self._client.proxy
        self.close()
        self._workers = Workers("github", 1)
        self._client = GitHub(self._place.api_url, self._proxies)
        if turn:
            error = unreachable(turn.request, reason, proxy)
            self.calls.count(turn.request, error)
            self._failed(turn, error)
        self.pump()

    def close(self) -> None:
        """Close the connections, in the thread that they belong to, and let it end."""
        self._workers.submit(self._client.close, self._ref)
        self._workers.close()

    # Whose turn it is.

    def pump(self) -> None:
        """Send the next request, if one may be sent now."""
        if self._pumping:
            return  # the end of one conversation has begun another: the loop below sees to it
        self._pumping = True
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._current is None and self._waiting:
            try:
                session = self._session()  # first: another credential has another budget
            except ConfigError as error:
                self._fail_everybody(Rejected(str(error), Cause.CREDENTIAL_UNREADABLE))
                continue
            turn, wait_s = self._next()
            if turn is not None:
                self._waiting.remove(turn)
                self._take_turn(turn, session)
            elif wait_s < float("inf"):
                self._timer = self._tell_after(wait_s, Due(self))
                break
        self._pumping = False

    def _take_turn(self, turn: Turn[Any], session: Session) -> None:
        token = session.token(self._clock.monotonic())
        if token or turn.request.jwt:
            self._send(turn, token)
        else:
            insort(self._waiting, turn)
            self._send(self._asking_for_token(session), "")

    def _next(self) -> tuple[Turn[Any] | None, float]:
        """Find whose turn it is, or how many seconds it is until somebody's may be."""
        now = self._clock.monotonic()
        soonest = float("inf")
        uncertain = [turn for turn in self._waiting if turn.committed]
        for turn in self._in_order(now):
            if turn not in self._waiting:
                continue  # the failure of one before it has ended it, too
            if not turn.request.is_idempotent and uncertain and turn not in uncertain:
                continue  # what became of the last one comes first
            hold = self.budget.wait(turn.request, turn.priority, now)
            if hold and hold.until - now > _PATIENCE_S[turn.priority]:
                self._waiting.remove(turn)
                error = RateLimited(f"could not {turn.request.aim}: {self.in_words(hold)}")
                self._end(turn, error)
                continue
            ready_at = max(turn.not_before, hold.until if hold else 0.0)
            if ready_at <= now:
                return turn, 0.0
            soonest = min(soonest, ready_at)
        return None, max(0.001, soonest - now)

    def _in_order(self, now: float) -> list[Turn[Any]]:
        """Give all that wait, those first whose turn it is; none waits for ever."""
        overdue = [
            turn
            for turn in self._waiting
            if turn.priority is Priority.LIST and now - turn.since >= _LONGEST_LIST_WAIT_S
        ]
        return [*overdue, *(turn for turn in self._waiting if turn not in overdue)]

    def _send(self, turn: Turn[Any], token: str) -> None:
        self._current = turn
        self.asking_since = self._clock.monotonic()
        self.budget = self.budget.sent(turn.request, self.asking_since)
        turn.committed = turn.committed or not turn.request.is_idempotent
        work = partial(_exchange, self, self._client, turn.request, token, self.asking_since)
        with logger.contextualize(runner=turn.runner):
            self._workers.submit(work, self._ref)

    # Who asks.

    def _session(self) -> Session:
        """Give the session of the credential as it is now.

        Raises:
            ConfigError: it can't be read.
        """
        if self.session is not None and self._keeps_credential:
            return self.session
        stamp = credentials.stamp(self._config)
        if self.session is None or stamp != self._stamp:
            self._stamp = stamp
            before, self.session = self.session, None
            credential = credentials.read(self._config)
            if before is None or credential != before.credential:
                logger.info("GitHub is asked with the {}", credential.kind)
                before = Session(credential)
                self.budget = Budget(paced=self._place.has_published_limits)
            self.session = before
        return self.session

    def _asking_for_token(self, session: Session) -> Turn[None]:
        def talk() -> Talk[None]:
            request = session.request(self._server_time())
            answer = yield request
            session.accept(request, answer, self._clock.monotonic(), self._server_time())

        begun = talk()
        number = next(self._numbers)
        return Turn(begun, Priority.CREDENTIAL, number, self._got_token, next(begun))

    def _server_time(self) -> datetime:
        """Tell the time as GitHub's clock shows it."""
        return self._clock.now() + self._skew

    def _got_token(self, outcome: GitHubError | None) -> None:
        """Let all that wait go on, or fail: without a token nothing can be asked."""
        if isinstance(outcome, GitHubError):
            self._fail_everybody(outcome)

    def _fail_everybody(self, error: GitHubError) -> None:
        doomed, self._waiting = self._waiting, []
        for turn in doomed:
            self._end(turn, error)

    # What came of it.

    def exchanged(self, message: Exchanged) -> None:
        """Take an answer in."""
        turn = self._current
        if turn is None or message.sent_at != self.asking_since:
            return  # it was given up
        self._current = None
        outcome = message.outcome
        self.calls.count(turn.request, outcome)
        if isinstance(outcome, Answer):
            self._answered(turn, outcome)
        else:
            self._failed(turn, outcome)
        self.pump()

    def _answered(self, turn: Turn[Any], answer: Answer) -> None:
        now = self._clock.monotonic()
        skew_known = self._skew
        skew = answer.date - self._clock.now() if answer.date else self._skew
        if abs(skew) < _SKEW_BEYOND_BELIEF:
            self._skew = skew
        if is_rate_limit(answer):
            self.budget = self.budget.limited(turn.request, answer, now)
            logger.warning("GitHub limits calls: {}", answer.message or answer.status)
            # Nothing was done, so that the same may be asked again. `_next` decides whether it
            # is worth the wait.
            insort(self._waiting, turn)
            return
        if answer.status != _UNAUTHORIZED and not turn.request.jwt:  # those are counted elsewhere
            self.budget = self.budget.learn(turn.request, answer, now)
        session = self.session
        assert session is not None  # noqa: S101 - one was there to ask with
        session.learn(answer)
        try:
            check(turn.request, answer, Asker(self.scope, session.credential.kind))
        except Rejected as error:
            self._rejected(turn, error, session, abs(self._skew - skew_known) > _SKEW_OF_NOTE)
        except GitHubError as error:
            self._failed(turn, error)
        else:
            turn.tries, turn.repeated = 0, False
            asked = turn.request
            # One answer serves all who wait for the same.
            same = [one for one in self._waiting if asked.is_read and one.request == asked]
            self._waiting = [one for one in self._waiting if one not in same]
            for one in (turn, *same):
                self._serve(one, answer)

    def _serve(self, turn: Turn[Any], answer: Answer) -> None:
        self._go_on(turn, lambda: turn.talk.send(answer))

    def _rejected(
        self, turn: Turn[Any], error: Rejected, session: Session, clock_was_wrong: bool
    ) -> None:
        """Ask once more where another token, or the right time, can make it good."""
        is_signed = bool(turn.request.jwt)
        if is_signed:
            hopeful = clock_was_wrong
        else:
            hopeful = session.drop_token() or self.credential_may_have_changed()
        if turn.repeated or not hopeful:
            self._throw(turn, error)
        elif is_signed:
            self._send(self._asking_for_token(session), "")
            assert self._current is not None  # noqa: S101 - it has just been sent
            self._current.repeated = True
        else:
            turn.repeated = True
            insort(self._waiting, turn)

    def _failed(self, turn: Turn[Any], error: GitHubError) -> None:
        turn.tries += 1
        tries = _TRIES_TO_INQUIRE if turn.priority is Priority.INQUIRE else _TRIES
        if turn.request.is_idempotent and isinstance(error, Unavailable) and turn.tries < tries:
            turn.not_before = self._clock.monotonic() + _FIRST_RETRY_S * 2 ** (turn.tries - 1)
            insort(self._waiting, turn)
        else:
            self._throw(turn, error)

    @staticmethod
    def _end(turn: Turn[Any], error: GitHubError) -> None:
        """End a conversation whose request was not sent: no outcome of it is unknown."""
        turn.talk.close()
        turn.done(error)

    def _throw(self, turn: Turn[Any], error: GitHubError) -> None:
        self._go_on(turn, lambda: turn.talk.throw(error))

    def _go_on(self, turn: Turn[T], step: Callable[[], Request]) -> None:
        """Let a conversation take its next step: to another request, or to its end."""
        try:
            turn.request = step()
        except StopIteration as end:
            turn.done(end.value)
        except GitHubError as error:
            turn.done(error)
        else:
            turn.not_before, turn.tries = 0.0, 0
            turn.since = self._clock.monotonic()
            insort(self._waiting, turn)


_NOTHING = Request("GET", "/", "ask nothing")


def _exchange(
    line: Line, client: GitHub, request: Request, token: str, sent_at: float
) -> Exchanged:
    try:
        return Exchanged(line, sent_at, client.exchange(request, token))
    except Unavailable as error:
        return Exchanged(line, sent_at, error)
