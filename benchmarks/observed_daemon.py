"""The daemon, which says at its end what it costs to be looked at.

python benchmarks/observed_daemon.py RESULT_FILE run --config FILE
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from supervisor import daemon, records
from supervisor.actors import metrics
from supervisor.cli import main
from supervisor.feed import Feed
from supervisor.journal_writer import JournalWriter
from supervisor.metrics.counters import Counters

_MAKERS = (
    "of_actor", "of_beginning", "of_decision", "of_job", "of_order", "of_reconcile", "of_refusal",
    "of_step",
)  # fmt: skip
"""All that make records."""

spent_s: Counter[str] = Counter()
"""Processor seconds, by what they were spent on."""
_adding = threading.Lock()


def counted(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Have the processor time of a call be added up, in whatever thread it is made."""

    @wraps(call)
    def timed(*arguments: Any, **options: Any) -> Any:
        came, began = time.thread_time(), time.thread_time()
        try:
            return call(*arguments, **options)
        finally:
            # Without what it takes to read the clock: here, and not in a loop, where that is less.
            took_s = time.thread_time() - began - (began - came)
            with _adding:
                spent_s[what] += took_s

    return timed


def run(file: Path) -> None:
    """Run the command of `sys.argv`, and write what was spent, and on what."""
    make_app = metrics.make_app

    def made(*arguments: Any) -> Any:
        app = make_app(*arguments)
        app.wsgi_app = counted("page", app.wsgi_app)
        return app

    metrics.make_app = made
    setattr(Feed, "tell", counted("feed", Feed.tell))  # noqa: B010 - mypy forbids to assign it
    setattr(Counters, "count_call", counted("feed", Counters.count_call))  # noqa: B010
    for name in _MAKERS:
        setattr(records, name, counted("records", getattr(records, name)))
    writing = counted("journal", JournalWriter._run)  # noqa: SLF001 - all that its thread does
    setattr(JournalWriter, "_run", writing)  # noqa: B010
    serve = daemon.Daemon._serve  # noqa: SLF001 - called when all is up

    def served(*arguments: Any) -> int:
        spent_s["start"] = time.process_time()
        return serve(*arguments)

    setattr(daemon.Daemon, "_serve", served)  # noqa: B010
    try:
        main()
    finally:
        file.write_text(json.dumps({"all": time.process_time(), **spent_s}))


if __name__ == "__main__":
    run(Path(sys.argv.pop(1)))
