"""Whether the fleet does what it is for: decided here for all who show it, and for monitoring."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from supervisor.lifecycle import Stage

LONGEST_SHORTAGE = timedelta(minutes=10)
"""So long there may be fewer runners than wanted before that is a problem of its own.

The charm's alerts wait longer, as they wake people: GitHubRunnersNoneOnline 15 minutes, and
GitHubRunnersTooFew, which goes by `short_since`, 30. So whoever comes as runners are missing finds
it among the problems of `status`.
"""

_GONE = frozenset({Stage.FAILED, Stage.DELETED})


class Health(str, Enum):
    """How the fleet is, in a word."""

    OK = "ok"  # nothing is wrong
    DEGRADED = "degraded"  # something is, and there are runners nevertheless
    FAILING = "failing"  # wanted runners can't be had, or nobody looks after them

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What decides how the fleet is.

    Attributes:
        wanted: how many runners; 0 while the fleet is drained.
        present: how many there are that can take a job or run one.
        short: whether there have been fewer than wanted for longer than is normal.
        blocked: something that is needed to make a runner is in trouble.
        kept: the daemon's core is up, and goes on.
        problems: what is wrong, in words.
    """

    wanted: int
    present: int
    short: bool
    blocked: bool
    kept: bool
    problems: Sequence[str]


def judge(facts: Facts) -> Health:
    """Say how the fleet is.

    That no runner is there for a moment is not yet a failure: each is there for one job.
    """
    nobody = facts.wanted > 0 and facts.present == 0
    if not facts.kept or (nobody and (facts.blocked or facts.short)):
        return Health.FAILING
    return Health.DEGRADED if facts.problems or facts.short else Health.OK


def short_since(
    before: datetime | None, wanted: int, stages: Iterable[Stage], now: datetime
) -> datetime | None:
    """Say since when there have been fewer runners than wanted.

    One that comes up, or makes room for its successor, counts: its stages have limits of their own.

    Args:
        before: what was said last.
        wanted: how many; 0 while the fleet is drained.
        stages: of all runners.
        now: aware, UTC.
    """
    if sum(stage not in _GONE for stage in stages) >= wanted:
        return None
    return before or now


def is_short(since: datetime | None, now: datetime) -> bool:
    """Tell whether there have been fewer runners than wanted for longer than is normal."""
    return since is not None and now - since >= LONGEST_SHORTAGE
