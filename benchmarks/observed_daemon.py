"""The daemon, which says at its end what it has cost to be looked at.

python benchmarks/observed_daemon.py RESULT_FILE run --config FILE
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from loguru import logger
from meter import Meter
from waitress.channel import HTTPChannel

from supervisor import daemon
from supervisor.actors import github_line
from supervisor.actors.github_line import Line
from supervisor.actors.job_inquiries import JobInquiries
from supervisor.cli import main
from supervisor.github.budget import Priority
from supervisor.github.exchange import Request
from supervisor.github.turns import Turn
from supervisor.metrics.counters import Counters
from supervisor.observation import log, records
from supervisor.observation.feed import Feed
from supervisor.recording.writer import JournalWriter
from supervisor.web.server import WebServer

_MAKERS = ("of_actor", "of_decision", "of_order", "of_reconcile", "of_refusal")
"""All that make records before they are told; others are made as they are passed on."""
_CALLS = (
    (Feed, "tell", "feed"),
    (Feed, "tell_made", "feed"),
    (Feed, "pass_on", "feed"),
    (Feed, "pass_on_unless_busy", "feed"),
    (Feed, "pass_on_overdue", "feed"),
    (Counters, "count_call", "feed"),
    (JournalWriter, "_run", "journal"),  # all that its thread does
    *((JobInquiries, name, "inquiries") for name in ("add", "wake", "go_on", "_answered")),
    *((records, maker, "feed") for maker in _MAKERS),
)


def run(file: Path) -> None:
    """Run the command of `sys.argv`, and write what was spent, and on what."""
    meter = Meter()
    for owner, name, what in _CALLS:
        setattr(owner, name, meter.counted(what, getattr(owner, name)))
    _count_page(meter)
    _count_inquiries(meter)
    _count_lines(meter)
    start_s, then_s = 0.0, dict[str, float]()
    serve = daemon.Daemon._serve  # noqa: SLF001 - called when all is up

    def served(*arguments: Any) -> int:
        nonlocal start_s, then_s
        start_s, then_s = time.process_time(), meter.so_far()
        return serve(*arguments)

    setattr(daemon.Daemon, "_serve", served)  # noqa: B010 - mypy forbids to assign it
    try:
        main()
    finally:
        spent = {"all": time.process_time(), "watching": meter.spent_s}
        spent |= {"start": start_s, "watching_start": then_s}
        file.write_text(json.dumps(spent))


def _count_some(
    meter: Meter, what: str, owner: Any, name: str, counts: Callable[..., bool]
) -> None:
    """Count those calls of which that is said by what they are made with."""
    call = getattr(owner, name)
    counted = meter.counted(what, call)

    @wraps(call)
    def called(*arguments: Any, **options: Any) -> Any:
        return (counted if counts(*arguments) else call)(*arguments, **options)

    setattr(owner, name, called)


def _count_page(meter: Meter) -> None:
    """Count the thread that waits for readers, and those that answer them."""

    def is_loop(_server: WebServer) -> bool:
        return threading.current_thread().name == "metrics"

    def is_read(channel: Any) -> bool:
        return bool(channel.requests[0].path == "/metrics")

    _count_some(meter, "page", WebServer, "_run", is_loop)
    _count_some(meter, "page", HTTPChannel, "service", is_read)


def _count_inquiries(meter: Meter) -> None:
    """Count the calls to GitHub, in the thread that makes them, and what comes of each."""

    def is_made(_line: Line, request: Request, *_: object) -> bool:
        return "/actions/runs/" in request.path

    def is_answered(_line: Line, turn: Turn[Any], *_: object) -> bool:
        return turn.priority is Priority.INQUIRE

    _count_some(meter, "inquiries", github_line, "_exchange", is_made)
    _count_some(meter, "inquiries", Line, "_answered", is_answered)


def _count_lines(meter: Meter) -> None:
    """Count every line of the log, those included that are refused for their level."""
    kind = type(logger)
    said = meter.counted("log", kind._log)  # type: ignore[attr-defined] # noqa: SLF001 - behind `info` and all others
    setattr(kind, "_log", said)  # noqa: B010
    log.is_written = meter.counted("log", log.is_written)


if __name__ == "__main__":
    run(Path(sys.argv.pop(1)))
