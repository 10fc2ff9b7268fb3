"""How fast a runner that has done its job is replaced, against LXD alone.

The clock is LXD's: from the guest's power-off (`instance-shutdown`) to the next instance's
`instance-started`. In between LXD deletes the one, creates and starts the other; whatever else
passes is what the one who orders it adds: the daemon, which also registers the next runner with
GitHub, or a bare pylxd loop that waits for the same event.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import machine
import places
from bare import BareLoop
from daemon import Daemon, Place
from table import percentile, render
from watch import Watch

from sandbox.github import JobRequest
from sandbox.github.faults import Fault

_LIMIT_S = 60.0
_GUEST = "sleep 0.5; poweroff -n -f"
_DELETED, _STARTED = "instance-deleted", "instance-started"


@dataclass(frozen=True)
class Replacement:
    """One, in milliseconds.

    Attributes:
        total: from power-off to the next start.
        added: of that, the time in which LXD had nothing to do: nobody had asked it.
    """

    total: float
    added: float


def run(*, rounds: int = 3, each: int = 12, github_delay_s: float = 0.25) -> dict[str, Any]:
    """Measure.

    Args:
        rounds: how often both take turns.
        each: replacements in a turn.
        github_delay_s: also measured with a GitHub that takes so much longer to register a runner.
    """
    system: list[Replacement] = []
    distant: list[Replacement] = []
    bare: list[Replacement] = []
    with (
        places.workshop() as directory,
        places.real(directory) as place,
        Watch(place.socket, place.project) as watch,
    ):
        loads = []
        for _ in range(rounds):
            loads.append(machine.load())
            bare += _by_bare_loop(watch, place, each)
            system += _by_daemon(directory, watch, place, each)
            distant += _by_daemon(directory, watch, place, each, github_delay_s)
    columns = {
        "bare pylxd": bare,
        "whole system": system,
        f"GitHub {github_delay_s * 1e3:.0f} ms away": distant,
    }
    rows = [
        (what, *(f"{percentile(_values(each, field), share):.0f}" for each in columns.values()))
        for what, field, share in (
            ("power-off to next start, p50", "total", 0.5),
            ("power-off to next start, p95", "total", 0.95),
            ("LXD waited for orders, p50", "added", 0.5),
            ("LXD waited for orders, p95", "added", 0.95),
        )
    ]
    medians = {name: statistics.median(_values(each, "total")) for name, each in columns.items()}
    return {
        "lxd": place.version,
        "loads": loads,
        "added_ms_p50": percentile(_values(system, "added"), 0.5),
        "added_ms_p95": percentile(_values(system, "added"), 0.95),
        "total_ms_median": medians,
        "replacements": {name: [asdict(one) for one in each] for name, each in columns.items()},
        "table": render((f"{len(system)} replacements each, ms", *columns), rows),
    }


def _by_bare_loop(watch: Watch, place: Place, count: int) -> list[Replacement]:
    loop = BareLoop(place)
    watch.clear()
    for number in range(count + 1):
        loop.launch(_GUEST)
        watch.wait_for(_DELETED, number + 1, _LIMIT_S)
    return _replacements(watch)


def _by_daemon(
    directory: Path, watch: Watch, place: Place, count: int, github_delay_s: float = 0
) -> list[Replacement]:
    with (
        places.github(place, directory) as server,
        Daemon(directory / "daemon", place, server, 0) as daemon,
    ):
        if github_delay_s:
            server.faults.add(
                Fault("POST", "*/generate-jitconfig", delay_s=github_delay_s, times=None)
            )
        for _ in range(count + 1):
            server.queue(JobRequest(script="sleep 0.3", repository=f"{server.org}/bench"))
        watch.clear()
        daemon.resize(1)
        watch.wait_for(_STARTED, count + 2, (count + 2) * _LIMIT_S)
        taken = _replacements(watch)
    places.empty(place)
    return taken


def _replacements(watch: Watch) -> list[Replacement]:
    off, gone, started = (
        watch.when(action) for action in ("instance-shutdown", _DELETED, _STARTED)
    )
    operations = {(each.what, each.name): each for each in watch.operations()}
    names = watch.names(_STARTED)
    taken = []
    for before, after in pairwise(names):
        if ("Starting instance", after) not in operations:
            continue  # the last one: its start was reported, its operation had not ended
        creating = operations["Creating instance", after]
        starting = operations["Starting instance", after]
        added = creating.began - gone[before] + starting.began - creating.ended
        total = started[after] - off[before]
        taken.append(Replacement(total * 1e3, added * 1e3))
    return taken


def _values(replacements: list[Replacement], field: str) -> list[float]:
    return [float(getattr(each, field)) for each in replacements]
