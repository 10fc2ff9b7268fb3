"""The measurements still run: they know the daemon's tree, its configuration and its answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
    # In a process of its own: its modules have names that others here have, too.
    done = subprocess.run(
        [sys.executable, "-c", RUN, name, json.dumps(small)],
        capture_output=True,
        text=True,
        check=False,
        cwd=CODE,
        env={
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "PYTHONPATH": f"{CODE / 'benchmarks'}:{CODE}",
        },
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["runners"] == small["runners"]
    assert found["table"]
