from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from supervisor.gateways import decision_log
from supervisor.gateways.decision_log import Tally, follow
from supervisor.policy_service.decisions import Decision, DecisionLog

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy" / "decisions.jsonl"


def write(
    path: Path,
    *verdicts: str,
    largest: int = 1 << 20,
    runner: str = "fleet-a",
    at: datetime = NOW,
) -> None:
    log = DecisionLog(path, largest)
    for verdict in verdicts:
        log.write(Decision(at, runner, "acme/demo", "push", verdict, "why", 12, 3))


def test_before_the_first_decision_there_is_nothing(path: Path) -> None:
    assert follow(path, Tally(), NOW) == Tally(complete_since=NOW)


def test_what_the_service_writes_is_counted_once(path: Path) -> None:
    write(path, "allowed", "refused")
    tally = follow(path, Tally(), NOW)
    assert tally.counts == {"allowed": 1, "refused": 1}
    assert tally.since == "2030-01-01T00:00:00.000+00:00"
    write(path, "allowed")
    tally = follow(path, follow(path, tally, NOW), NOW)
    assert tally.counts == {"allowed": 2, "refused": 1}
    assert tally.last[-1] == {
        "time": "2030-01-01T00:00:00.000+00:00", "runner": "fleet-a", "repository": "acme/demo",
        "event": "push", "verdict": "allowed", "reason": "why", "duration_ms": 12,
    }  # fmt: skip


def test_nothing_is_missed_when_the_file_is_put_aside(path: Path) -> None:
    write(path, "allowed")
    tally = follow(path, Tally(), NOW)
    write(path, "refused")
    write(path, "error", largest=1)
    tally = follow(path, tally, NOW)
    assert tally.counts == {"allowed": 1, "refused": 1, "error": 1}
    assert [one["verdict"] for one in tally.last] == ["allowed", "refused", "error"]


def test_a_line_that_is_being_written_is_read_when_it_is_whole(path: Path) -> None:
    write(path, "allowed")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    tally = follow(path, Tally(), NOW)
    path.write_bytes(whole + whole)
    assert follow(path, tally, NOW).counts == {"allowed": 2}


def test_words_that_nobody_knows_yet_are_kept_as_they_are(path: Path) -> None:
    write(path, "allowed")
    path.write_bytes(path.read_bytes().replace(b'"pass"', b'"skip"'))
    assert follow(path, Tally(), NOW).counts == {"skip": 1}


def test_what_is_no_decision_is_left_out(path: Path) -> None:
    write(path, "allowed")
    with path.open("ab") as log:
        log.write(b'7\n{}\n\xff\n[[[\n{"time": 1}\n\n')
    write(path, "refused")
    assert follow(path, Tally(), NOW).counts == {"allowed": 1, "refused": 1}


def test_no_more_than_the_last_are_kept(path: Path) -> None:
    write(path, *["allowed"] * 50, "refused")
    tally = follow(path, Tally(), NOW)
    assert tally.counts == {"allowed": 50, "refused": 1}
    assert len(tally.last) == 20
    assert tally.last[-1]["verdict"] == "refused"


def test_no_link_is_followed_and_no_pipe_is_waited_for(path: Path, tmp_path: Path) -> None:
    """The directory may be another user's."""
    path.parent.mkdir()
    path.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic link"):
        follow(path, Tally(), NOW)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="is no regular file"):
        follow(path, Tally(), NOW)


# What is known of each runner, and since when nothing has been missed.

LATER = NOW + timedelta(hours=1)


def test_what_was_decided_of_each_runner_is_known(path: Path) -> None:
    write(path, "allowed", runner="fleet-a")
    write(path, "refused", runner="fleet-b")
    decided = follow(path, Tally(), NOW).decided
    assert {name: one.verdict for name, one in decided.items()} == {
        "fleet-a": "allowed",
        "fleet-b": "refused",
    }


def test_at_first_all_files_are_read_and_complete_since_their_beginning(path: Path) -> None:
    for number in range(4):
        at = NOW + timedelta(minutes=number)
        write(path, "allowed", runner=f"fleet-{number}", at=at, largest=1)
    tally = follow(path, Tally(), LATER)
    assert list(tally.decided) == ["fleet-0", "fleet-1", "fleet-2", "fleet-3"]
    assert tally.complete_since == NOW


