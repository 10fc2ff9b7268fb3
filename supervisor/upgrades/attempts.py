"""How the attempts to get one version fare, and when the next may be made."""

from dataclasses import dataclass, replace

from supervisor.throttling.waits import doubled

FIRST_WAIT_S = 15.0
LONGEST_WAIT_S = 600.0


@dataclass(frozen=True)
class Attempts:
    """Failures in a row with one version; another one begins anew.

    Attributes:
        version: what tells it from others, such as a SHA-256.
        failures: in a row.
        not_before: when it may be tried again (monotonic, seconds).
    """

    version: str = ""
    failures: int = 0
    not_before: float = 0.0

    def fail(
        self,
        version: str,
        now: float,
        first_s: float = FIRST_WAIT_S,
        longest_s: float = LONGEST_WAIT_S,
    ) -> "Attempts":
        """Note that a version could not be had.

        Args:
            version: what tells it from others.
            now: monotonic, seconds.
            first_s: seconds that it is not tried again after the first failure, doubled with each.
            longest_s: seconds after which it is tried again in any case.
        """
        failures = self.failures + 1 if version == self.version else 1
        return Attempts(version, failures, now + doubled(first_s, failures, longest_s))

    def again(self) -> "Attempts":
        """Let it be tried at once, as if it had not failed so far; it is still the one that did."""
        return replace(self, failures=0, not_before=0.0)

    def may_try(self, version: str, now: float) -> bool:
        """Tell whether a version may be tried now."""
        return version != self.version or now >= self.not_before
