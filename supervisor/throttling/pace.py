"""How fast runners may be created: so many at once, a wait after failures, a breaker after many."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from supervisor.causes import Cause
from supervisor.lifecycle import Stage
from supervisor.planning import Runner
from supervisor.throttling.waits import doubled

_ORDER = (Stage.REQUESTED, Stage.CREATING, Stage.BOOTING, Stage.READY, Stage.IDLE, Stage.BUSY)
_STARTING = (Stage.REQUESTED, Stage.CREATING)


@dataclass(frozen=True)
class Pace:
    """How fast runners may be created.

    A failure makes creations wait, ever longer, and no more are begun at once than can be made at
    once. Several in a row open the breaker: one runner at a time is tried then. Both end when one
    has come past the stage that the others have failed in, or has outlasted them there.

    Attributes:
        at_once: how many may be in the making at the same time.
        failures: how many in a row have failed.
        stage: the furthest that they have failed in.
        reason: why the last one did.
        cause: the same in a word.
        last_failure: when that was (aware, UTC).
    """

    at_once: int
    failures: int = 0
    stage: Stage = Stage.CREATING
    reason: str = ""
    cause: Cause = Cause.UNKNOWN
    last_failure: datetime | None = None

    FIRST_DELAY = timedelta(seconds=1)
    LONGEST_DELAY = timedelta(minutes=5)
    TOLERATED = 2

    @property
    def is_open(self) -> bool:
        """Whether the breaker is: so many have failed that only one at a time is tried."""
        return self.failures > self.TOLERATED

    def failed(
        self,
        stage: Stage,
        reason: str,
        now: datetime,
        begun: datetime | None,
        cause: Cause = Cause.UNKNOWN,
    ) -> "Pace":
        """Count a failure.

        Args:
            stage: in which it was.
            reason: why, for people.
            now: aware, UTC.
            begun: when that runner was begun; one from before the last failure has met the same
                trouble, which counts once.
            cause: the same as the reason, in a word.
        """
        if begun and self.last_failure and begun <= self.last_failure:
            return self
        furthest = max(stage, self.stage, key=_ORDER.index) if self.failures else stage
        return replace(
            self,
            failures=self.failures + 1,
            stage=furthest,
            reason=reason,
            cause=cause,
            last_failure=now,
        )

    def passed(self, stage: Stage, begun: datetime) -> "Pace":
        """Learn that a runner which was begun then has come to a stage.

        One from before the last failure says nothing of whether runners can be made now.
        """
        is_past = _ORDER.index(stage) > _ORDER.index(self.stage)
        return self._proven_since(begun) if is_past else self

    def outlasted(self, ready_at: datetime) -> "Pace":
        """Learn that a runner has been where others have failed for longer than they were.

        All that count as on trial there can come to this.
        """
        return self._proven_since(ready_at)

    def _proven_since(self, moment: datetime) -> "Pace":
        is_news = self.last_failure is None or moment >= self.last_failure
        return Pace(self.at_once) if self.failures and is_news else self

    def delay(self, now: datetime) -> timedelta:
        """Say how long creations must still wait after failures: doubled by each, capped."""
        if self.last_failure is None:
            return timedelta(0)
        wait = doubled(self.FIRST_DELAY, self.failures, self.LONGEST_DELAY)
        return max(timedelta(0), self.last_failure + wait - now)

    def admit(
        self, wanted: int, runners: Sequence[Runner], now: datetime, *, proven: bool = True
    ) -> int:
        """Say how many of `wanted` creations may begin now.

        Args:
            wanted: how many are.
            runners: those there are.
            now: aware, UTC.
            proven: the last registration did not fail: more than one may be tried at a time.
        """
        if self.delay(now) > timedelta(0):
            return 0
        if self.failures:
            # Those that boot count too now: what has failed once may fail for all of them.
            at_once = 1 if self.is_open else self.at_once
            places = at_once - sum(1 for r in runners if self._is_on_trial(r))
        else:
            places = self.at_once - sum(1 for r in runners if r.stage in _STARTING)
        if not proven:
            places = min(places, 1 - sum(1 for r in runners if r.stage is Stage.REQUESTED))
        return max(0, min(wanted, places))

    def _is_on_trial(self, runner: Runner) -> bool:
        """Tell whether a runner has yet to come past the stage that others have failed in."""
        if runner.stage not in _ORDER[: _ORDER.index(self.stage) + 1]:
            return False
        # One that was there before may stand where it stands for long.
        is_older = runner.ready_at and self.last_failure and runner.ready_at <= self.last_failure
        return not is_older
