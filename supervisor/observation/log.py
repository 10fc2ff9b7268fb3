"""Logs: for people on a terminal, for systemd's journal, or one JSON object a line."""

import atexit
import inspect
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from loguru import logger

from supervisor.gateways import journald
from supervisor.observation.log_sinks import Journal, Json, Terminal, for_people
from supervisor.observation.repetition import Line, Repeated, Repetition

if TYPE_CHECKING:
    from loguru import Record

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
        monotonic: the clock, in seconds.
    """

    def __init__(
        self,
        add: Callable[..., int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.level = "INFO"
        self._number = _LEVELS[self.level]
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
        number = _LEVELS[level]
        with self._lock:
            if self._add and number < self._least:
                self._add(level=level, filter=partial(self._lets_through, above=self._least))
                self._least = number
            self.level, self._number = level, number

    def is_open(self, level: str) -> bool:
        """Tell whether lines of a level are written, but for those that are counted."""
        return self._add is None or _LEVELS[level] >= self._number

    def _lets_through(self, record: "Record", above: float) -> bool:
        """Decide on a line; loguru's filter."""
        level, extra = record["level"], record["extra"]
        if not self._number <= level.no < above:
            return False
        return "is_unique" in extra or self._is_shown(
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
        has_colours = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        add = partial(add, Terminal().write, format=for_people, colorize=has_colours)
    else:
        sink = Journal(identifier) if journald.is_at_standard_error() else Json()
        add = partial(add, sink.write, format="{message}")
    _gate = _Gate(add, monotonic)
    _gate.open(level)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    atexit.register(_gate.tell_all_repeated)


def is_written(level: str) -> bool:
    """Tell whether lines of a level are written.

    For who has many to say: it costs a fraction of what it does to have one refused.
    """
    return _gate.is_open(level)


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
        said = logger.bind(actor=line.actor, runner=line.runner, is_unique=True)
        said.log(line.level, "{}", count)


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
