"""The one line to GitHub: it leads conversations, and sees what becomes of a call that failed.

A part of the tokens actor, in its thread. Calls are made by one worker thread through one client,
one at a time; while one is under way, or a limit lasts, everybody else waits here, and no thread
sleeps.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, TypeVar

import pykka
from loguru import logger

from supervisor.actors.github_credential import CredentialInUse
from supervisor.actors.github_thread import GitHubThread
from supervisor.causes import Cause
from supervisor.config import Config, ConfigError
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
from supervisor.github.server_clock import ServerClock
from supervisor.github.session import Session
from supervisor.github.turns import Done, Hopeless, Later, Turn, Turns
from supervisor.supervision import Clock, TellAfter, Timer
from supervisor.web.proxies import Proxies

T = TypeVar("T")

_UNAUTHORIZED = 401


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


@dataclass(frozen=True)
class _Call:
    """The call under way.

    Attributes:
        turn: whose it is.
        session: who asks.
        sent_at: when it was sent (monotonic, seconds).
    """

    turn: Turn[Any]
    session: Session
    sent_at: float


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
        self._clock = clock
        self._tell_after = tell_after
        self._place = GitHubPlace.parse(config.github_url)
        self.place = places.of(config)
        self.scope = Scope.parse(config.path)
        self.budget = self._new_budget()
        self.calls = Calls(told_of_calls)
        self._credential = CredentialInUse(config)
        self._thread = GitHubThread(self._place, config.proxies, ref)
        self._server_clock = ServerClock()
        self._numbers = count()
        self._waiting = Turns()
        self._call: _Call | None = None
        self._timer: Timer | None = None
        self._pumping = False

    # What the actor asks for.

    def begin(
        self, talk: Talk[T], priority: Priority, done: Done[T], *, runner: str = ""
    ) -> Turn[T]:
        """Begin a conversation; `done` is called with its result, or with the error it ended in."""
        turn = Turn(talk, priority, next(self._numbers), done, runner=runner)
        if turn.begin(self._now()):
            self._waiting.add(turn)
        self.pump()
        return turn

    def promote(self, turn: Turn[Any], priority: Priority) -> None:
        """Let a conversation go before those that it was to wait for."""
        self._waiting.promote(turn, priority)

    def reconfigure(self, config: Config) -> None:
        """Use another credential, and other proxies, from the next request on."""
        self.use_proxies(config.proxies)
        self._credential.reconfigure(config)

    def use_proxies(self, proxies: Proxies) -> bool:
        """Ask through those proxies from the next request on; tell whether they are others."""
        return self._thread.use_proxies(proxies)

    def keep_credential(self) -> None:
        """Go on with the credential in use, whatever its file holds, until `reconfigure`."""
        self._credential.keep()

    def credential_may_have_changed(self) -> bool:
        """Tell whether the credential's file is another than the one in use."""
        return self._credential.may_have_changed()

    def fail_all(self, priorities: set[Priority], error: GitHubError) -> None:
        """End the conversations of those priorities that wait, with an error.

        Not one that must still see what became of a request of its own.
        """
        self._end(self._waiting.take_uncommitted(priorities), error)

    @property
    def session(self) -> Session | None:
        """Who asks; None before the first request, and while the credential can't be read."""
        return self._credential.session

    @property
    def asking_since(self) -> float | None:
        """When the request under way was sent (monotonic, seconds); None if none is."""
        return self._call.sent_at if self._call else None

    @property
    def is_idle(self) -> bool:
        """Tell whether no conversation is under way."""
        return self._call is None and not self._waiting

    def hold(self, priority: Priority) -> Hold | None:
        """Say whether a limit keeps calls of that priority from being made now."""
        is_post = priority in {Priority.REGISTER, Priority.REGISTER_AHEAD}
        request = Request("POST" if is_post else "GET", "/", "ask")
        return self.budget.wait(request, priority, self._now())

    def in_words(self, hold: Hold) -> str:
        """Say why nothing is asked, and until when."""
        return f"{hold.reason}, until {self.moment(hold.until):%H:%M:%S} UTC"

    def moment(self, at: float) -> datetime:
        """Turn the monotonic clock's time into the one that people read."""
        return self._clock.now() + timedelta(seconds=at - self._now())

    def give_up(self, reason: str) -> None:
        """Wait no longer for the call under way; its thread can't be ended, so it is left alone."""
        call, self._call = self._call, None
        proxy = self._thread.proxy
        self._thread.abandon()
        if call:
            error = unreachable(call.turn.request, reason, proxy)
            self.calls.count(call.turn.request, error)
            self._failed(call.turn, error)
        self.pump()

    def close(self) -> None:
        """Close the connections, and let the thread end."""
        self._thread.close()

    # Whose turn it is.

    def pump(self) -> None:
        """Send the next request, if one may be sent now."""
        if self._pumping:
            return  # the end of one conversation has begun another: the loop below sees to it
        self._pumping = True
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._call is None and self._waiting:
            try:
                session = self._session()  # first: another credential has another budget
            except ConfigError as error:
                self._fail_everybody(Rejected(str(error), Cause.CREDENTIAL_UNREADABLE))
                continue
            choice = self._waiting.choose(self.budget, self._now())
            if isinstance(choice, Later):
                self._timer = self._tell_after(choice.wait_s, Due(self))
                break
            self._waiting.remove(choice.turn)
            if isinstance(choice, Hopeless):
                aim = choice.turn.request.aim
                choice.turn.end(RateLimited(f"could not {aim}: {self.in_words(choice.hold)}"))
            else:
                self._take_turn(choice.turn, session)
        self._pumping = False

    def _take_turn(self, turn: Turn[Any], session: Session) -> None:
        token = session.token(self._now())
        if token or turn.request.jwt:
            self._send(turn, session, token)
        else:
            self._waiting.add(turn)
            self._send(self._turn_for_token(session), session)

    def _send(self, turn: Turn[Any], session: Session, token: str = "") -> None:
        sent_at = self._now()
        self._call = _Call(turn, session, sent_at)
        self.budget = self.budget.sent(turn.request, sent_at)
        turn.committed = turn.committed or not turn.request.is_idempotent
        with logger.contextualize(runner=turn.runner):
            self._thread.submit(partial(_exchange, self, turn.request, token, sent_at))

    # Who asks.

    def _session(self) -> Session:
        """Give the session of the credential as it is now.

        Raises:
            ConfigError: it can't be read.
        """
        before = self._credential.session
        session = self._credential.read()
        if session is not before:
            self.budget = self._new_budget()
        return session

    def _new_budget(self) -> Budget:
        return Budget(paced=self._place.has_published_limits)

    def _turn_for_token(self, session: Session) -> Turn[None]:
        talk = session.renewal(self._clock.monotonic, self._server_time)
        turn = Turn(talk, Priority.CREDENTIAL, next(self._numbers), self._got_token)
        turn.begin(self._now())
        return turn

    def _server_time(self) -> datetime:
        return self._server_clock.at(self._clock.now())

    def _got_token(self, outcome: GitHubError | None) -> None:
        """Let all that wait go on, or fail: without a token nothing can be asked."""
        if isinstance(outcome, GitHubError):
            self._fail_everybody(outcome)

    def _fail_everybody(self, error: GitHubError) -> None:
        self._end(self._waiting.take_all(), error)

    @staticmethod
    def _end(turns: Iterable[Turn[Any]], error: GitHubError) -> None:
        for turn in turns:
            turn.end(error)

    # What came of it.

    def exchanged(self, message: Exchanged) -> None:
        """Take an answer in."""
        call = self._call
        if call is None or message.sent_at != call.sent_at:
            return  # it was given up
        self._call = None
        outcome = message.outcome
        self.calls.count(call.turn.request, outcome)
        if isinstance(outcome, Answer):
            self._answered(call.turn, outcome, call.session)
        else:
            self._failed(call.turn, outcome)
        self.pump()

    def _answered(self, turn: Turn[Any], answer: Answer, session: Session) -> None:
        now = self._now()
        clock_known = self._server_clock
        self._server_clock = clock_known.learn(answer.date, self._clock.now())
        if is_rate_limit(answer):
            self.budget = self.budget.limited(turn.request, answer, now)
            logger.warning("GitHub limits calls: {}", answer.message or answer.status)
            # Nothing was done, so that the same may be asked again. Whose turn it is decides
            # whether it is worth the wait.
            self._waiting.add(turn)
            return
        if answer.status != _UNAUTHORIZED and not turn.request.jwt:  # those are counted elsewhere
            self.budget = self.budget.learn(turn.request, answer, now)
        session.learn(answer)
        try:
            check(turn.request, answer, Asker(self.scope, session.credential.kind))
        except Rejected as error:
            self._rejected(turn, error, session, self._server_clock.differs(clock_known))
        except GitHubError as error:
            self._failed(turn, error)
        else:
            turn.tries, turn.repeated = 0, False
            # One answer serves all who wait for the same.
            for one in (turn, *self._waiting.take_readers(turn.request)):
                if one.answer(answer, self._now()):
                    self._waiting.add(one)

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
            again = self._turn_for_token(session)
            again.repeated = True
            self._send(again, session)
        else:
            turn.repeated = True
            self._waiting.add(turn)

    def _failed(self, turn: Turn[Any], error: GitHubError) -> None:
        if turn.tries_again(error, self._now()):
            self._waiting.add(turn)
        else:
            self._throw(turn, error)

    def _throw(self, turn: Turn[Any], error: GitHubError) -> None:
        if turn.throw(error, self._now()):
            self._waiting.add(turn)

    def _now(self) -> float:
        return self._clock.monotonic()


def _exchange(
    line: Line, request: Request, token: str, sent_at: float, client: GitHub
) -> Exchanged:
    try:
        return Exchanged(line, sent_at, client.exchange(request, token))
    except Unavailable as error:
        return Exchanged(line, sent_at, error)
