"""Whether the time of day is to be believed, before something is deleted as too old."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

BELIEVED_AFTER_S = 900.0
_STEP = timedelta(minutes=1)


@dataclass(frozen=True)
class WallClock:
    """What was seen of the time of day, beside the monotonic clock, which nobody sets.

    A host may start with a wrong time, and be set right, or wrong, at any moment: what goes on
    evenly for a while is believed.

    Attributes:
        now: the time of day at the last look; aware.
        now_s: monotonic, seconds: when that was.
        even_since_s: likewise: since when it has not been set.
        set_by: how far it was set between the last look and the one before.
    """

    now: datetime
    now_s: float
    even_since_s: float
    set_by: timedelta = timedelta(0)

    @classmethod
    def first_seen(cls, now: datetime, now_s: float) -> WallClock:
        """Look for the first time: what was before is not known."""
        return cls(now, now_s, now_s)

    def seen(self, now: datetime, now_s: float) -> WallClock:
        """Look again."""
        step = now - self.now - timedelta(seconds=now_s - self.now_s)
        if abs(step) < _STEP:
            return WallClock(now, now_s, self.even_since_s)
        return WallClock(now, now_s, now_s, step)

    def is_believed(self, after_s: float) -> bool:
        """Tell whether it has gone on evenly for so long."""
        return self.now_s - self.even_since_s >= after_s
