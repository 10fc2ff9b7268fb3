"""The metric log: whole lines, turned over by size."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from supervisor.gateways.metric_log import MetricLog

EVENT = {"event": "reconciliation", "duration": 0.5}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.log"


def lines(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_event_is_a_line_of_json_that_others_may_read(path: Path) -> None:
    log = MetricLog(path, 1 << 20)
    assert log.write([EVENT, EVENT]) == ""
    assert log.write([EVENT]) == ""
    assert lines(path) == [EVENT] * 3
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_large_is_turned_over_and_the_oldest_goes(path: Path) -> None:
    log = MetricLog(path, 100, older=2)
    for number in range(20):
        log.write([{"number": number, "padding": "x" * 30}])
    assert sorted(one.name for one in path.parent.iterdir()) == [
        "metrics.log", "metrics.log.1", "metrics.log.2",
    ]  # fmt: skip
    kept = [lines(path.with_name(name)) for name in ("metrics.log.2", "metrics.log.1", path.name)]
    numbers = [one["number"] for found in kept for one in found if isinstance(one, dict)]
    assert numbers == list(range(numbers[0], 20))
    assert all(file.stat().st_size <= 100 for file in path.parent.iterdir())


def test_a_file_that_somebody_else_has_turned_over_is_begun_anew(path: Path) -> None:
    log = MetricLog(path, 1 << 20)
    log.write([EVENT])
    path.rename(path.with_name("elsewhere"))
    log.write([EVENT])
    assert lines(path) == [EVENT]
    path.unlink()
    log.write([EVENT])
    assert lines(path) == [EVENT]


def test_a_line_that_was_cut_spoils_no_other(path: Path) -> None:
    path.write_text('{"event": "runner_st', encoding="utf-8")
    MetricLog(path, 1 << 20).write([EVENT])
    cut, whole = path.read_text(encoding="utf-8").splitlines()
    assert cut == '{"event": "runner_st'
    assert json.loads(whole) == EVENT


def test_a_fault_is_told_and_passes(path: Path) -> None:
    path.mkdir()
    log = MetricLog(path, 1 << 20)
    assert log.write([EVENT]) == f"{path}: Is a directory"
    path.rmdir()
    assert log.write([EVENT]) == ""


def test_the_mode_of_a_file_that_was_there_before_stays(path: Path) -> None:
    MetricLog(path, 1 << 20).write([EVENT])
    path.chmod(0o600)
    assert MetricLog(path, 1 << 20).write([EVENT]) == ""
    assert lines(path) == [EVENT] * 2
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ["token: secret\n", "secret", '{\n  "token": "secret"\n}\n', '{"token": "s"}\n', "7\n"]
)
def test_a_file_that_holds_something_else_stays_as_it_is(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    told = MetricLog(path, 1).write([EVENT])
    assert told == f"{path}: holds something else than metric events"
    assert (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777) == (text, 0o600)


@pytest.mark.parametrize("begin", [b"\0" * 4096, b"\n", b'\0\0\n{"event": "earlier"}\n'])
def test_what_a_power_failure_leaves_at_its_beginning_is_gone_on_with(
    path: Path, begin: bytes
) -> None:
    path.write_bytes(begin)
    assert MetricLog(path, 1 << 20).write([EVENT]) == ""
    assert json.loads(path.read_bytes().splitlines()[-1].lstrip(b"\0")) == EVENT


def test_what_is_no_regular_file_is_told_as_such(path: Path) -> None:
    os.mkfifo(path, 0o600)
    assert MetricLog(path, 1 << 20).write([EVENT]) == f"{path}: is no regular file"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_another_user_is_left_to_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.touch(0o600)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert MetricLog(path, 1 << 20).write([EVENT]) == f"{path}: belongs to another user"
    assert path.read_bytes() == b""


def test_an_event_that_is_no_json_is_the_only_one_lost(path: Path) -> None:
    log = MetricLog(path, 1000)
    told = log.write([EVENT, {"event": "odd", "what": object()}, EVENT])
    assert told.startswith(f"{path}: odd: TypeError: ")
    assert lines(path) == [EVENT] * 2


def test_no_link_is_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in MetricLog(path, 1 << 20).write([EVENT])
    assert not (tmp_path / "elsewhere").exists()
