"""The package that the policy service of this host is run from: a part of the policy's actor."""

from pathlib import Path

from supervisor.hosted_policy import program
from supervisor.messages import AnnouncePolicyPackage, PolicyPackageChanged, PolicyPackageFailed
from supervisor.supervision import System

_PROVING_S = 300.0
"""So long another version is watched: should it fail, the one before is taken again."""


class PolicyPackage:
    """Knows the environment in use, and says when a new one fails. In the actor's thread.

    Args:
        system: has the upgrades' actor, who decides which environment is in use.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._told: PolicyPackageChanged | None = None
        self._proving_until = 0.0

    def ask(self) -> None:
        """Have said which environment it is."""
        self._system.directory.tell("upgrades", AnnouncePolicyPackage())

    def take(self, told: PolicyPackageChanged) -> None:
        """Take what was said."""
        before = self._told
        if before and before.environment and told.environment not in {"", before.environment}:
            self._proving_until = self._system.clock.monotonic() + _PROVING_S
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

    def ill(self, reason: str) -> None:
        """Hear that the service fails; of a new version, tell those who can change it."""
        if self._told and self._system.clock.monotonic() < self._proving_until:
            self._proving_until = 0.0
            failed = PolicyPackageFailed(self._told.environment, reason)
            self._system.directory.tell("upgrades", failed)
