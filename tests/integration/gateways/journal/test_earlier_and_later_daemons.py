"""What the journal makes of what daemons before and after this one have written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from journal_records import JOB, NAME, at, step, waited
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
