"""How the fleet is, in a word and a sentence for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from supervisor.causes import OF_ALL_RUNNERS, Cause, Fault
from supervisor.lifecycle import PRESENT, Stage
from supervisor.throttling.pace import Pace


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What decides how the fleet is.

    Attributes:
        wanted: how many runners.
        stages: of those there are.
        trouble: what could not be listed, and why.
        draining: no runner is to be created.
        lacks: what is missing before one can be created, beside GitHub; empty if nothing is.
        github: why GitHub can register none now.
        pace: how fast they may be created.
        now: aware, UTC.
    """

    wanted: int
    stages: Sequence[Stage]
    trouble: Fault
    draining: bool
    lacks: str
    github: Fault
    pace: Pace
    now: datetime

    def in_words(self) -> tuple[str, str, Cause]:
        """Give the state, one of keeping, draining and degraded, the reason, and its cause."""
        if self.trouble:
            return "degraded", self.trouble.reason, self.trouble.cause
        if self.draining:
            return "draining", self._drain(), Cause.UNKNOWN
        online = sum(stage in PRESENT for stage in self.stages)
        reason = f"{online} of {self.wanted} runners are there"
        if self.lacks:
            return "keeping", f"{reason}; none is created now: {self.lacks}", Cause.UNKNOWN
        if self.github and online < self.wanted:
            reason = f"{reason}; none is created now: {self.github.reason}"
            return "degraded", reason, self.github.cause
        if self.pace.failures:
            state = "degraded" if self.pace.is_open else "keeping"
            shared = self.pace.cause in OF_ALL_RUNNERS
            cause = self.pace.cause if shared else Cause.RUNNERS_FAILING
            return state, f"{reason}; {self._pace()}", cause
        return "keeping", reason, Cause.UNKNOWN

    def _drain(self) -> str:
        order = "no runner is created until `supervisor-cli resume`"
        # One of which nothing is left tells of that before it leaves the roster, and of no more.
        left = [stage for stage in self.stages if stage is not Stage.DELETED]
        if not left:
            return f"empty; {order}"
        busy = sum(1 for stage in left if stage is Stage.BUSY)
        return f"{len(left)} runners are left, {busy} of them run a job; {order}"

    def _pace(self) -> str:
        pace = self.pace
        runners = "runner has" if pace.failures == 1 else "runners in a row have"
        text = f"{pace.failures} {runners} failed {_FAILING[pace.stage]}: {pace.reason}"
        if pace.is_open:
            text += "; one at a time is tried until one comes through"
        if delay := pace.delay(self.now):
            text += f"; the next try is in {delay.seconds + 1} s"
        return text


_FAILING = {
    Stage.CREATING: "to be created",
    Stage.BOOTING: "to boot",
    Stage.READY: "before GitHub saw them online",
    Stage.IDLE: "soon after GitHub saw them online",
}
