"""What it costs the daemon to be looked at, as a share of all that it does.

Twenty runners work through two hundred jobs, on the emulator, as fast as the daemon can, and on a
real LXD, while Prometheus reads the page: where little happens each second, what has to be done
each time counts for more. What is spent on watching is measured within the daemon's own process, by
thread: on making records of what happens and telling them to counters and journal, on writing them
down, in the metric log as well, on the page and its server, on asking GitHub how long jobs have
waited, and on the lines of the log. It is told of the whole process, and from the moment when the
daemon is up.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import places
import requests
from daemon import Daemon, Place
from scale import do_jobs
from table import render

MakePlace = Callable[[Path], AbstractContextManager[Place]]

_FILL_LIMIT_S = 120.0
_POLL_S = 1.0
"""Seldom, as people do: whoever asks how the fleet is has what has happened be passed on."""
_SCRAPES_S = 15.0
"""As often as Prometheus reads where nobody says otherwise in most installations."""
_WATCHING = {
    "feed": "making records, telling counters, journal and the last failure",
    "journal": "writing the journal and the metric log",
    "page": "the page of metrics",
    "inquiries": "asking GitHub how long jobs have waited",
    "log": "lines of the log",
}


def run(*, runners: int = 20, jobs: int = 200, rounds: int = 1) -> dict[str, Any]:
    """Measure.

    Args:
        runners: how many are kept.
        jobs: how many they do.
        rounds: how often so many jobs are done.
    """
    kinds = {"emulator": places.emulated, "LXD": places.real}
    found = {name: _measure(kind, runners, jobs, rounds) for name, kind in kinds.items()}
    rows = [
        (words, *(one["rows"][words] for one in found.values()))
        for words in found["emulator"]["rows"]
    ]
    return {
        "lxd": found["LXD"]["lxd"],
        "runners": runners,
        "jobs": jobs * rounds,
        "found": found,
        "table": render((f"{runners} runners, {jobs * rounds} jobs", *found), rows),
    }


def _measure(kind: MakePlace, runners: int, jobs: int, rounds: int) -> dict[str, Any]:
    with (
        places.workshop() as directory,
        kind(directory) as place,
        places.github(place, directory) as server,
    ):
        result = directory / "spent.json"
        metric_log = {"path": str(directory / "metrics.log")}  # as with the charm
        daemon = Daemon(directory / "daemon", place, server, runners, **{"metric-log": metric_log})
        program = Path(__file__).with_name("observed_daemon.py")
        daemon.launcher = (sys.executable, str(program), str(result))
        with daemon, _scraped(daemon):
            whole = partial(daemon.wait_until, lambda: daemon.present() == runners, _FILL_LIMIT_S)
            whole("fill", poll_s=_POLL_S)
            for _ in range(rounds):
                do_jobs(server, jobs)
            whole("be whole", poll_s=_POLL_S)
        spent = json.loads(result.read_text())
    return {"lxd": place.version, **_summary(spent, lives=runners + jobs * rounds)}


def _summary(spent: dict[str, Any], lives: int) -> dict[str, Any]:
    total_s, start_s, watching_s = spent["all"], spent["start"], spent["watching"]
    shares = {what: watching_s.get(what, 0.0) / total_s * 100 for what in _WATCHING}
    share = sum(shares.values())
    since_s = total_s - start_s
    watching_since_s = sum(watching_s.values()) - sum(spent["watching_start"].values())
    rows = {
        "the daemon's processor time, s": f"{total_s:.2f}",
        "until it is up, s of it": f"{start_s:.2f}",
        **{f"{words}, % of it": f"{shares[what]:.2f}" for what, words in _WATCHING.items()},
        "all watching, % of it (aim below 2)": f"{share:.2f}",
        "the same since the daemon is up, % of its time since": (
            f"{watching_since_s / since_s * 100:.2f}"
        ),
        "a runner's life, without the start, ms": f"{since_s / lives * 1000:.2f}",
        "watching it, ms": f"{watching_since_s / lives * 1000:.3f}",
    }
    return {
        "daemon_cpu_s": total_s,
        "start_cpu_s": start_s,
        "life_cpu_ms": since_s / lives * 1000,
        "watching_life_cpu_ms": watching_since_s / lives * 1000,
        "watching_percent": share,
        "watching_since_percent": watching_since_s / since_s * 100,
        "shares_percent": shares,
        "rows": rows,
    }


@contextmanager
def _scraped(daemon: Daemon) -> Iterator[None]:
    """Read the page, as soon as it is there and then as often as Prometheus does."""
    over = threading.Event()

    def read() -> None:
        requests.get(daemon.metrics, timeout=10).raise_for_status()

    def is_there() -> bool:
        try:
            read()
        except requests.ConnectionError:
            return False
        return True

    def scrape() -> None:
        while not over.wait(_SCRAPES_S):
            read()

    daemon.wait_until(is_there, _FILL_LIMIT_S, "have its page")
    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
