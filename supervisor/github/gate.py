"""Whether runners can be registered now: closed after a failure, tried again ever more seldom."""

from dataclasses import dataclass, replace

from supervisor.causes import Cause
from supervisor.github.errors import GitHubError, RateLimited, Unavailable
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
        is_transient: it was a limit, or there was no answer, which mends by itself.
    """

    reason: str = ""
    answer: str = ""
    until: float = 0.0
    failures: int = 0
    cause: Cause = Cause.UNKNOWN
    everything: bool = False
    is_transient: bool = False

    def fail(
        self, error: GitHubError, now: float, *, everything: bool, until: float | None = None
    ) -> "Gate":
        """Close it, until `until` or for twice as long as the last time."""
        failures = self.failures + 1
        delay = doubled(_FIRST_DELAY_S, failures, _LONGEST_DELAY_S)
        return Gate(
            str(error),
            error.answer,
            until or now + delay,
            failures,
            error.cause,
            everything,
            isinstance(error, (RateLimited, Unavailable)),
        )

    def retry_now(self) -> "Gate":
        """Let it be tried at once: something has changed that may have mended it."""
        return replace(self, until=0.0, failures=0)

    def is_open(self, now: float) -> bool:
        """Tell whether something may be tried."""
        return now >= self.until

    def is_shut(self, now: float) -> bool:
        """Tell whether nothing at all is to be asked, until the next try is due."""
        return self.everything and not self.is_open(now)

    def lets_register(self, now: float) -> bool:
        """Tell whether runners may be registered, be it for a try."""
        return self.is_open(now) and not self.everything

    def is_news(self, now: float, *, everything: bool) -> bool:
        """Tell whether another failure counts: not where others have met the same trouble."""
        return self.is_open(now) or (everything and not self.everything)

    def is_mended_by_a_list(self, now: float) -> bool:
        """Tell whether it opens when a list has come: that says nothing of who may register."""
        return self.everything or (self.is_transient and self.is_open(now))

    @property
    def proven(self) -> bool:
        """Tell whether nothing has failed since the last success."""
        return not self.reason
