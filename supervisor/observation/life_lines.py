"""The line of the log that every runner's life has, at its end.

It is written when the feed passes on what has happened, many in a row: a thread that has just woken
up takes several times as long for a line, and would spend more on it than on all else that tells of
its runner. What goes wrong is said at once, by the runner's actor.
"""

from loguru import logger

from supervisor.lifecycle import Job, Stage
from supervisor.observation import log
from supervisor.observation.feed import Kind, Record
from supervisor.text.durations import span

_LEVEL = "INFO"
_DELETED = str(Stage.DELETED)


def tell(record: Record, _at_s: float) -> None:
    """Have the log tell that a runner is gone: after how long, why, and what it has run."""
    if record.state != _DELETED or record.kind is not Kind.RUNNER or record.before == _DELETED:
        return
    tell_end(record)


def tell_end(record: Record) -> None:
    """Have the log tell of a runner's end, as the record has it."""
    if log.is_written(_LEVEL):
        told, lived_s = record.details.get("job"), record.details.get("lived_s")
        after = "" if lived_s is None else f" after {span(lived_s)}"
        job = f" ({words})" if told and (words := str(Job(**told))) else ""
        # Whoever has it passed on is not who speaks. There is one for each: none is looked up among
        # those that were said before, nor takes the room of one of them.
        speaker = logger.bind(actor="", runner=record.subject, is_unique=True)
        speaker.log(_LEVEL, "{}{}: {}{}", record.state, after, record.reason, job)
