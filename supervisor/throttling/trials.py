"""What runners show, as they come up or fail to, of whether others can be made now."""

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from supervisor.lifecycle import PRESENT, Life, Stage
from supervisor.throttling.pace import Pace

_YOUNG = timedelta(minutes=2)
_COMING_UP = PRESENT | {Stage.BOOTING}


class Trials:
    """The runners that were begun here, and the pace that follows from how they fared.

    Safe for threads. Each runner's actor tells how it is itself, before it frees its place: a fleet
    that had to hear it first could fill that place again without having waited.

    It outlives the fleet's actor, as the roster does: a fleet that crashes because of what fails
    must not make it fail at full speed. A restarted daemon begins anew.

    One that was taken over says nothing of it, nor does one that was ordered away. What GitHub did
    not register is tried again when GitHub can; and what a job does to its guest is no reason to
    make others wait.

    Args:
        at_once: how many runners may be in the making at the same time.
    """

    def __init__(self, at_once: int) -> None:
        self.pace = Pace(at_once)
        self._begun: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def begin(self, name: str, now: datetime) -> None:
        """Note that a runner is begun."""
        with self._lock:
            self._begun[name] = now

    def resume(self, lives: Mapping[str, Life], now: datetime) -> None:
        """Go on after a crash of the fleet, which has not heard what happened meanwhile.

        Args:
            lives: of the runners that are there. What became of others nobody can tell.
            now: aware, UTC.
        """
        with self._lock:
            self._begun = {name: at for name, at in self._begun.items() if name in lives}
            for name, life in lives.items():
                self._learn(name, life, now)

    def learn(self, name: str, life: Life, now: datetime) -> None:
        """Learn from how a runner is."""
        with self._lock:
            self._learn(name, life, now)

    def _learn(self, name: str, life: Life, now: datetime) -> None:
        begun = self._begun.get(name)
        if begun is None:
            return
        if life.stage in _COMING_UP:
            self.pace = self.pace.passed(life.stage, begun)
        elif life.failed_in and life.stage is not Stage.RETIRING:
            del self._begun[name]
            if _is_telling(life, now):
                self.pace = self.pace.failed(life.failed_in, life.reason, now, begun, life.cause)
        elif life.stage is Stage.DELETED:
            del self._begun[name]

    def outlast(self, lives: Iterable[Life], now: datetime) -> timedelta | None:
        """Learn from those that live on, where others have died soon after they were online.

        Nothing else happens to them while there are no jobs.

        Args:
            lives: of the runners that are there.
            now: aware, UTC.

        Returns:
            How soon the next one will have lived for long enough; None if nobody waits for that.
        """
        with self._lock:
            if not self.pace.failures or self.pace.stage is not Stage.IDLE:
                return None
            left = []
            for life in lives:
                if life.stage is not Stage.IDLE or life.ready_at is None:
                    continue
                if now - life.ready_at >= _YOUNG:
                    self.pace = self.pace.outlasted(life.ready_at)
                else:
                    left.append(life.ready_at + _YOUNG - now)
            return min(left, default=None) if self.pace.failures else None

    def did_not_start(self, name: str, error: object, now: datetime) -> None:
        """Learn that a runner's actor could not be started, such as for want of threads."""
        reason = f"an actor did not start: {error}"
        with self._lock:
            begun = self._begun.pop(name, None)
            self.pace = self.pace.failed(Stage.CREATING, reason, now, begun)


def _is_telling(life: Life, now: datetime) -> bool:
    """Tell whether a failure makes others likely: before GitHub saw it online, or soon after."""
    if life.failed_in is Stage.IDLE and life.ready_at:
        return now - life.ready_at < _YOUNG
    return life.failed_in in {Stage.CREATING, Stage.BOOTING, Stage.READY}
