"""How a line of the log is written: as a JSON object, or as an entry of systemd's journal."""

import sys
from datetime import datetime, timezone
from json.encoder import encode_basestring_ascii as quoted
from typing import NamedTuple

from supervisor.gateways import journald
from supervisor.printable import one_line, printable

_PRIORITIES = ((40, 3), (30, 4), (20, 6))
"""From which level on which of syslog's priorities: error, warning, information; else debug, 7."""


class Entry(NamedTuple):
    """A line of the log. A tuple, as that is made quickest.

    Attributes:
        time: when it was said (aware).
        level: by its name.
        number: the level's.
        actor: the path of the actor that says it, or empty.
        runner: whom it is about, or empty.
        message: what is said.
        thread: in which it was said, by its name.
        file: where in the code: in which file,
        line: in which line of it,
        function: and in which function.
        traceback: of the exception that it is about, or empty.
    """

    time: datetime
    level: str
    number: int
    actor: str
    runner: str
    message: str
    thread: str
    file: str
    line: int
    function: str
    traceback: str = ""


def write_json(entry: Entry) -> None:
    """Write one JSON object on a line of standard error."""
    time = entry.time.astimezone(timezone.utc).isoformat(timespec="milliseconds")
    exception = f', "exception": {quoted(entry.traceback)}' if entry.traceback else ""
    # Put together by hand, in a fifth of the time. What is written flushes at a line's end.
    sys.stderr.write(
        f'{{"time": "{time}", "level": "{entry.level}", "actor": {quoted(entry.actor)}, '
        f'"runner": {quoted(entry.runner)}, "message": {quoted(entry.message)}{exception}}}\n'
    )


class Journal:
    """Writes for systemd's journal, which knows the time.

    Args:
        identifier: the program's name in the journal.
    """

    def __init__(self, identifier: str) -> None:
        self._journald = journald.Journald(identifier)

    def write(self, entry: Entry) -> None:
        """Write one entry."""
        # Syslog, and those who search it, read line by line: nobody's words begin one of ours.
        said = one_line(f"{entry.runner or entry.actor or entry.thread}: {entry.message}")
        self._journald.write(
            f"{said}\n{printable(entry.traceback)}" if entry.traceback else said,
            next((given for least, given in _PRIORITIES if entry.number >= least), 7),
            {
                "ACTOR": entry.actor,
                "RUNNER": entry.runner,
                "THREAD": entry.thread,
                "CODE_FILE": entry.file,
                "CODE_LINE": entry.line,
                "CODE_FUNC": entry.function,
            },
        )
