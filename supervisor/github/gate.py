"""Whether runners can be registered now: closed after a failure, tried again ever more seldom."""

from dataclasses import dataclass, replace

from supervisor.causes import Cause
from supervisor.github.errors import GitHubError
from supervisor.throttling.waits import doubled

_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 300.0


@dataclass(frozen=True)
class Gate:
    """The state of it. Times are the monotonic clock's, in seconds.

    Attributes:
        reason: of the last failure; empty if there was none since the last success.
        until: when it may be tried again.
        failures: how many there were in a row.
        answer: the reason without what was asked for then, for who would ask for something else.
        cause: the same as the reason, in a word.
        everything: the trouble is with the credential or with reaching GitHub, so that nothing
            else needs to be asked meanwhile; otherwise it concerns registrations alone.
    """

    reason: str = ""
    answer: str = ""
    until: float = 0.0
    failures: int = 0
    cause: Cause = Cause.UNKNOWN
    everything: bool = False

    def fail(
        self, error: GitHubError, now: float, *, everything: bool, until: float | None = None
    ) -> "Gate":
        """Close it, until `until` or for twice as long as the last time."""
        failures = self.failures + 1
        delay = doubled(_FIRST_DELAY_S, failures, _LONGEST_DELAY_S)
        return Gate(
            str(error), error.answer, until or now + delay, failures, error.cause, everything
        )

    def retry_now(self) -> "Gate":
        """Let it be tried at once: something has changed that may have mended it."""
        return replace(self, until=0.0, failures=0)

    def is_open(self, now: float) -> bool:
        """Tell whether something may be tried."""
        return now >= self.until

    @property
    def proven(self) -> bool:
        """Tell whether nothing has failed since the last success."""
        return not self.reason
