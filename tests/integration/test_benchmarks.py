"""The measurements still run: they know the daemon's tree, its configuration and its answers."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("idle", {"runners": 2, "seconds": 1}),
        ("scale", {"runners": 3, "jobs": 6}),
        ("observation", {"runners": 3, "jobs": 6}),
    ],
)
def test_a_measurement_of_the_daemon_runs(
    monkeypatch: pytest.MonkeyPatch, name: str, small: dict[str, int]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    found = importlib.import_module(name).run(**small)
    assert found["runners"] == small["runners"]
    assert found["table"]
