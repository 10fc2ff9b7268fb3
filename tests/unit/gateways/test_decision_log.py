from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from supervisor.gateways.decision_log import Tally, follow
from supervisor.policy_service.decisions import Decision, DecisionLog

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy" / "decisions.jsonl"


def write(path: Path, *verdicts: str, largest: int = 1 << 20) -> None:
    log = DecisionLog(path, largest)
    for verdict in verdicts:
        log.write(Decision(NOW, "fleet-a", "acme/demo", "push", verdict, "why", 12, 3))


def test_before_the_first_decision_there_is_nothing(path: Path) -> None:
    assert follow(path, Tally()) == Tally()


def test_what_the_service_writes_is_counted_once(path: Path) -> None:
    write(path, "pass", "fail")
    tally = follow(path, Tally())
    assert tally.counts == {"pass": 1, "fail": 1}
    assert tally.since == "2030-01-01T00:00:00.000+00:00"
    write(path, "pass")
    tally = follow(path, follow(path, tally))
    assert tally.counts == {"pass": 2, "fail": 1}
    assert tally.last[-1] == {
        "time": "2030-01-01T00:00:00.000+00:00", "runner": "fleet-a", "repository": "acme/demo",
        "event": "push", "verdict": "pass", "reason": "why", "duration_ms": 12,
    }  # fmt: skip


def test_nothing_is_missed_when_the_file_is_put_aside(path: Path) -> None:
    write(path, "pass")
    tally = follow(path, Tally())
    write(path, "fail")
    write(path, "error", largest=1)
    tally = follow(path, tally)
    assert tally.counts == {"pass": 1, "fail": 1, "error": 1}
    assert [one["verdict"] for one in tally.last] == ["pass", "fail", "error"]


def test_a_line_that_is_being_written_is_read_when_it_is_whole(path: Path) -> None:
    write(path, "pass")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    tally = follow(path, Tally())
    path.write_bytes(whole + whole)
    assert follow(path, tally).counts == {"pass": 2}


def test_what_is_no_decision_is_left_out(path: Path) -> None:
    write(path, "pass")
    with path.open("ab") as log:
        log.write(b'7\n{}\n\xff\n[[[\n{"time": 1}\n\n')
    write(path, "fail")
    assert follow(path, Tally()).counts == {"pass": 1, "fail": 1}


def test_no_more_than_the_last_are_kept(path: Path) -> None:
    write(path, *["pass"] * 50, "fail")
    tally = follow(path, Tally())
    assert tally.counts == {"pass": 50, "fail": 1}
    assert len(tally.last) == 20
    assert tally.last[-1]["verdict"] == "fail"


def test_no_link_is_followed_and_no_pipe_is_waited_for(path: Path, tmp_path: Path) -> None:
    """The directory may be another user's."""
    path.parent.mkdir()
    path.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic link"):
        follow(path, Tally())
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="is no regular file"):
        follow(path, Tally())
