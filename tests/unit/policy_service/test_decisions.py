from __future__ import annotations

import fcntl
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from supervisor.policy_service.decisions import Decision, DecisionLog

DECISION = Decision(
    time=datetime(2026, 11, 25, 12, tzinfo=timezone.utc),
    runner="test-a2zrh1d8wqde",
    repository="acme/demo",
    event="push",
    verdict="refused",
    reason="outside\ncollaborators",
    duration_ms=12,
    github_calls=1,
)


def test_a_decision_is_one_line_of_json_for_the_service_alone(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "decisions.jsonl"
    DecisionLog(path).write(DECISION)
    (line,) = path.read_text().splitlines()
    assert json.loads(line) == {
        "time": "2026-11-25T12:00:00.000+00:00",
        "runner": "test-a2zrh1d8wqde",
        "repository": "acme/demo",
        "event": "push",
        "verdict": "fail",
        "reason": "outside\ncollaborators",
        "duration_ms": 12,
        "github_calls": 1,
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_log_is_turned_over_and_no_line_is_torn_or_lost(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    logs = [DecisionLog(path, largest=20_000) for _ in range(4)]  # as many workers would

    def write(number: int) -> None:
        logs[number % 4].write(replace(DECISION, duration_ms=number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(300)))
    files = [one for one in tmp_path.iterdir() if one.name != "decisions.jsonl.lock"]
    assert len(files) > 2
    assert all(one.stat().st_size <= 20_000 for one in files)
    lines = [line for one in files for line in one.read_text().splitlines()]
    assert sorted(json.loads(line)["duration_ms"] for line in lines) == list(range(300))


def test_old_logs_go(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "decisions.jsonl", largest=1)
    for _ in range(9):
        log.write(DECISION)
    names = sorted(one.name for one in tmp_path.iterdir())
    assert names == ["decisions.jsonl", *(f"decisions.jsonl.{n}" for n in "1234"), *names[-1:]]


def test_a_lock_that_is_never_let_go_is_an_error_in_time(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "decisions.jsonl", patience_s=0.1)
    with (tmp_path / "decisions.jsonl.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(log.write, DECISION)
            try:
                with pytest.raises(OSError, match="others keep it locked"):
                    writing.result(10)
            finally:
                fcntl.flock(held, fcntl.LOCK_UN)
    log.write(DECISION)


def test_a_line_that_was_written_in_part_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = DecisionLog(tmp_path / "decisions.jsonl")
    log.write(DECISION)
    before = (tmp_path / "decisions.jsonl").read_bytes()
    whole = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda file, data: whole(file, data[:10]))
        with pytest.raises(OSError, match="No space left"):
            log.write(DECISION)
    assert (tmp_path / "decisions.jsonl").read_bytes() == before


def test_to_see_whether_it_can_be_written_adds_nothing(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "decisions.jsonl")
    log.write(DECISION)
    before = (tmp_path / "decisions.jsonl").read_bytes()
    log.probe()
    assert (tmp_path / "decisions.jsonl").read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "decisions.jsonl",
        "decisions.jsonl.lock",
    ]


def test_a_log_that_can_not_be_opened_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "decisions.jsonl").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        DecisionLog(tmp_path / "decisions.jsonl").probe()
