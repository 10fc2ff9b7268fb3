"""The package that the policy service of this host is run from: a part of the policy's actor."""

from pathlib import Path

from supervisor.hosted_policy import program
from supervisor.messages.upgrades import (
    AnnouncePolicyPackage,
    PolicyPackageChanged,
    PolicyPackageFailed,
    PolicyPackageProven,
)
from supervisor.supervision import System
from supervisor.throttling.waits import doubled

_PROVING_S = 300.0
"""So long another version is watched: should it fail, the one before is taken again."""
_TROUBLE_AGAIN_S = 60.0
_TROUBLE_LONGEST_S = 600.0
"""How often it is found out whether trouble is its fault, as that takes a trial of both."""


class PolicyPackage:
    """Knows the environment in use, and says when a new one fails. In the actor's thread.

    Args:
        system: has the upgrades' actor, who decides which environment is in use.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._told: PolicyPackageChanged | None = None
        self._proving_until: float | None = None
        self._troubles = 0
        self._trouble_again_at = 0.0

    def ask(self) -> None:
        """Have said which environment it is."""
        self._system.directory.tell("upgrades", AnnouncePolicyPackage())

    def take(self, told: PolicyPackageChanged) -> None:
        """Take what was said; one that has not served well yet is watched from now on."""
        if self._told is None or told.environment != self._told.environment:
            self._proving_until = self._now() + _PROVING_S if told.unproven else None
            self._troubles, self._trouble_again_at = 0, 0.0
        self._told = told

    @property
    def is_known(self) -> bool:
        """Whether it was said."""
        return self._told is not None

    @property
    def program(self) -> tuple[str, ...]:
        """What is run; empty if there is nothing that could be."""
        if not (self._told and self._told.environment):
            return ()
        return program(Path(self._told.environment) / "bin" / "python")

    @property
    def version(self) -> str | None:
        """What is installed, for people."""
        return self._told.version or None if self._told else None

    @property
    def reason(self) -> str:
        """Why there is nothing that could be run."""
        return self._told.reason if self._told else "the policy package has not been looked at yet"

    def well(self) -> None:
        """Hear that the service checks jobs: one that does after its time is proven."""
        if self._told and self._proving_until is not None and self._now() >= self._proving_until:
            self._proving_until = None
            proven = PolicyPackageProven(self._told.environment)
            self._system.directory.tell("upgrades", proven)

    def failed(self, reason: str) -> None:
        """Hear that its process has failed; of a new version, tell those who can change it."""
        if self._told and self._proving_until is not None:
            failure = PolicyPackageFailed(self._told.environment, reason)
            self._system.directory.tell("upgrades", failure)

    def troubled(self, reason: str) -> None:
        """Hear that it says that it can't check jobs; whose fault that is, others find out."""
        now = self._now()
        if self._told and self._proving_until is not None and now >= self._trouble_again_at:
            self._troubles += 1
            again_s = doubled(_TROUBLE_AGAIN_S, self._troubles, _TROUBLE_LONGEST_S)
            self._trouble_again_at = now + again_s
            failure = PolicyPackageFailed(self._told.environment, reason, trouble=True)
            self._system.directory.tell("upgrades", failure)

    def _now(self) -> float:
        return self._system.clock.monotonic()
