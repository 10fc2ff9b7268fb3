"""How a line of the log is written: for people, as a JSON object, or for systemd's journal."""

import json
from datetime import datetime, timezone
from traceback import format_exception
from typing import TYPE_CHECKING

from supervisor.gateways import journald
from supervisor.gateways.standard_error import Lines
from supervisor.text.printable import one_line, printable

if TYPE_CHECKING:
    from loguru import Message, Record

_TERMINAL = (
    "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level: <7}</level> <cyan>{extra[who]}</cyan> "
    "{extra[shown]}\n"
)

_encode = json.JSONEncoder().encode

_PRIORITIES = ((40, 3), (30, 4), (20, 6))
"""From which level on which of syslog's priorities: error, warning, information; else debug, 7."""


def for_people(record: "Record") -> str:
    """Give the format of a line for a terminal, which obeys nothing that others say in it."""
    extra = record["extra"]
    extra["who"], extra["shown"] = one_line(_who(record)), one_line(record["message"])
    if not record["exception"]:
        return _TERMINAL
    extra["traceback"] = printable("".join(format_exception(*record["exception"])))
    return _TERMINAL + "{extra[traceback]}"


class Terminal:
    """Writes on a terminal what `for_people` has given the format of."""

    def __init__(self) -> None:
        self._lines = Lines(lambda lost: f"{_told_of(lost)}\n")

    def write(self, message: "Message") -> None:
        """Write one line, and its traceback."""
        self._lines.write(message)


class Json:
    """Writes one JSON object on a line of standard error."""

    def __init__(self) -> None:
        self._lines = Lines(
            lambda lost: _object(datetime.now(timezone.utc), "WARNING", _told_of(lost))
        )

    def write(self, message: "Message") -> None:
        """Write one line."""
        record = message.record
        extra, time = record["extra"], record["time"]
        more = {"exception": _traceback_in(message)} if record["exception"] else {}
        self._lines.write(
            _object(
                time.astimezone(timezone.utc) if time.utcoffset() else time,
                record["level"].name,
                record["message"],
                extra.get("actor", ""),
                extra.get("runner", ""),
                **more,
            )
        )


class Journal:
    """Writes for systemd's journal, which knows the time.

    Args:
        identifier: the program's name in the journal.
    """

    def __init__(self, identifier: str) -> None:
        self._journald = journald.Journald(identifier)

    def write(self, message: "Message") -> None:
        """Write one entry."""
        record = message.record
        extra, number = record["extra"], record["level"].no
        # Syslog, and those who search it, read line by line: nobody's words begin one of ours.
        said = one_line(f"{_who(record)}: {record['message']}")
        if record["exception"]:
            said = f"{said}\n{printable(_traceback_in(message))}"
        self._journald.write(
            said,
            next((given for least, given in _PRIORITIES if number >= least), 7),
            {
                "ACTOR": extra.get("actor", ""),
                "RUNNER": extra.get("runner", ""),
                "THREAD": record["thread"].name,
                "CODE_FILE": record["file"].path,
                "CODE_LINE": record["line"],
                "CODE_FUNC": record["function"],
            },
        )


def _who(record: "Record") -> str:
    """Name who speaks: the runner that it is about, else the actor, else the thread."""
    extra = record["extra"]
    return str(extra.get("runner") or extra.get("actor") or record["thread"].name)


def _object(
    time: datetime, level: str, message: str, actor: str = "", runner: str = "", **more: str
) -> str:
    line = {
        "time": time.isoformat(timespec="milliseconds"),
        "level": level,
        "actor": actor,
        "runner": runner,
        "message": message,
        **more,
    }
    return f"{_encode(line)}\n"


def _told_of(lost: int) -> str:
    return f"log: lines lost, as standard error did not take any: {lost}"


def _traceback_in(message: "Message") -> str:
    # The text that loguru has formatted: the message, then the traceback.
    return str(message).removeprefix(message.record["message"]).strip()
