"""How long to wait before a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Backoff:
    """Waits that grow with each restart in a row and start afresh after a time of health.

    Attributes:
        minimum: seconds before the first restart.
        maximum: seconds that no wait exceeds before jitter.
        factor: how much longer each wait is than the one before.
        jitter: the share of a wait that chance adds to it at most, so that children that failed
            together don't come back together.
        reset_after: seconds of life after which a child's next restart counts as its first; None
            means `maximum`.
    """

    minimum: float = 0.2
    maximum: float = 30.0
    factor: float = 2.0
    jitter: float = 0.2
    reset_after: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= self.maximum:
            raise ValueError(f"backoff needs 0 <= minimum <= maximum, not {self}")
        if self.factor < 1 or self.jitter < 0:
            raise ValueError(f"backoff needs factor >= 1 and jitter >= 0, not {self}")

    @property
    def healthy_after(self) -> float:
        """The seconds of life that make a child healthy again."""
        return self.maximum if self.reset_after is None else self.reset_after

    def delay(self, earlier: int, random: Callable[[], float]) -> float:
        """Return the seconds to wait.

        Args:
            earlier: how many restarts in a row came before this one.
            random: returns a number from 0 up to 1.
        """
        wait = self.minimum
        for _ in range(earlier):
            if wait >= self.maximum:
                break
            grown = wait * self.factor
            if grown == wait:
                break
            wait = grown
        return min(wait, self.maximum) * (1 + self.jitter * random())
