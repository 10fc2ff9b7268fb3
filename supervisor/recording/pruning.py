"""When the journal is pruned, and by which time of day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from loguru import logger

from supervisor.gateways.journal_store import JournalStore, Keeping
from supervisor.journal.wall_clock import WallClock

_EVERY_S = 60.0
_ON_S = 0.05
"""Until the next step of a pruning that has more to do."""


class JournalPruning:
    """Lets go of what is too old or too much, in steps. For one thread.

    Args:
        keeping: says how much is kept.
        now: tells the time.
        elapsed: tells the seconds that pass (monotonic).
        believed_after_s: seconds after which it is believed what the time is, as nobody sets it.
    """

    def __init__(
        self,
        keeping: Callable[[], Keeping],
        *,
        now: Callable[[], datetime],
        elapsed: Callable[[], float],
        believed_after_s: float,
    ) -> None:
        self._keeping = keeping
        self._now = now
        self._elapsed = elapsed
        self._believed_after_s = believed_after_s
        self._clock = WallClock.first_seen(now(), elapsed())
        self._due_at_s = 0.0

    @property
    def due_at_s(self) -> float:
        """When the next step is due (monotonic)."""
        return self._due_at_s

    def step(self, store: JournalStore) -> None:
        """Let go of some of it.

        Raises:
            JournalError: it can't be done now. It is due again as if it were.
        """
        self._due_at_s = self._elapsed() + _EVERY_S
        if store.prune(self._keeping(), self._believed_now()):
            self._due_at_s = self._elapsed() + _ON_S

    def _believed_now(self) -> datetime | None:
        """Say what the time is; None where that is not to be believed yet."""
        before = self._clock
        self._clock = before.seen(self._now(), self._elapsed())
        if self._clock.set_by and not before.set_by:
            logger.warning(
                "the time of day was set by {} s; nothing leaves the journal as too old until "
                "it has gone on evenly for {} min",
                round(self._clock.set_by.total_seconds()),
                round(self._believed_after_s / 60),
            )
        return self._clock.now if self._clock.is_believed(self._believed_after_s) else None
