"""What the journal makes of what daemons before and after this one have written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from journal_records import JOB, NAME, NOW, at, reconcile, step, waited
from waiting import eventually

from supervisor.gateways.journal_schema import VERSION, JournalError
from tests.integration.gateways.journal.stand import courses, events, locked, running, worked


def test_the_course_of_a_runner_goes_on_after_a_restart(path: Path) -> None:
    work = {"job": asdict(JOB)}
    with running(path) as stand:
        for record in (step(0, "", "requested"), step(30, "creating", "ready")):
            stand.inbox.take(record)
        stand.inbox.take(step(40, "ready", "busy", **work))
    with running(path) as stand:
        stand.inbox.take(step(60, "", "busy", adopted=True, since=at(40).isoformat(), **work))
        stand.inbox.take(step(100, "busy", "finished", **work))
        stand.inbox.take(step(101, "finished", "deleted", **work))
    (course,) = courses(path)
    assert (course.name, course.outcome, course.job) == (NAME, "done", JOB)
    assert (course.install_s, course.idle_s, course.job_s) == (30.0, 10.0, 60.0)
    assert courses(path, repository="acme/demo") == [course]
    assert courses(path, repository="acme/other") == []
    assert courses(path, since=at(101)) == [course]
    assert courses(path, since=at(102)) == []


def test_a_journal_of_the_first_version_can_be_read_and_goes_on(path: Path) -> None:
    with running(path) as stand:
        worked(stand.inbox)
    with closing(sqlite3.connect(path)) as other:
        other.execute("ALTER TABLE courses DROP COLUMN queue_s")
        other.execute("PRAGMA user_version=1")
    (course,) = courses(path)
    assert (course.name, course.queue_s) == (NAME, None)
    with running(path) as stand:
        stand.inbox.take(waited(105, 12.0))
    assert stand.fault() == ""
    (course,) = courses(path)
    assert (course.queue_s, course.job_s, course.outcome) == (12.0, 60.0, "done")


def test_a_daemon_that_was_set_back_goes_on_with_a_file_to_which_a_later_one_has_added(
    path: Path,
) -> None:
    with running(path) as stand:
        stand.inbox.take(step(0, "", "requested"))
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version={VERSION + 1}")
        other.execute("ALTER TABLE courses ADD COLUMN colour TEXT")
        other.execute("ALTER TABLE events ADD COLUMN colour TEXT")
        other.execute("UPDATE courses SET colour = 'red', job = '{\"later\": 1}'")
        later = "INSERT INTO events SELECT id + 1, at, 'later', 'x', '', '', '', 0, '{}', 'red'"
        other.execute(f"{later} FROM events")
        other.commit()
    with running(path) as stand:
        stand.inbox.take(step(30, "creating", "ready"))
        eventually(lambda: len(stand.told()) == 2)
    assert stand.stood == []
    assert [event.record.state for event in events(path)] == ["requested", "ready"]
    (course,) = courses(path)
    assert course.install_s == 30.0
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT colour FROM courses").fetchall() == [("red",)]


def test_kinds_of_events_that_only_a_later_daemon_knows_are_not_counted_and_not_told_of(
    path: Path, warned: list[str]
) -> None:
    with running(path) as stand:
        stand.tell("one", "two")
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(
            "INSERT INTO events SELECT id + 10, at, 'later', 'x', '', '', '', 0, '{}' FROM events"
        )
    assert [event.record.subject for event in events(path, limit=2)] == ["one", "two"]
    assert warned == []


def test_a_later_file_that_is_of_no_use_is_kept_whole_under_its_version(path: Path) -> None:
    with running(path) as stand:
        stand.tell("one")
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version=1000")
    with pytest.raises(JournalError, match="of a later version, 1000"):
        events(path)
    with running(path) as stand:
        stand.tell("two")
        eventually(lambda: stand.stood and stand.told() == ["two"])
        assert "of a later version" in stand.stood[-1].warning
        assert "damaged" not in stand.stood[-1].warning
    kept = path.with_name(f"{path.name}.v1000")
    with closing(sqlite3.connect(kept)) as other:
        assert other.execute("SELECT subject FROM events").fetchall() == [("one",)]


def test_what_an_earlier_daemon_has_left_is_read_though_another_writes(path: Path) -> None:
    with running(path) as stand:
        stand.inbox.take(step(0, "", "requested"))
    with running(path) as stand, locked(path):
        stand.inbox.take(step(40, "", "ready", adopted=True, since=at(30).isoformat()))
        eventually(stand.fault)
    assert [course.install_s for course in courses(path)] == [30.0]


def test_what_an_earlier_daemon_has_left_is_read_as_soon_as_it_can_be(path: Path) -> None:
    work = {"job": asdict(JOB)}
    with running(path) as stand:
        stand.inbox.take(step(0, "", "requested"))
        stand.inbox.take(step(0, "", "requested")._replace(subject="fleet-b"))
        stand.inbox.take(step(30, "creating", "ready"))
    aside = path.rename(path.with_name("aside"))
    path.mkdir()
    with running(path) as stand:
        since = at(35).isoformat()
        stand.inbox.take(step(40, "", "busy", adopted=True, since=since, job_s=5.0, **work))
        stand.inbox.take(step(60, "busy", "deleted", **work))
        eventually(stand.fault)
        path.rmdir()
        aside.rename(path)
        eventually(lambda: not stand.fault())
        stand.inbox.take(step(70, "creating", "ready")._replace(subject="fleet-b"))
    found = {course.name: course for course in courses(path)}
    assert (found[NAME].install_s, found[NAME].idle_s, found[NAME].job_s) == (30.0, 5.0, 25.0)
    assert found["fleet-b"].install_s == 70.0


def left_at_work(path: Path) -> None:
    """Have a daemon end while two runners are there, one of them at work."""
    with running(path) as stand:
        stand.inbox.take(step(0, "ready", "idle")._replace(subject="fleet-b"))
        stand.inbox.take(step(0, "idle", "busy", job=asdict(JOB)))


def ends(path: Path) -> list[tuple[float, str, str, str, str]]:
    found = [event.record for event in events(path, kind="runner") if event.record.state == "gone"]
    return [
        ((one.at - NOW).total_seconds(), one.subject, one.before, one.reason, one.details["job"])
        for one in found
    ]


GONE = [(70.0, NAME, "busy", "its end was not seen", asdict(JOB))]


def test_an_end_while_no_daemon_listened_is_told_of_once(path: Path, said: list[str]) -> None:
    left_at_work(path)
    for begin in (60, 100):
        with running(path) as stand:
            for seconds in (begin, begin + 10):
                stand.inbox.take(reconcile(seconds, runners=["fleet-b"]))
                stand.tell("later")
    assert ends(path) == GONE
    (told,) = [index for index, event in enumerate(events(path)) if event.record.state == "gone"]
    assert [event.record.subject for event in events(path)[told - 1 : told + 2]] == [
        "fleet", NAME, "later",
    ]  # fmt: skip
    assert [event.record.state for event in events(path, runner=NAME)] == ["busy", "gone"]
    assert said == [f"INFO {NAME} gone: its end was not seen (acme/demo CI build)\n"]


def test_it_is_told_of_though_the_journal_can_be_read_only_after_the_reconciles(
    path: Path, said: list[str]
) -> None:
    left_at_work(path)
    aside = path.rename(path.with_name("aside"))
    path.mkdir()
    with running(path) as stand:
        stand.inbox.take(reconcile(60, runners=["fleet-b"]))
        stand.inbox.take(reconcile(70, runners=["fleet-b"]))
        eventually(stand.fault)
        path.rmdir()
        aside.rename(path)
        eventually(lambda: not stand.fault())
    assert ends(path) == GONE
    assert said == [f"INFO {NAME} gone: its end was not seen (acme/demo CI build)\n"]


def test_it_is_told_of_as_soon_as_a_journal_that_is_locked_can_be_written(path: Path) -> None:
    left_at_work(path)
    with running(path) as stand:
        with locked(path):
            stand.inbox.take(reconcile(60, runners=["fleet-b"]))
            stand.inbox.take(reconcile(70, runners=["fleet-b"]))
            eventually(stand.fault)
            assert ends(path) == []
        eventually(lambda: ends(path) == GONE)
