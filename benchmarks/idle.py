"""What the daemon costs while 100 runners have nothing to do."""

from __future__ import annotations

import time
from typing import Any

import machine
import places
from daemon import Daemon
from table import render

_LIMIT_S = 180.0


def run(*, runners: int = 100, seconds: float = 60, rounds: int = 1) -> dict[str, Any]:
    """Measure, on the emulator: the daemon can't tell the difference, and nothing else is busy.

    Args:
        runners: how many are idle.
        seconds: for how long.
        rounds: how often.
    """
    with (
        places.workshop() as directory,
        places.emulated(directory) as place,
        places.github(place, directory) as server,
        Daemon(directory / "daemon", place, server, 0) as daemon,
    ):
        empty = daemon.usage()
        daemon.resize(runners)
        daemon.wait_until(lambda: daemon.present() == runners, _LIMIT_S, "have them ready")
        daemon.wait_until(lambda: _are_idle(daemon, runners), _LIMIT_S, "have them idle")
        time.sleep(3)  # what the last change set off is no part of it
        shares = []
        for _ in range(rounds):
            before, began = daemon.usage(), time.monotonic()
            time.sleep(seconds)
            after, took_s = daemon.usage(), time.monotonic() - began
            shares.append((after.cpu_s - before.cpu_s) / took_s * 100)
    share = max(shares)
    rows = [
        ("processor, % of one core (aim below 1)", f"{share:.2f}"),
        ("resident memory, MiB", f"{after.resident_mib:.1f}"),
        ("resident memory with no runner, MiB", f"{empty.resident_mib:.1f}"),
        ("threads", str(after.threads)),
    ]
    return {
        "lxd": place.version,
        "runners": runners,
        "seconds": seconds,
        "processor_percent": share,
        "resident_mib": after.resident_mib,
        "resident_mib_empty": empty.resident_mib,
        "threads": after.threads,
        "load": machine.load(),
        "table": render((f"{runners} idle runners, {seconds:.0f} s", ""), rows),
    }


def _are_idle(daemon: Daemon, runners: int) -> bool:
    """Tell whether all are known to be; if not, have GitHub asked again."""
    if daemon.stages().get("idle", 0) == runners:
        return True
    daemon.reconcile()
    return False
