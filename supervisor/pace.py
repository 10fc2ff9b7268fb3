"""How fast runners may be created: so many at once, and ever more slowly while they fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from supervisor.lifecycle import Stage
from supervisor.planning import Runner


@dataclass(frozen=True)
class Pace:
    """How fast runners may be created.

    Attributes:
        at_once: how many may be in the making at the same time.
        failures: how many in a row have failed before they were ready.
        last_failure: when the last one did (aware, UTC).
    """

    at_once: int
    failures: int = 0
    last_failure: datetime | None = None

    FIRST_DELAY = timedelta(seconds=1)
    LONGEST_DELAY = timedelta(minutes=5)

    def delay(self, now: datetime) -> timedelta:
        """Say how long creations must still wait after failures: doubled by each, capped."""
        if self.last_failure is None or self.failures == 0:
            return timedelta(0)
        doubled: timedelta = self.FIRST_DELAY * 2 ** min(self.failures - 1, 20)
        due = self.last_failure + min(doubled, self.LONGEST_DELAY)
        return max(timedelta(0), due - now)

    def admit(
        self, wanted: int, runners: Sequence[Runner], now: datetime, *, proven: bool = True
    ) -> int:
        """Say how many of `wanted` creations may begin now.

        After a failure one at a time may try, until one is ready.

        Args:
            wanted: how many are.
            runners: those there are.
            now: aware, UTC.
            proven: the last registration did not fail: more than one may be tried at a time.
        """
        if self.delay(now) > timedelta(0):
            return 0
        unproven = _UNPROVEN if self.failures else _STARTING
        in_the_making = sum(1 for r in runners if r.stage in unproven)
        places = (1 if self.failures else self.at_once) - in_the_making
        if not proven:
            places = min(places, 1 - sum(1 for r in runners if r.stage is Stage.REQUESTED))
        return max(0, min(wanted, places))


_STARTING = (Stage.REQUESTED, Stage.CREATING)
_UNPROVEN = (*_STARTING, Stage.BOOTING)
