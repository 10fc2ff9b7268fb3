"""What was decided of jobs: by the service, and by guests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from feeds import gathered
from loguru import logger

from supervisor.lifecycle import Job
from supervisor.observation.feed import Feed, Record
from supervisor.policy.verdicts import Verdicts
from supervisor.policy_service.decisions import Decision, DecisionLog
from supervisor.supervision import FakeClock

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
JOB = Job("acme/demo", event="push")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


@pytest.fixture
def verdicts(path: Path) -> Verdicts:
    return Verdicts(path, Feed())


def decide(path: Path, verdict: str, runner: str = "fleet-a", at: datetime = NOW) -> None:
    DecisionLog(path).write(Decision(at, runner, "acme/demo", "push", verdict, "why", 12, 3))


def test_what_the_service_has_let_run_is_known_when_its_log_was_read(
    verdicts: Verdicts, path: Path
) -> None:
    decide(path, "allowed")
    decide(path, "refused", "fleet-b")
    assert not verdicts.has_allowed("fleet-a")
    verdicts.read(FakeClock(NOW))
    assert verdicts.has_allowed("fleet-a")
    assert not verdicts.has_allowed("fleet-b")
    assert not verdicts.has_allowed("fleet-c")


def test_a_log_that_can_not_be_read_now_is_not_known_to_be_complete(
    verdicts: Verdicts, path: Path
) -> None:
    verdicts.read(FakeClock(NOW))
    assert verdicts.complete_since == NOW
    path.mkdir()
    with pytest.raises(OSError, match="no regular file"):
        verdicts.read(FakeClock(NOW))
    assert verdicts.complete_since is None
    path.rmdir()
    verdicts.read(FakeClock(NOW))
    assert verdicts.complete_since == NOW


def test_a_guest_is_heard_where_the_log_can_not_be_read(verdicts: Verdicts, path: Path) -> None:
    path.mkdir()
    said: list[str] = []
    sink = logger.add(said.append, format="{level} {extra[runner]} {message}")
    try:
        assert verdicts.hear("fleet-a", None, "no event", FakeClock(NOW))
    finally:
        logger.remove(sink)
    assert verdicts.guests == {"refused": 1}
    (line,) = said
    assert line.startswith("WARNING fleet-a what the policy service has said of fleet-a can't be")
    assert "no regular file" in line


def test_both_are_shown_in_their_order(verdicts: Verdicts, path: Path) -> None:
    decide(path, "allowed")
    verdicts.hear("fleet-b", JOB, "no event", FakeClock(NOW + timedelta(seconds=1)))
    decide(path, "refused", "fleet-c", NOW + timedelta(seconds=2))
    verdicts.read(FakeClock(NOW))
    shown = verdicts.last()
    assert [one["runner"] for one in shown] == ["fleet-a", "fleet-b", "fleet-c"]
    assert (shown[1]["repository"], shown[1]["event"]) == ("acme/demo", "push")


def test_however_many_guests_refuse_the_last_are_kept(verdicts: Verdicts) -> None:
    for number in range(2000):
        verdicts.hear(
            f"fleet-{number}", JOB, "no event", FakeClock(NOW + timedelta(seconds=number))
        )
    assert verdicts.guests == {"refused": 2000}
    assert len(verdicts.last()) == 20
    assert len(verdicts._heard) == 1000


def told_by(path: Path, since: datetime = NOW) -> tuple[Verdicts, Callable[[], list[Record]]]:
    feed = Feed()
    return Verdicts(path, feed, since), gathered(feed)


def test_each_decision_is_told_once(path: Path) -> None:
    verdicts, told = told_by(path)
    decide(path, "allowed")
    verdicts.read(FakeClock(NOW))
    decide(path, "refused", "fleet-b")
    verdicts.read(FakeClock(NOW))
    verdicts.read(FakeClock(NOW))
    assert [(one.subject, one.state) for one in told()] == [
        ("fleet-a", "allowed"),
        ("fleet-b", "refused"),
    ]
    assert told()[0].details == {
        "repository": "acme/demo", "event": "push", "seconds": 0.012, "by": "service",
    }  # fmt: skip


def test_what_an_earlier_daemon_has_told_is_not_told_again(path: Path) -> None:
    decide(path, "allowed", at=NOW - timedelta(seconds=1))
    verdicts, told = told_by(path)
    verdicts.read(FakeClock(NOW))
    assert told() == []


def test_what_is_decided_after_the_clock_was_set_back_is_told(path: Path) -> None:
    clock = FakeClock(NOW)
    verdicts, told = told_by(path)
    decide(path, "allowed", at=NOW - timedelta(seconds=1))
    verdicts.read(clock)
    clock.set_by(-3600)
    decide(path, "refused", "fleet-b", at=clock.now())
    verdicts.read(clock)
    assert [(one.subject, one.state, one.at) for one in told()] == [
        ("fleet-b", "refused", clock.now())
    ]


def test_a_log_that_is_read_again_from_its_beginning_tells_nothing_old(path: Path) -> None:
    decide(path, "allowed", at=NOW - timedelta(seconds=1))
    first = path.read_bytes()
    decide(path, "allowed", "fleet-b", at=NOW - timedelta(seconds=1))
    verdicts, told = told_by(path)
    verdicts.read(FakeClock(NOW))
    path.write_bytes(first)
    assert verdicts.read(FakeClock(NOW)).news
    assert told() == []


def test_a_log_is_complete_since_a_moment_that_no_set_clock_moves(path: Path) -> None:
    clock = FakeClock(NOW)
    verdicts, _ = told_by(path)
    clock.set_by(-3600)
    verdicts.read(clock)
    assert verdicts.complete_since == NOW
    decide(path, "allowed", at=clock.now())
    another, _ = told_by(path)
    clock.advance(60)
    another.read(clock)
    assert another.complete_since == NOW


def test_a_refusal_of_the_guest_alone_is_told_if_it_is_believed(path: Path) -> None:
    verdicts, told = told_by(path)
    verdicts.hear("fleet-a", JOB, "no event", FakeClock(NOW))
    verdicts.hear("fleet-a", JOB, "no event", FakeClock(NOW))
    decide(path, "allowed", "fleet-b")
    assert not verdicts.hear("fleet-b", JOB, "no event", FakeClock(NOW))
    assert [(one.subject, one.state, one.details["by"]) for one in told()] == [
        ("fleet-a", "refused", "guest"),
        ("fleet-b", "allowed", "service"),
    ]
