"""The measurements still run: they know the daemon's tree, its configuration and its answers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CODE = Path(__file__).parents[2]
LIMIT_S = 120
RUN = "import importlib, json, sys; name, given = sys.argv[1:]; print(json.dumps("
RUN += "importlib.import_module(name).run(**json.loads(given))))"


@pytest.mark.timeout(2 * LIMIT_S)
@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("idle", {"runners": 2, "seconds": 1}),
        ("scale", {"runners": 3, "jobs": 6}),
        ("observation", {"runners": 3, "jobs": 6}),
    ],
)
def test_a_measurement_of_the_daemon_runs(name: str, small: dict[str, int]) -> None:
    found = measured(name, small)
    assert found["runners"] == small["runners"]
    assert found["table"]


@pytest.mark.timeout(2 * LIMIT_S)
def test_the_measurement_of_the_firewall_runs() -> None:
    # More than 1,000: a shorter list is not closed before it is put back.
    found = measured("firewall", {"rounds": 1, "networks": 1_500})
    assert (len(found["close_s"]), len(found["close_by_hand_s"])) == (1, 1)
    assert found["close_ratio"] > 0
    assert found["table"]


def measured(name: str, small: dict[str, int]) -> Any:
    # In a process of its own: its modules have names that others here have, too.
    with subprocess.Popen(
        [sys.executable, "-c", RUN, name, json.dumps(small)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CODE,
        env={
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "PYTHONPATH": f"{CODE / 'benchmarks'}:{CODE}",
        },
    ) as process:
        try:
            output, errors = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # it ends what it has started, as it always does
            output, errors = process.communicate()
    assert process.returncode == 0, errors
    return json.loads(output)
