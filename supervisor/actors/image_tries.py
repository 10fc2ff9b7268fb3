"""How one kind of the image's work fares: a part of its actor, in its thread."""

from datetime import datetime, timedelta

from loguru import logger

from supervisor.images.report import Trouble
from supervisor.supervision import Actor, Timer
from supervisor.throttling.waits import doubled
from supervisor.work.image import ImageFailed


class Tries:
    """Failures in a row, and when it is done again; each kind of work waits for itself alone.

    Args:
        actor: whose work it is.
        due: what it is told when it is time.
    """

    def __init__(self, actor: Actor, due: object) -> None:
        self._actor = actor
        self._due = due
        self._failures = 0
        self._timer: Timer | None = None
        self.trouble: Trouble | None = None
        """Why the last attempt has failed; None after a success."""
        self.next_at: datetime | None = None
        """When it is done again; None if that is not planned."""

    def succeed(self) -> None:
        """Note a success."""
        self.trouble, self._failures = None, 0

    def fail(self, first: timedelta, longest: timedelta) -> None:
        """Note a failure, and plan another attempt, after ever longer waits."""
        self._failures += 1
        self.plan(doubled(first, self._failures, longest))

    def note(self, failure: ImageFailed) -> None:
        """Note why it has failed, for people; the log says so once."""
        if self.trouble is None or failure.reason != self.trouble.reason:
            logger.warning("{}", failure.reason)
        at = self._actor.system.clock.now()
        self.trouble = Trouble(failure.reason, at, failure.log, failure.cause)

    def plan(self, delay: timedelta) -> None:
        """Plan when it is done again, instead of what was planned before."""
        self.cancel()
        self._timer = self._actor.tell_after(delay.total_seconds(), self._due)
        self.next_at = self._actor.system.clock.now() + delay

    def cancel(self) -> None:
        """Plan nothing."""
        if self._timer:
            self._timer.cancel()
        self._timer = self.next_at = None
