"""A place that was configured once, or is told of by an instance: what is left there is let go.

A part of the tokens actor, in its thread.
"""

from collections.abc import Callable
from typing import TypeVar

from loguru import logger

from supervisor.actors.github_line import Line
from supervisor.config import Config
from supervisor.github import conversations
from supervisor.github.budget import Priority
from supervisor.github.errors import (
    Cancelled,
    Forbidden,
    GitHubError,
    NotFound,
    RateLimited,
    Rejected,
    RunnerBusy,
)
from supervisor.github.exchange import Cache, Talk
from supervisor.github.gate import Gate
from supervisor.github.turns import Done
from supervisor.planning import Registration
from supervisor.supervision import Clock
from supervisor.web.proxies import Proxies

T = TypeVar("T")

_REFUSALS_BELIEVED = 3
_FAILING_BELIEVED_S = 900.0


class FormerPlace:
    """Deletes and lists registrations where none are made any more.

    Its troubles are its own: the configured place is not held up by them.

    Args:
        place: as `places` names it.
        line: to it; None where no credential that we have is for that GitHub.
        clock: tells the time.
    """

    def __init__(self, place: str, line: Line | None, clock: Clock) -> None:
        self.place = place
        self.line = line
        self._clock = clock
        self._spare: Config | None = None
        self._asked_as = 0
        self._cache = Cache()
        self._gate = Gate()
        self._failing_since = 0.0
        self.is_lost = line is None

    @property
    def reason(self) -> str:
        """Why nothing can be asked there; empty if it can."""
        return self._gate.reason if self.line else "no credential for that GitHub is known any more"

    def may_ask_as(self, config: Config | None) -> None:
        """Have another credential to ask with, once the one used until now is refused.

        Args:
            config: with that credential, for this place; None if there is none.
        """
        self._spare = config
        if config and self.line:
            self._gate, self.is_lost = Gate(), False

    def use_proxies(self, proxies: Proxies) -> None:
        """Ask through those proxies; at once, if they are others: what failed may go now."""
        if self.line and self.line.use_proxies(proxies):
            self._gate, self.is_lost = Gate(), False

    def delete(self, runner_id: int, name: str, done: Done[None]) -> None:
        """Delete a registration."""
        self._begin(
            lambda line: conversations.delete(line.scope, runner_id, name),
            Priority.DELETE,
            done,
            runner=name,
        )

    def list(self, done: Done[tuple[Registration, ...]]) -> None:
        """List all runners there."""
        self._begin(
            lambda line: conversations.registrations(line.scope, self._cache), Priority.LIST, done
        )

    def _begin(
        self,
        talk: Callable[[Line], Talk[T]],
        priority: Priority,
        done: Done[T],
        *,
        runner: str = "",
    ) -> None:
        line = self.line
        if line is None:
            done(Rejected(self.reason))
            return
        if not self._gate.is_open(self._clock.monotonic()):
            done(Cancelled(self._gate.answer, self._gate.cause))
            return
        asked_as = self._asked_as

        def ended(outcome: T | GitHubError) -> None:
            if _is_no_good(outcome) and self._has_another(line, asked_as):
                self._begin(talk, priority, done, runner=runner)
                return
            self._learn(outcome)
            done(outcome)

        line.begin(talk(line), priority, ended, runner=runner)

    def _has_another(self, line: Line, asked_as: int) -> bool:
        """Tell whether there is another credential than the one that was refused."""
        if self._spare and asked_as == self._asked_as:
            line.reconfigure(self._spare)
            self._spare, self._asked_as = None, self._asked_as + 1
            logger.info("{}: asking with the credential that is configured now", self.place)
        return asked_as != self._asked_as

    def _learn(self, outcome: object) -> None:
        if isinstance(outcome, (RateLimited, Cancelled)):
            return
        now = self._clock.monotonic()
        if not isinstance(outcome, GitHubError) or isinstance(outcome, RunnerBusy):
            self._gate, self.is_lost = Gate(), False
        elif self._gate.is_open(now):  # else others have met the same trouble: it counts once
            if not self._gate.failures:
                self._failing_since = now
            self._gate = self._gate.fail(outcome, now, everything=True)
            logger.warning("{}: {}", self.place, outcome)
            refused = _is_no_good(outcome) and self._gate.failures >= _REFUSALS_BELIEVED
            if not self.is_lost and (refused or now - self._failing_since >= _FAILING_BELIEVED_S):
                self.is_lost = True
                logger.warning(
                    "{} can't be asked any more: runners there that have reported no job are let "
                    "go, and their registrations stay until GitHub removes them, in a day",
                    self.place,
                )


def _is_no_good(outcome: object) -> bool:
    """Tell whether a refusal is for who asks: no longer good there, or for nothing to be seen."""
    return isinstance(outcome, (Rejected, Forbidden, NotFound))
