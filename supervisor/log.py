"""Logs: for people on a terminal, for systemd's journal, or one JSON object a line."""

import json
import logging
import os
import sys
from typing import TYPE_CHECKING

from loguru import logger

from supervisor.guest.logs import printable

if TYPE_CHECKING:
    from loguru import Message, Record

_TERMINAL = (
    "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level: <7}</level> <cyan>{extra[who]}</cyan> {message}"
)

_PRIORITIES = ((40, 3), (30, 4), (20, 6))
"""From which level on which of syslog's priorities: error, warning, information; else debug, 7."""

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def configure(level: str = "INFO") -> None:
    """Send every log line of the process to standard error, the libraries' included."""
    logger.remove()
    logger.configure(patcher=_name_the_speaker, extra={"actor": "", "runner": ""})
    # Neither shows the values of variables: one of them may be a secret.
    if sys.stderr.isatty():
        logger.add(sys.stderr, level=level, format=_TERMINAL, backtrace=False, diagnose=False)
    elif _is_journal():
        logger.add(_write_journal, level=level, format="{message}", backtrace=False, diagnose=False)
    else:
        logger.add(_write_json, level=level, format="{message}", backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)
    # waitress says so at each request that waits for a thread: guests could fill the log with it.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _name_the_speaker(record: "Record") -> None:
    extra = record["extra"]
    extra["who"] = extra.get("runner") or extra.get("actor") or record["thread"].name


def _is_journal() -> bool:
    """Tell whether systemd's journal is at the other end, by JOURNAL_STREAM of systemd.exec(5)."""
    named = os.environ.get("JOURNAL_STREAM")
    if not named:
        return False
    found = os.fstat(sys.stderr.fileno())
    return named == f"{found.st_dev}:{found.st_ino}"


def _write_journal(message: "Message") -> None:
    """Write for journald: it knows the time, and takes `<N>` before a line for its priority.

    Each line is an entry of its own there. Those after the first are indented, so that none of
    them can pass for another message.
    """
    record = message.record
    number = record["level"].no
    priority = next((given for least, given in _PRIORITIES if number >= least), 7)
    first, *rest = printable(f"{record['extra']['who']}: {str(message).rstrip()}").split("\n")
    lines = [first, *(f"  {line}" for line in rest)]
    sys.stderr.write("".join(f"<{priority}>{line}\n" for line in lines))
    sys.stderr.flush()


def _write_json(message: "Message") -> None:
    record = message.record
    extra = record["extra"]
    line = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "actor": extra.get("actor", ""),
        "runner": extra.get("runner", ""),
        "message": record["message"],
    }
    if record["exception"]:
        # The text that loguru has formatted: the message, then the traceback.
        line["exception"] = str(message).removeprefix(record["message"]).strip()
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


class _ToLoguru(logging.Handler):
    """Passes on what the libraries say through the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        try:
            text = f"{record.name}: {record.getMessage()}"
        except Exception:  # noqa: BLE001 - the library's mistake must not become ours
            text = f"{record.name}: {record.msg!r}"
        # By number: libraries have levels of their own, whose names loguru would refuse.
        logger.opt(exception=record.exc_info).log(_level_of(record.levelno), text)


def _level_of(number: int) -> str:
    fitting = [name for name in _LEVELS if logger.level(name).no <= number]
    return fitting[-1] if fitting else _LEVELS[0]
