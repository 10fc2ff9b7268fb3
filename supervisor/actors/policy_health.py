"""Whether jobs can be checked, as the fleet is told and people are shown."""

from collections.abc import Callable
from datetime import datetime

from loguru import logger

from supervisor.causes import Cause
from supervisor.gateways.decision_log import Tally
from supervisor.messages.policy import PolicyChanged
from supervisor.parts import Parts
from supervisor.supervision import System


class PolicyHealth:
    """Tells of changes: a part of the policy's actor, in its thread.

    Args:
        system: has the fleet.
        parts: what the actors share.
        publish: the actor's.
    """

    def __init__(self, system: System, parts: Parts, publish: Callable[..., None]) -> None:
        self._system = system
        self._parts = parts
        self._publish = publish
        self._since: datetime | None = None
        self.told = PolicyChanged(
            healthy=False, reason="the policy service has not been looked at yet"
        )
        # What is shown besides.
        self.version: str | None = None
        self.workers: int | None = None
        self.tally = Tally()
        self.warnings: tuple[str, ...] = ()

    def announce(self) -> None:
        """Say to the fleet how it is."""
        self._system.directory.tell("fleet", self.told)

    def well(self, reason: str, base: str = "") -> None:
        """Say that jobs can be checked, or are not to be.

        Args:
            reason: for people.
            base: where guests ask.
        """
        self._since = self._since or self._system.clock.now()
        self._tell(PolicyChanged(healthy=True, base=base))
        self.say("ready", reason)

    def ill(self, reason: str, base: str = "", cause: Cause = Cause.UNKNOWN) -> None:
        """Say that jobs can't be checked, and why, in words and in a word."""
        change = PolicyChanged(healthy=False, reason=reason, base=base)
        if change != self.told:
            logger.warning("{}", reason)
        self._since = None
        self._tell(change)
        self.say("failing", reason, cause)

    def say(self, state: str, reason: str, cause: Cause = Cause.UNKNOWN) -> None:
        """Show how it is."""
        self._publish(
            state,
            reason,
            cause=str(cause),
            mode=self._parts.settings.config.policy.mode,
            healthy=self.told.healthy,
            healthy_since=self._since.isoformat() if self._since else None,
            version=self.version,
            workers=self.workers,
            counts=self.tally.counts,
            counted_since=self.tally.since or None,
            decisions=self._parts.verdicts.last(),
            guests=self._parts.verdicts.guests,
            warnings=self.warnings,
        )

    def _tell(self, change: PolicyChanged) -> None:
        if change != self.told:
            self.told = change
            self.announce()
