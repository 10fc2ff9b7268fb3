"""By how much the time of day was set while a runner was in a stage, by what is told of that."""

from __future__ import annotations

from datetime import datetime, timedelta

from supervisor.observation.feed import Record

_NONE = timedelta(0)
_LEAST_S = 1.0
"""By less than that the time of day is not set; telling takes a moment too."""


def clock_step(record: Record, stage: str, since: datetime | None) -> timedelta:
    """Say how far the time of day was set since a runner came to the stage that it leaves now.

    The record knows how long the stage lasted, whatever the time of day was at its beginning.

    Args:
        record: of the runner.
        stage: where it was, as far as is known: a record may have been lost.
        since: when it came there, by the time of day as that was then; None if nobody has seen it.
    """
    if since is None or not record.lasted_s or record.before != stage:
        return _NONE
    step_s = (record.at - since).total_seconds() - record.lasted_s
    return _NONE if abs(step_s) < _LEAST_S else timedelta(seconds=step_s)
