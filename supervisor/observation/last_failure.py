"""Which runner failed last: kept when it is gone, for those who look at the fleet later."""

from dataclasses import dataclass
from datetime import datetime

from supervisor.lifecycle import Stage
from supervisor.observation.feed import Feed, Kind, Record

_FAILED = str(Stage.FAILED)


@dataclass(frozen=True)
class Failure:
    """A runner that has failed.

    Attributes:
        runner: its name.
        at: when (aware, UTC).
        reason: why.
        stage: that it did not come through; empty if that is not known.
    """

    runner: str
    at: datetime
    reason: str
    stage: str = ""


class LastFailure:
    """Safe for threads: what is known is replaced as a whole. A restarted daemon begins anew.

    Args:
        feed: is watched from now on.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._known: Failure | None = None
        feed.watch(self._note)

    @property
    def known(self) -> Failure | None:
        """The last one, as far as is known."""
        self._feed.pass_on()
        return self._known

    def _note(self, record: Record, _at_s: float) -> None:
        """Take note of what has happened, if it is that a runner has failed."""
        if record.state == _FAILED != record.before and record.kind is Kind.RUNNER:
            stage = str(record.details.get("failed_in") or "")
            self._known = Failure(record.subject, record.at, record.reason, stage)
