"""Whose turn it is to ask GitHub: the conversations that wait, and which of them goes next.

Nothing here asks anything or waits for anything: whoever leads the conversations does. Times are
the monotonic clock's, in seconds.
"""

from bisect import insort
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from supervisor.github.budget import Budget, Hold, Priority
from supervisor.github.errors import GitHubError, Unavailable
from supervisor.github.exchange import Answer, Request, Talk

T = TypeVar("T")
Done = Callable[[T | GitHubError], None]

_TRIES = 3
_TRIES_TO_INQUIRE = 1  # whoever inquires asks again by itself, and much later
_FIRST_RETRY_S = 0.5
_LONGEST_LIST_WAIT_S = 5.0
_PATIENCE_S = {
    Priority.CREDENTIAL: 60.0,
    Priority.REGISTER: 60.0,
    Priority.REGISTER_AHEAD: 60.0,
    Priority.DELETE: 60.0,
    Priority.LIST: 2.0,  # a reconcile must not wait for it: half of it can go on without
    Priority.INQUIRE: 0.0,  # waits elsewhere
}
_NOTHING = Request("GET", "/", "ask nothing")


@dataclass(eq=False)
class Turn(Generic[T]):
    """A conversation that waits for its turn, or for an answer.

    Attributes:
        talk: the conversation.
        priority: who goes first.
        number: among equals, the one that came first does.
        done: called at its end, with its result or with the error it ended in.
        request: the next one.
        not_before: it waits for a while before it is tried again.
        tries: how often the request has failed.
        repeated: it was sent again with another token.
        since: when it began to wait.
        committed: it may have changed something on GitHub, and must see what became of it.
        runner: whom it is about, for the log; empty if not one alone.
    """

    talk: Talk[T]
    priority: Priority
    number: int
    done: Done[T]
    request: Request = _NOTHING
    not_before: float = 0.0
    tries: int = 0
    repeated: bool = False
    since: float = 0.0
    committed: bool = False
    runner: str = ""

    def __lt__(self, other: "Turn[Any]") -> bool:
        return (self.priority, self.number) < (other.priority, other.number)

    def begin(self, now: float) -> bool:
        """Let it make its first request; tell whether there is one."""
        return self._go_on(partial(next, self.talk), now)

    def answer(self, answer: Answer, now: float) -> bool:
        """Give it an answer; tell whether it goes on, with another request."""
        return self._go_on(partial(self.talk.send, answer), now)

    def throw(self, error: GitHubError, now: float) -> bool:
        """Let it see what its request ended in; tell whether it goes on, with another one."""
        return self._go_on(partial(self.talk.throw, error), now)

    def end(self, error: GitHubError) -> None:
        """End it before its request was sent: no outcome of it is unknown."""
        self.talk.close()
        self.done(error)

    def tries_again(self, error: GitHubError, now: float) -> bool:
        """Count a failure of its request; tell whether it is worth another try, after a while."""
        self.tries += 1
        tries = _TRIES_TO_INQUIRE if self.priority is Priority.INQUIRE else _TRIES
        is_worth = self.request.is_idempotent and isinstance(error, Unavailable)
        if not is_worth or self.tries >= tries:
            return False
        self.not_before = now + _FIRST_RETRY_S * 2 ** (self.tries - 1)
        return True

    def _go_on(self, step: Callable[[], Request], now: float) -> bool:
        try:
            self.request = step()
        except StopIteration as end:
            self.done(end.value)
        except GitHubError as error:
            self.done(error)
        else:
            self.not_before, self.tries, self.since = 0.0, 0, now
            return True
        return False


@dataclass(frozen=True)
class Next:
    """It is this one's turn."""

    turn: Turn[Any]


@dataclass(frozen=True)
class Hopeless:
    """A limit lasts for longer than this one may wait."""

    turn: Turn[Any]
    hold: Hold


@dataclass(frozen=True)
class Later:
    """It is nobody's turn for so many seconds."""

    wait_s: float


class Turns:
    """All that wait for their turn."""

    def __init__(self) -> None:
        self._waiting: list[Turn[Any]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, turn: Turn[Any]) -> None:
        """Let it wait behind those that go before it."""
        insort(self._waiting, turn)

    def remove(self, turn: Turn[Any]) -> None:
        """Let it wait no longer."""
        self._waiting.remove(turn)

    def promote(self, turn: Turn[Any], priority: Priority) -> None:
        """Let it go before those that it was to wait for, now or when it waits again."""
        is_waiting = turn in self._waiting
        if is_waiting:
            self.remove(turn)
        turn.priority = priority
        if is_waiting:
            self.add(turn)

    def take_all(self) -> list[Turn[Any]]:
        """Give all, which wait no longer."""
        return self._take(lambda _turn: True)

    def take_uncommitted(self, priorities: Collection[Priority]) -> list[Turn[Any]]:
        """Give those of some priorities, which wait no longer.

        Not one that must still see what became of a request of its own.
        """
        return self._take(lambda turn: turn.priority in priorities and not turn.committed)

    def take_readers(self, asked: Request) -> list[Turn[Any]]:
        """Give all whom the answer to that request serves, too; they wait no longer."""
        return self._take(lambda turn: asked.is_read and turn.request == asked)

    def choose(self, budget: Budget, now: float) -> Next | Hopeless | Later:
        """Say whose turn it is, or when somebody's may be."""
        is_uncertain = any(turn.committed for turn in self._waiting)
        soonest = float("inf")
        for turn in self._in_order(now):
            if not turn.request.is_idempotent and is_uncertain and not turn.committed:
                continue  # what became of the last one comes first
            hold = budget.wait(turn.request, turn.priority, now)
            if hold and hold.until - now > _PATIENCE_S[turn.priority]:
                return Hopeless(turn, hold)
            ready_at = max(turn.not_before, hold.until if hold else 0.0)
            if ready_at <= now:
                return Next(turn)
            soonest = min(soonest, ready_at)
        return Later(max(0.001, soonest - now))

    def _in_order(self, now: float) -> list[Turn[Any]]:
        """Give all that wait, those first whose turn it is; none waits for ever."""
        overdue = [
            turn
            for turn in self._waiting
            if turn.priority is Priority.LIST and now - turn.since >= _LONGEST_LIST_WAIT_S
        ]
        return [*overdue, *(turn for turn in self._waiting if turn not in overdue)]

    def _take(self, is_meant: Callable[[Turn[Any]], bool]) -> list[Turn[Any]]:
        taken = [turn for turn in self._waiting if is_meant(turn)]
        self._waiting = [turn for turn in self._waiting if turn not in taken]
        return taken
