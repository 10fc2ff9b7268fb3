from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from supervisor.gateways.drain_mark import DrainMark

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "drained"


def test_a_fleet_is_kept_until_it_is_ordered_to_drain(path: Path) -> None:
    assert DrainMark(path).since is None
    assert not path.parent.exists()


def test_the_order_outlives_the_process_until_it_is_taken_back(path: Path) -> None:
    DrainMark(path).set(NOW)
    again = DrainMark(path)
    assert again.since == NOW
    again.clear()
    assert again.since is None
    assert DrainMark(path).since is None


def test_nobody_else_may_read_or_write_it(path: Path) -> None:
    DrainMark(path).set(NOW)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert [file.name for file in path.parent.iterdir()] == ["drained"]


def test_a_second_order_changes_nothing(path: Path) -> None:
    mark = DrainMark(path)
    mark.set(NOW)
    mark.set(NOW.replace(year=2031))
    assert mark.since == NOW
    mark.clear()
    mark.clear()
    assert mark.since is None


def test_an_order_that_can_not_be_noted_is_not_taken(path: Path) -> None:
    path.parent.write_text("a file where the directory should be")
    mark = DrainMark(path)
    with pytest.raises(OSError, match="state"):
        mark.set(NOW)
    assert mark.since is None


def test_what_a_killed_daemon_left_half_written_is_no_order_and_no_obstacle(path: Path) -> None:
    path.parent.mkdir()
    path.with_suffix(".new").write_text("2030")
    mark = DrainMark(path)
    assert mark.since is None
    mark.set(NOW)
    assert DrainMark(path).since == NOW


@pytest.mark.parametrize("text", ["", "nonsense", "\0"])
def test_a_mark_that_can_not_be_read_still_is_one(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    assert DrainMark(path).since is not None


def test_no_link_is_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("keep")
    path.with_suffix(".new").symlink_to(precious)
    DrainMark(path).set(NOW)
    assert precious.read_text() == "keep"


def test_a_pipe_in_its_place_keeps_nobody_waiting(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    assert DrainMark(path).since is not None


def test_a_file_in_its_place_that_is_huge_is_not_read(path: Path) -> None:
    path.parent.mkdir()
    with path.open("w") as file:
        file.truncate(2**40)
    assert DrainMark(path).since is not None
