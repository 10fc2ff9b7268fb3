"""What `check-config` says of a configuration, and of what needs a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.called import call


def test_a_right_configuration_is_zero(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.touch(mode=0o600)
    path.write_text("name: fleet\npath: acme\ntoken: secret\nvirtual-machines: 3\n")
    done = call("check-config", "--config", path)
    assert (done.exit_code, done.stdout) == (0, f"{path}: is right: 3 runners for acme\n")


def written(path: Path, text: str = "") -> Path:
    path.touch(mode=0o600)
    path.write_text(f"name: fleet\npath: acme\ntoken: secret\n{text}")
    return path


@pytest.mark.parametrize(
    ("changes", "restart"),
    [
        ("virtual-machines: 0\n", []),
        ("policy: {mode: off}\nsignals: {port: 1}\n", ["signals", "policy.mode"]),
    ],
)
def test_what_of_a_configuration_needs_a_restart_is_said(
    tmp_path: Path, changes: str, restart: list[str]
) -> None:
    running, new = written(tmp_path / "running"), written(tmp_path / "new", changes)
    done = call("check-config", "--config", new, "--running", running, "--json")
    wanted = 0 if "virtual" in changes else 1
    found = {"path": "acme", "virtual_machines": wanted, "restart": restart}
    assert (done.exit_code, json.loads(done.stdout)) == (0, found)
    done = call("check-config", "--config", new, "--running", running)
    assert ("signals, policy.mode: takes effect only" in done.stdout) == bool(restart)


@pytest.mark.parametrize("text", [None, "virtual-machines: many\n"])
def test_a_running_configuration_that_nobody_can_read_means_a_restart(
    tmp_path: Path, text: str | None
) -> None:
    running, new = tmp_path / "running", written(tmp_path / "new")
    if text:
        written(running, text)
    done = call("check-config", "--config", new, "--running", running, "--json")
    assert json.loads(done.stdout)["restart"] == ["configuration"]
    assert json.loads(call("check-config", "--config", new, "--json").stdout)["restart"] == []


def test_a_wrong_configuration_is_no_json(tmp_path: Path) -> None:
    new = written(tmp_path / "new", "virtual-machines: many\n")
    done = call("check-config", "--config", new, "--running", new, "--json")
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize("command", ["check-config", "run"])
def test_a_wrong_configuration_is_two_and_says_where(command: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.touch(mode=0o600)
    path.write_text("name: fleet\npath: acme\ntoken: secret\nvirtual-machines: many\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", command, "--config", str(path)],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"{path}: virtual-machines: must be a valid integer")
    assert done.stderr.count("\n") == 1
