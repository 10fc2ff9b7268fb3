"""1,000 runners kept alive through 5,000 jobs, on the emulator.

All of it shares this machine's processors: the daemon, the emulator with its guests, GitHub, and
the client that asks for the tree. So the rate says as much of them as of the daemon; the daemon's
own processor time per job is the figure to compare.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import places
from daemon import Daemon
from table import percentile, render

from sandbox.github import JobRequest, SandboxGitHub

_FILL_LIMIT_S = 600.0
_JOB_LIMIT_S = 1.0
_RECONCILE_LIMIT_S = 60.0


def run(
    *, runners: int = 1000, jobs: int = 5000, rounds: int = 1, at_once: int = 16
) -> dict[str, Any]:
    """Measure.

    Args:
        runners: how many are kept.
        jobs: how many they do.
        rounds: how often so many jobs are done.
        at_once: the daemon's `creations-at-once`.
    """
    with (
        places.workshop() as directory,
        places.emulated(directory) as place,
        places.github(place, directory) as server,
        Daemon(
            directory / "daemon", place, server, 0, lxd={"creations-at-once": at_once}
        ) as daemon,
    ):
        began = time.monotonic()
        daemon.resize(runners)
        daemon.wait_until(lambda: daemon.present() >= runners, _FILL_LIMIT_S, "fill the fleet")
        filled_s, filled = time.monotonic() - began, daemon.usage()
        quiet_ms = _reconcile_ms(daemon)
        with _probe(daemon.socket, directory / "idle.json") as idle:
            time.sleep(5)
        began = time.monotonic()
        with _probe(daemon.socket, directory / "busy.json") as busy:
            for _ in range(rounds):
                do_jobs(server, jobs)
        took_s, done = time.monotonic() - began, daemon.usage()
        churned_ms = _reconcile_ms(daemon)
        failed = sum(1 for job in server.jobs() if job.conclusion != "success")
        daemon.wait_until(lambda: daemon.present() >= runners, _FILL_LIMIT_S, "be whole again")
    total = jobs * rounds
    rows = [
        ("filled, runners per second", f"{runners / filled_s:.1f}"),
        ("jobs per second", f"{total / took_s:.1f}"),
        ("jobs that failed", str(failed)),
        ("the daemon's processor time per job, ms", f"{_cpu_ms(filled, done, total):.1f}"),
        ("the daemon's share of one core, %", f"{(done.cpu_s - filled.cpu_s) / took_s * 100:.0f}"),
        (
            "resident memory, MiB, full and after",
            f"{filled.resident_mib:.0f}, {done.resident_mib:.0f}",
        ),
        ("threads when full", str(filled.threads)),
        ("processor time to fill, per runner, ms", f"{filled.cpu_s / runners * 1e3:.1f}"),
        ("reconcile, ms, before and right after", f"{quiet_ms:.0f}, {churned_ms:.0f}"),
        ("tree, idle, ms, p50 and p95", _both(idle)),
        ("tree, during the jobs, ms, p50 and p95", _both(busy)),
    ]
    return {
        "lxd": place.version,
        "runners": runners,
        "jobs": total,
        "jobs_per_second": total / took_s,
        "failed": failed,
        "fill_per_second": runners / filled_s,
        "daemon_cpu_ms_per_job": _cpu_ms(filled, done, total),
        "daemon_cpu_s_to_fill": filled.cpu_s,
        "resident_mib": [filled.resident_mib, done.resident_mib],
        "threads": filled.threads,
        "reconcile_ms": [quiet_ms, churned_ms],
        "tree_ms_idle": idle,
        "tree_ms_busy": busy,
        "table": render((f"{runners} runners, {total} jobs", ""), rows),
    }


def do_jobs(server: SandboxGitHub, count: int) -> None:
    known = len(server.jobs())
    for _ in range(count):
        server.queue(JobRequest(script="true", repository=f"{server.org}/bench"))
    deadline = time.monotonic() + count * _JOB_LIMIT_S
    # Looking at all jobs is work for GitHub's side of this process: seldom is enough.
    while sum(1 for job in server.jobs() if job.status == "completed") < known + count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{count} jobs were not done in {count * _JOB_LIMIT_S:g} s")
        time.sleep(0.5)


def _reconcile_ms(daemon: Daemon) -> float:
    """Return how long a reconcile takes, from the order until the fleet has its next plan."""
    before = _reconciles(daemon)
    began = time.monotonic()
    daemon.reconcile()
    daemon.wait_until(lambda: _reconciles(daemon) > before, _RECONCILE_LIMIT_S, "reconcile")
    return (time.monotonic() - began) * 1e3


def _reconciles(daemon: Daemon) -> int:
    return int(daemon.actor("fleet").get("details", {}).get("reconciles", 0))


def _cpu_ms(before: Any, after: Any, jobs: int) -> float:
    return float((after.cpu_s - before.cpu_s) / jobs * 1e3)


def _both(times_ms: list[float]) -> str:
    return f"{percentile(times_ms, 0.5):.0f}, {percentile(times_ms, 0.95):.0f}"


@contextmanager
def _probe(socket: Path, out: Path) -> Iterator[list[float]]:
    """Have a process of its own ask for the tree; the list is filled when this is left."""
    times_ms: list[float] = []
    command = [sys.executable, str(Path(__file__).with_name("probe.py")), str(socket), str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE):  # leaving closes its input, its sign
        yield times_ms
    times_ms += json.loads(out.read_text())