def test_a_log_that_begins_later_is_complete_since_it_was_first_looked_for(path: Path) -> None:
    tally = follow(path, Tally(), NOW)
    write(path, "allowed", at=LATER)
    assert follow(path, tally, LATER).complete_since == NOW


def test_files_that_were_turned_over_several_times_between_two_readings_are_read(
    path: Path,
) -> None:
    write(path, "allowed", runner="fleet-0")
    tally = follow(path, Tally(), NOW)
    for number in range(1, 4):
        write(path, "allowed", runner=f"fleet-{number}", largest=1)
    tally = follow(path, tally, LATER)
    assert len(tally.decided) == 4
    assert tally.complete_since == NOW


def test_more_than_are_kept_leaves_a_gap(path: Path) -> None:
    write(path, "allowed")
    tally = follow(path, Tally(), NOW)
    for number in range(6):  # the number of a file that is gone is given to another
        write(path, "allowed", largest=1, runner=f"fleet-{number}")
    tally = follow(path, tally, LATER)
    assert tally.complete_since == LATER
    assert follow(path, tally, LATER + timedelta(hours=1)).complete_since == LATER


@pytest.mark.parametrize("spoil", ["delete", "truncate", "scribble"])
def test_a_log_that_somebody_spoils_has_a_gap(path: Path, spoil: str) -> None:
    write(path, "allowed", "allowed")
    tally = follow(path, Tally(), NOW)
    assert tally.complete_since == NOW
    if spoil == "delete":
        path.unlink()
    elif spoil == "truncate":
        os.truncate(path, 3)
    else:
        with path.open("ab") as log:
            log.write(b'{"time": "half a li')
    write(path, "refused")
    assert follow(path, tally, LATER).complete_since == LATER


def test_what_is_yet_to_be_read_makes_it_incomplete(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, "allowed", runner="fleet-a")
    write(path, "allowed", runner="fleet-b")
    with monkeypatch.context() as patched:
        patched.setattr(decision_log, "_MOST_BYTES", path.stat().st_size // 2 + 10)
        tally = follow(path, Tally(), NOW)
    assert list(tally.decided) == ["fleet-a"]
    assert tally.complete_since is None
    tally = follow(path, tally, LATER)
    assert list(tally.decided) == ["fleet-a", "fleet-b"]
    assert tally.complete_since == LATER


def test_what_is_held_no_more_is_not_said_to_be_known(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_log, "_MOST_RUNNERS", 2)
    tally = follow(path, Tally(), NOW)
    for minute in range(4):
        write(path, "allowed", runner=f"fleet-{minute}", at=NOW + timedelta(minutes=minute))
        tally = follow(path, tally, LATER)
    assert list(tally.decided) == ["fleet-2", "fleet-3"]
    assert tally.complete_since == NOW + timedelta(minutes=1)


def test_the_times_in_the_log_are_taken_by_the_readers_clock(path: Path) -> None:
    set_by = timedelta(hours=-1)
    write(path, "allowed", at=NOW + set_by)
    tally = follow(path, Tally(), LATER, set_by)
    assert tally.complete_since == tally.decided["fleet-a"].at == NOW


def test_no_decision_is_of_a_time_that_is_yet_to_come(path: Path) -> None:
    write(path, "allowed", at=LATER)
    assert follow(path, Tally(), NOW).decided["fleet-a"].at == NOW


def test_a_time_that_can_not_be_is_taken_for_that_of_the_reading(path: Path) -> None:
    write(path, "allowed", at=datetime.min.replace(tzinfo=timezone.utc))
    assert follow(path, Tally(), NOW, timedelta(hours=1)).decided["fleet-a"].at == NOW


def test_what_follows_on_what_was_read_is_new_and_else_it_may_be_old(path: Path) -> None:
    write(path, "allowed")
    tally = follow(path, Tally(), NOW)
    assert not tally.is_continued
    with path.open("ab") as log:
        log.write(b"no decision\n")
    write(path, "refused")
    tally = follow(path, tally, NOW)
    assert (tally.is_continued, [one["verdict"] for one in tally.news]) == (True, ["refused"])
    os.truncate(path, 3)
    assert not follow(path, tally, NOW).is_continued
