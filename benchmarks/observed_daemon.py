"""The daemon, which says at its end what it has cost to be looked at since it was up.

python benchmarks/observed_daemon.py RESULT_FILE run --config FILE
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from loguru import logger
from meter import Meter

from supervisor import daemon
from supervisor.actors import metrics
from supervisor.cli import main
from supervisor.metrics.counters import Counters
from supervisor.observation import log, records
from supervisor.observation.feed import Feed
from supervisor.recording.writer import JournalWriter

_MAKERS = ("of_actor", "of_decision", "of_order", "of_reconcile", "of_refusal")
"""All that make records before they are told; others are made as they are passed on."""
_CALLS = (
    (Feed, "tell", "feed"),
    (Feed, "tell_made", "feed"),
    (Feed, "pass_on", "feed"),
    (Feed, "pass_on_unless_busy", "feed"),
    (Counters, "count_call", "feed"),
    (JournalWriter, "_run", "journal"),  # all that its thread does
    *((records, maker, "feed") for maker in _MAKERS),
)


def run(file: Path) -> None:
    """Run the command of `sys.argv`, and write what was spent, and on what."""
    meter = Meter()
    for owner, name, what in _CALLS:
        setattr(owner, name, meter.counted(what, getattr(owner, name)))
    _count_page(meter)
    _count_lines(meter)
    start_s = 0.0
    serve = daemon.Daemon._serve  # noqa: SLF001 - called when all is up

    def served(*arguments: Any) -> int:
        nonlocal start_s
        start_s = time.process_time()
        meter.begin()
        return serve(*arguments)

    setattr(daemon.Daemon, "_serve", served)  # noqa: B010 - mypy forbids to assign it
    try:
        main()
    finally:
        since_s = time.process_time() - start_s
        file.write_text(json.dumps({"start": start_s, "since": since_s, "watching": meter.spent_s}))


def _count_page(meter: Meter) -> None:
    make_app = metrics.make_app

    def made(*arguments: Any) -> Any:
        app = make_app(*arguments)
        app.wsgi_app = meter.counted("page", app.wsgi_app)
        return app

    metrics.make_app = made


def _count_lines(meter: Meter) -> None:
    """Count every line of the log, those included that are refused for their level."""
    kind = type(logger)
    said = meter.counted("log", kind._log)  # type: ignore[attr-defined] # noqa: SLF001 - behind `info` and all others
    setattr(kind, "_log", said)  # noqa: B010
    log.is_written = meter.counted("log", log.is_written)


if __name__ == "__main__":
    run(Path(sys.argv.pop(1)))
