"""The lines of the log that every runner's life has: that it has a job, and its end.

They are written when the feed passes on what has happened, many in a row: a thread that has just
woken up takes five times as long for a line, and would spend more on it than on all else that tells
of its runner. What goes wrong is said at once, by the runner's actor.
"""

from loguru import logger

from supervisor.lifecycle import Job, Stage
from supervisor.observation import log
from supervisor.observation.feed import Kind, Record
from supervisor.text.durations import span

LEVEL = "INFO"
STAGES = frozenset({Stage.BUSY, Stage.DELETED})


def tell(record: Record) -> None:
    """Have the log tell that a runner has a job, or is gone after how long; and of which job."""
    if record.kind is not Kind.RUNNER or record.state not in STAGES:
        return
    if record.state != record.before and log.is_written(LEVEL):
        told, lived_s = record.details.get("job"), record.details.get("lived_s")
        after = "" if lived_s is None else f" after {span(lived_s)}"
        job = f" ({words})" if told and (words := str(Job(**told))) else ""
        speaker = logger.bind(runner=record.subject)
        speaker.log(LEVEL, "{}{}: {}{}", record.state, after, record.reason, job)
