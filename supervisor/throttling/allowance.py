"""How often something may be done: a bucket of permissions that fills again with time."""

import threading
from dataclasses import dataclass

_FIRST_SWEEP = 1024


@dataclass(frozen=True)
class Rate:
    """How often: so many times at once, and then no faster than so many a second."""

    burst: int
    per_s: float

    @property
    def fills_in_s(self) -> float:
        """Say how long an empty bucket takes to be full again."""
        return self.burst / self.per_s


@dataclass(frozen=True)
class Bucket:
    """What was left at a time, in seconds of a clock that never goes backwards."""

    left: float
    at: float


def take(rate: Rate, bucket: Bucket | None, now: float) -> Bucket | None:
    """Take one permission out of a bucket.

    Args:
        rate: how fast it fills, and how much it holds.
        bucket: None for a full one.
        now: in seconds, by the clock that `bucket` knows.

    Returns:
        What is left, or None if there was none to take.
    """
    left = float(rate.burst)
    if bucket is not None:
        left = min(left, bucket.left + (now - bucket.at) * rate.per_s)
    return Bucket(left - 1, now) if left >= 1 else None


class Allowances:
    """A bucket for each of many, such as runners. Any thread may take.

    Full buckets are forgotten now and then, so that it holds no more than were taken from lately.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: dict[str, Bucket] = {}
        self._sweep_at = _FIRST_SWEEP
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, who: str, now: float) -> bool:
        """Take one permission, if there is one."""
        with self._lock:
            left = take(self._rate, self._buckets.get(who), now)
            if left is None:
                return False
            self._buckets[who] = left
            if len(self._buckets) >= self._sweep_at:
                self._sweep(now)
            return True

    def _sweep(self, now: float) -> None:
        full_since = now - self._rate.fills_in_s
        self._buckets = {w: b for w, b in self._buckets.items() if b.at > full_since}
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._buckets))
