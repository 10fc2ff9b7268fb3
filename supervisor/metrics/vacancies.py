"""Which places of runners that have ended are still empty, and for how long."""

from collections import deque
from dataclasses import dataclass

from supervisor.lifecycle import COMING, ENDED, PRESENT, Stage
from supervisor.observation.feed import Record

_MOST = 10_000
"""More than a fleet has runners: places that are never filled are forgotten."""


@dataclass(frozen=True)
class Came:
    """What a record says of the places.

    Attributes:
        replaces: a runner was ordered for a place that another has left.
        after_s: so long after the end of a job, in seconds, another runner can take one; None if
            the record is of nothing like that.
    """

    replaces: bool = False
    after_s: float | None = None


_NOTHING = Came()


class Vacancies:
    """Places that runners have left. The one that was left first is filled first.

    Times are the monotonic clock's, in seconds: the time of day may be set meanwhile.
    """

    def __init__(self) -> None:
        self._left: deque[float] = deque(maxlen=_MOST)
        self._without_job: deque[float] = deque(maxlen=_MOST)

    def take(self, record: Record, now: float) -> Came:
        """Take in what has become of a runner by now."""
        ends = record.state in ENDED and record.before not in ENDED
        if ends:
            self._left.append(now)
            if record.before == Stage.BUSY:
                self._without_job.append(now)
            return _NOTHING
        if not record.before:
            is_new = not record.details.get("adopted") and bool(self._left)
            if is_new:
                self._left.popleft()
            return Came(replaces=is_new)
        if record.state in PRESENT and record.before in COMING and self._without_job:
            left_at = self._without_job.popleft()
            if record.state == Stage.BUSY:
                return _NOTHING  # nobody has heard since when it could have taken a job
            # Threads that tell two things at once may be out of order.
            return Came(after_s=max(0.0, now - left_at))
        return _NOTHING

    def fill(self, now: float, duration_s: float) -> None:
        """Forget what was left before a reconcile that has found as many runners as are wanted."""
        begun = now - duration_s
        for places in (self._left, self._without_job):
            while places and places[0] <= begun:
                places.popleft()
