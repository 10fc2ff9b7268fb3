"""What runners show, as they come up or fail to, of whether others can be made now."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from supervisor.lifecycle import AVAILABLE, Life, Stage
from supervisor.pace import Pace
from supervisor.planning import Runner

_YOUNG = timedelta(minutes=2)
_COMING_UP = frozenset({Stage.BOOTING, *AVAILABLE, Stage.BUSY})


class Trials:
    """The runners that were begun here, and the pace that follows from how they fared.

    One that was taken over says nothing of it, nor does one that was ordered away. What GitHub did
    not register is tried again when GitHub can; and what a job does to its guest is no reason to
    make others wait.

    Args:
        at_once: how many runners may be in the making at the same time.
    """

    def __init__(self, at_once: int) -> None:
        self.pace = Pace(at_once)
        self._begun: dict[str, datetime] = {}

    def begin(self, name: str, now: datetime) -> None:
        """Note that a runner is begun."""
        self._begun[name] = now

    def learn(self, name: str, life: Life, now: datetime) -> None:
        """Learn from how a runner is."""
        begun = self._begun.get(name)
        if begun is None:
            return
        if life.stage in _COMING_UP:
            self.pace = self.pace.passed(life.stage, begun)
        elif life.failed_in and life.stage is not Stage.RETIRING:
            del self._begun[name]
            if _is_telling(life, now):
                self.pace = self.pace.failed(life.failed_in, life.reason, now, begun)
        elif life.stage is Stage.DELETED:
            del self._begun[name]

    def outlast(self, runners: Iterable[Runner], now: datetime) -> timedelta | None:
        """Learn from those that live on, where others have died soon after they were online.

        Nothing else happens to them while there are no jobs.

        Args:
            runners: those there are.
            now: aware, UTC.

        Returns:
            How soon the next one will have lived for long enough; None if nobody waits for that.
        """
        if not self.pace.failures or self.pace.stage is not Stage.IDLE:
            return None
        left = []
        for runner in runners:
            if runner.stage is not Stage.IDLE or runner.ready_at is None:
                continue
            if now - runner.ready_at >= _YOUNG:
                self.pace = self.pace.outlasted(runner.ready_at)
            else:
                left.append(runner.ready_at + _YOUNG - now)
        return min(left, default=None) if self.pace.failures else None

    def did_not_start(self, name: str, error: object, now: datetime) -> None:
        """Learn that a runner's actor could not be started, such as for want of threads."""
        begun = self._begun.pop(name, None)
        reason = f"an actor did not start: {error}"
        self.pace = self.pace.failed(Stage.CREATING, reason, now, begun)


def _is_telling(life: Life, now: datetime) -> bool:
    """Tell whether a failure makes others likely: before GitHub saw it online, or soon after."""
    if life.failed_in is Stage.IDLE and life.ready_at:
        return now - life.ready_at < _YOUNG
    return life.failed_in in {Stage.CREATING, Stage.BOOTING, Stage.READY}
