"""Count restarts within a period."""

from __future__ import annotations

from collections import deque


class RestartWindow:
    """Say whether one more restart is still tolerated.

    A restart counts for `period_s` seconds after it, the last instant included (as in OTP).
    """

    def __init__(self, intensity: int, period_s: float) -> None:
        self._intensity = intensity
        self._period_s = period_s
        self._restarts: deque[float] = deque()

    def add(self, now: float) -> bool:
        """Count a restart at the monotonic time `now`; False if it is one too many."""
        self._restarts.append(now)
        while now - self._restarts[0] > self._period_s:
            self._restarts.popleft()
        return len(self._restarts) <= self._intensity
