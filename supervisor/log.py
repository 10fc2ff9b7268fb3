"""Logs: for people on a terminal, for systemd's journal, or one JSON object a line.

All come by loguru but the lines that every runner's life has, which come by `tell`: what loguru
finds out for each line costs most of what one takes.
"""

import atexit
import inspect
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from traceback import format_exception
from typing import TYPE_CHECKING

from loguru import logger

from supervisor.gateways import journald
from supervisor.log_entries import Entry, Journal, write_json
from supervisor.printable import one_line, printable
from supervisor.repetition import Line, Repeated, Repetition

if TYPE_CHECKING:
    from loguru import Message, Record

_TERMINAL = (
    "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level: <7}</level> <cyan>{extra[who]}</cyan> "
    "{extra[shown]}\n"
)

_LEVELS = {
    name: logger.level(name).no for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
}
"""The numbers of the levels, the least first."""

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
        write: where an entry is written that has not come by loguru; None if all must.
        monotonic: the clock, in seconds.
    """

    def __init__(
        self,
        add: Callable[..., int] | None = None,
        write: Callable[[Entry], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.level = "INFO"
        self._number = _LEVELS[self.level]
        self._add = add
        self._write = write
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
        number = _LEVELS[level]
        with self._lock:
            if self._add and number < self._least:
                self._add(level=level, filter=partial(self._lets_through, above=self._least))
                self._least = number
            self.level, self._number = level, number

    def tell(self, level: str, said: str, given: Sequence[object], actor: str, runner: str) -> None:
        """Write a line of those that are called often, if its level is written."""
        number = _LEVELS[level]
        if self._write is None:
            speaker = logger.bind(actor=actor, runner=runner)
            speaker.opt(depth=2).log(level, said, *given)
        elif number >= self._number:
            text = said.format(*given)
            if self._is_shown(actor, runner, level, text):
                # As with loguru, a log that can't be written fails nobody who has something to say.
                with suppress(OSError, ValueError):
                    self._write(_entry(level, number, actor, runner, text))

    def _lets_through(self, record: "Record", above: float) -> bool:
        """Decide on a line; loguru's filter."""
        level, extra = record["level"], record["extra"]
        if not self._number <= level.no < above:
            return False
        return "is_count" in extra or self._is_shown(
            extra.get("actor", ""), extra.get("runner", ""), level.name, record["message"]
        )

    def _is_shown(self, actor: str, runner: str, level: str, text: str) -> bool:
        line = Line(actor, runner, level, text[:_LONGEST_REMEMBERED])
        with self._lock:
            now = self._monotonic()
            counts, is_shown = self._repetition.due(now), self._repetition.hear(line, now)
        if counts:
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
    # Neither shows the values of variables: one of them may be a secret.
    add = partial(logger.add, backtrace=False, diagnose=False)
    if sys.stderr.isatty():
        _gate = _Gate(partial(add, sys.stderr, format=_for_people), None, monotonic)
    else:
        at_journal = journald.is_at_standard_error()
        write = Journal(identifier).write if at_journal else write_json
        passed = partial(add, lambda message: write(_entry_of(message)), format="{message}")
        _gate = _Gate(passed, write, monotonic)
    _gate.open(level)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    atexit.register(_gate.tell_all_repeated)


def tell(level: str, said: str, *given: object, actor: str, runner: str) -> None:
    """Say what each runner's life has a few lines of, for a fraction of what loguru takes.

    It reads no more than it is given, so the speaker is named here, and not found in the context.

    Args:
        level: by its name.
        said: what is said, with places for what is given, as loguru has them.
        given: what comes there, if the line is written.
        actor: the path of the actor that says it.
        runner: whom it is about.
    """
    _gate.tell(level, said, given, actor, runner)


def current_level() -> str:
    """Give the least level that is written."""
    return _gate.level


def set_level(name: str) -> None:
    """Write the lines from another level on, from now on."""
    before = _gate.level
    if name == before:
        return
    # Said while the more talkative of both holds.
    _gate.open(min(name, before, key=_LEVELS.__getitem__))
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


def _for_people(record: "Record") -> str:
    """Give the format of a line for a terminal, which obeys nothing that others say in it."""
    extra = record["extra"]
    who = extra.get("runner") or extra.get("actor") or record["thread"].name
    extra["who"], extra["shown"] = one_line(who), one_line(record["message"])
    if not record["exception"]:
        return _TERMINAL
    extra["traceback"] = printable("".join(format_exception(*record["exception"])))
    return _TERMINAL + "{extra[traceback]}"


def _entry(level: str, number: int, actor: str, runner: str, text: str) -> Entry:
    """Make the entry of a line that has come by `tell`."""
    now, thread = datetime.now(timezone.utc), threading.current_thread().name
    frame = sys._getframe(3)  # noqa: SLF001 - the caller of `tell`, without a look at all others
    code = frame.f_code
    return Entry(
        *(now, level, number, actor, runner, text),
        *(thread, code.co_filename, frame.f_lineno, code.co_name),
    )


def _entry_of(message: "Message") -> Entry:
    """Make the entry of a line that has come by loguru."""
    record = message.record
    extra, level = record["extra"], record["level"]
    return Entry(
        record["time"],
        level.name,
        level.no,
        extra.get("actor", ""),
        extra.get("runner", ""),
        record["message"],
        record["thread"].name,
        record["file"].path,
        record["line"],
        record["function"],
        # What loguru has formatted is the message, then the traceback.
        str(message).removeprefix(record["message"]).strip() if record["exception"] else "",
    )


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
    return next((name for name in reversed(_LEVELS) if _LEVELS[name] <= number), "DEBUG")
