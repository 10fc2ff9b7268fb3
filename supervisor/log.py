"""Logs: for people on a terminal, for systemd's journal, or one JSON object a line."""

import atexit
import inspect
import json
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from traceback import format_exception
from typing import TYPE_CHECKING, TextIO

from loguru import logger

from supervisor.gateways import journald
from supervisor.printable import one_line, printable
from supervisor.repetition import Line, Repeated, Repetition

if TYPE_CHECKING:
    from loguru import Message, Record

_TERMINAL = (
    "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level: <7}</level> <cyan>{extra[who]}</cyan> "
    "{extra[shown]}\n"
)

_PRIORITIES = ((40, 3), (30, 4), (20, 6))
"""From which level on which of syslog's priorities: error, warning, information; else debug, 7."""

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_LONGEST_REMEMBERED = 1000  # characters of a line that may be repeated

_QUIET = {
    # waitress says so at each request that waits for a thread: guests could fill the log with it.
    "waitress.queue": logging.ERROR,
    # What the exporter has to say quotes the collector's address, and comes from our own, once.
    "opentelemetry": logging.CRITICAL + 1,
}


class _Gate:
    """Decides which lines are written: those of a level, but not each of many that are the same.

    Args:
        add: loguru's `add` with all but level and filter; None until there is where to write.
        monotonic: the clock, in seconds.
    """

    def __init__(
        self,
        add: Callable[..., int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.level = "INFO"
        self._add = add
        self._monotonic = monotonic
        self._least = math.inf
        self._repetition = Repetition()
        self._lock = threading.Lock()

    def open(self, level: str) -> None:
        """Write the lines from a level on.

        What is below every level so far, loguru refuses before it formats it. A lower one has it
        take another handler, for what lies between: the exchange of the one that is there would
        lose lines that other threads are about to write.
        """
        number = logger.level(level).no
        with self._lock:
            if self._add and number < self._least:
                self._add(level=level, filter=partial(self._lets_through, above=self._least))
                self._least = number
            self.level = level

    def _lets_through(self, record: "Record", above: float) -> bool:
        """Decide on a line; loguru's filter."""
        if not logger.level(self.level).no <= record["level"].no < above:
            return False
        extra = record["extra"]
        if extra.get("is_count"):
            return True
        line = Line(
            extra.get("actor", ""),
            extra.get("runner", ""),
            record["level"].name,
            record["message"][:_LONGEST_REMEMBERED],
        )
        with self._lock:
            now = self._monotonic()
            counts, is_shown = self._repetition.due(now), self._repetition.hear(line, now)
        _say(counts)
        return is_shown

    def tell_repeated(self) -> None:
        """Say how often was said what was held back, where that is due."""
        with self._lock:
            counts = self._repetition.due(self._monotonic())
        _say(counts)

    def tell_all_repeated(self) -> None:
        """Say it of all that was held back."""
        with self._lock:
            counts = self._repetition.end(self._monotonic())
        _say(counts)


_gate = _Gate()


def configure(
    level: str = "INFO",
    identifier: str = "github-runner-supervisor",
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Send every log line of the process to standard error, the libraries' included.

    Args:
        level: the least one that is written.
        identifier: the program's name in systemd's journal.
        monotonic: the clock that tells how long a line was repeated, in seconds.
    """
    global _gate  # noqa: PLW0603 - as loguru's logger, it is the process's
    atexit.unregister(_gate.tell_all_repeated)
    logger.remove()
    logger.configure(patcher=_name_the_speaker, extra={"actor": "", "runner": ""})
    sink: TextIO | Callable[[Message], None] = _write_json
    form: str | Callable[[Record], str] = "{message}"
    if sys.stderr.isatty():
        sink, form = sys.stderr, _for_people
    elif journald.is_at_standard_error():
        sink = _Journal(identifier).write
    # Neither of the last two shows the values of variables: one of them may be a secret.
    _gate = _Gate(
        partial(logger.add, sink, format=form, backtrace=False, diagnose=False), monotonic
    )
    _gate.open(level)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    atexit.register(_gate.tell_all_repeated)


def current_level() -> str:
    """Give the least level that is written."""
    return _gate.level


def set_level(name: str) -> None:
    """Write the lines from another level on, from now on."""
    before = _gate.level
    if name == before:
        return
    # Said while the more talkative of both holds.
    _gate.open(min(name, before, key=lambda one: logger.level(one).no))
    logger.info("the log's level is {} now, and was {}", name, before)
    _gate.open(name)


def tell_repeated() -> None:
    """Say how often was repeated what was held back; to be called every few seconds."""
    _gate.tell_repeated()


def _say(counts: Sequence[Repeated]) -> None:
    for count in counts:
        line = count.line
        said = logger.bind(actor=line.actor, runner=line.runner, is_count=True)
        said.log(line.level, "{}", count)


def _name_the_speaker(record: "Record") -> None:
    extra = record["extra"]
    extra["who"] = extra.get("runner") or extra.get("actor") or record["thread"].name


def _for_people(record: "Record") -> str:
    """Give the format of a line for a terminal, which obeys nothing that others say in it."""
    extra = record["extra"]
    extra["who"], extra["shown"] = one_line(extra["who"]), one_line(record["message"])
    if not record["exception"]:
        return _TERMINAL
    extra["traceback"] = printable("".join(format_exception(*record["exception"])))
    return _TERMINAL + "{extra[traceback]}"


class _Journal:
    """Writes for systemd's journal, which knows the time."""

    def __init__(self, identifier: str) -> None:
        self._journald = journald.Journald(identifier)

    def write(self, message: "Message") -> None:
        """Write one message; loguru's sink."""
        record = message.record
        extra, number = record["extra"], record["level"].no
        # Syslog, and those who search it, read line by line: nobody's words begin one of ours.
        said = f"{extra['who']}: {record['message']}"
        self._journald.write(
            "\n".join(filter(None, (one_line(said), printable(_traceback_in(message))))),
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


def _traceback_in(message: "Message") -> str:
    # The text that loguru has formatted: the message, then the traceback.
    return str(message).removeprefix(message.record["message"]).strip()


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
        line["exception"] = _traceback_in(message)
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
        said = logger.opt(exception=record.exc_info, depth=_depth_of_speaker())
        said.log(_level_of(record.levelno), text)


def _depth_of_speaker() -> int:
    """Count the calls from here back to the one that has something to say."""
    frame, depth = inspect.currentframe(), -1
    while frame and (depth < 1 or frame.f_code.co_filename == logging.__file__):
        frame, depth = frame.f_back, depth + 1
    return depth


def _level_of(number: int) -> str:
    fitting = [name for name in _LEVELS if logger.level(name).no <= number]
    return fitting[-1] if fitting else _LEVELS[0]
