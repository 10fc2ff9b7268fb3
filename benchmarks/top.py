"""What `supervisor-cli top` costs with 1,000 runners, at rest and while they change."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import machine
from table import render, spread

from supervisor.cli.top.app import Top
from supervisor.cli.top.widgets import RunnersTable

_STAGES = itertools.cycle(("busy", "idle", "booting", "creating", "finished"))
_NUMBERS = itertools.count()


class _Fleet:
    """Answers as a daemon does, without one: only the screen is measured."""

    def __init__(self, runners: int) -> None:
        long_ago = datetime.now(timezone.utc) - timedelta(hours=3)
        self.runners = [_runner(long_ago) for _ in range(runners)]
        self._next = itertools.cycle(range(runners))

    def change(self, count: int) -> None:
        """Replace a fifth of so many, and move the others to another stage."""
        now = datetime.now(timezone.utc)
        for number in range(count):
            place = next(self._next)
            moved = {**self.runners[place], "stage": next(_STAGES), "since": now.isoformat()}
            self.runners[place] = _runner(now) if number % 5 == 0 else moved

    def get(self, path: str) -> Any:
        """Answer."""
        status = {
            "health": "ok", "name": "fleet", "path": "acme", "wanted": 1000, "present": 1000,
            "stages": {"idle": 1000}, "draining_since": None, "problems": [], "warnings": [],
            "github": {"url": "https://github.com"},
        }  # fmt: skip
        tree = {"id": "root", "kind": "supervisor", "state": "running", "restarts": 0}
        known = {
            "/v1/status": status,
            "/v1/tree": {**tree, "children": []},
            "/v1/runners": list(self.runners),
            "/v1/events": {"events": []},
        }
        return known[path.partition("?")[0]]

    def post(self, path: str) -> Any:
        """Refuse: the screen that is measured gives no orders."""
        raise AssertionError(path)

    delete = post


def _runner(since: datetime) -> dict[str, Any]:
    job = {"repository": "acme/demo", "workflow": "ci", "name": "test"}
    return {
        "name": f"fleet-{next(_NUMBERS):012}", "stage": next(_STAGES), "job": job,
        "since": since.isoformat(), "reason": "waits for the guest's ready signal",
    }  # fmt: skip


async def _share(fleet: _Fleet, changes: int, seconds: int) -> float:
    """Return the processor time that the screen takes, in percent of one core."""
    app = Top(fleet)
    async with app.run_test(size=(80, 24)) as pilot:
        while app.query_one(RunnersTable).row_count < len(fleet.runners):
            await pilot.pause(0.05)
        cpu_s, began = time.process_time(), time.monotonic()
        for _ in range(seconds):
            fleet.change(changes)
            await pilot.pause(1)
        return 100 * (time.process_time() - cpu_s) / (time.monotonic() - began)


def run(*, runners: int = 1000, seconds: int = 10, rounds: int = 3) -> dict[str, Any]:
    """Measure.

    Args:
        runners: how many there are.
        seconds: for how long each time.
        rounds: how often.
    """
    found = {
        changes: [asyncio.run(_share(_Fleet(runners), changes, seconds)) for _ in range(rounds)]
        for changes in (0, 25, 250)
    }
    rows = [(str(changes), spread(shares)) for changes, shares in found.items()]
    return {
        "runners": runners,
        "processor_percent": {str(changes): shares for changes, shares in found.items()},
        "load": machine.load(),
        "table": render((f"changes a second, of {runners:,} runners", "% of one core"), rows),
    }
