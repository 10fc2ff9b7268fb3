"""What is told is written in order, and runners' courses with it."""

from __future__ import annotations

import math
import os
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from journal_records import JOB, NAME, at, step, waited
from waiting import LIMIT_S, eventually

from supervisor.observation.feed import Kind, Record
from supervisor.recording import pruning
from tests.integration.gateways.journal.stand import (
    FEW,
    Stand,
    courses,
    events,
    note,
    running,
    worked,
)


def test_what_is_told_can_be_read_in_order_and_by_what_it_is_about(path: Path) -> None:
    with running(path) as stand:
        stand.tell("one", "two")
        stand.inbox.take(Record(at(5), Kind.ACTOR, "three", "crashed", "ready", "why", 2.0))
        eventually(lambda: stand.told() == ["one", "two", "three"])
        first, _, third = stand.read()
        assert third.record == Record(at(5), Kind.ACTOR, "three", "crashed", "ready", "why", 2.0)
        assert [e.record.subject for e in stand.read(after=first.id, limit=1)] == ["two"]
        assert [e.record.subject for e in stand.read(limit=1)] == ["three"]
        assert [e.record.subject for e in stand.read(since=at(1))] == ["three"]
        assert [e.record.subject for e in stand.read(runner="one")] == ["one"]
        assert [e.record.subject for e in stand.read(kind=Kind.ACTOR)] == ["three"]
    assert stand.stood == []


def test_where_there_is_a_lot_it_is_written_without_waiting_for_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A pruning that is due would end the waiting.
    monkeypatch.setattr(pruning, "_EVERY_S", math.inf)
    stand = Stand(path, gather_s=2 * LIMIT_S)
    stand.tell(*map(str, range(4 * FEW)))
    stand.start()
    try:
        eventually(lambda: stand.told()[-1:] == [str(4 * FEW - 1)])
    finally:
        stand.writer.stop(LIMIT_S)


def test_a_journal_that_was_never_written_holds_nothing(path: Path) -> None:
    assert events(path) == []
    assert courses(path) == []


def test_its_files_are_for_one_user_alone(path: Path) -> None:
    umask = os.umask(0)
    try:
        with running(path) as stand:
            stand.tell("one")
            eventually(stand.told)
            files = list(path.parent.glob(f"{path.name}*"))
            assert len(files) == 3
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    finally:
        os.umask(umask)


def test_what_is_told_last_is_written_at_an_orderly_end(path: Path) -> None:
    with running(path) as stand:
        stand.tell(*map(str, range(2500)))
    assert len(stand.read(after=0, limit=5000)) == 2500
    assert stand.inbox.lost == 0


def test_how_long_a_job_had_waited_is_added_to_the_course_that_has_ended(path: Path) -> None:
    with running(path) as stand:
        worked(stand.inbox)
    with running(path) as stand:
        stand.inbox.take(waited(105, 12.0))
    (course,) = courses(path)
    assert (course.queue_s, course.outcome) == (12.0, "done")


@pytest.mark.parametrize(
    ("told", "conclusion", "result"),
    [
        ("", "success", "Succeeded"),
        ("", "", ""),
        ("Succeeded", "failure", "Failed"),
        ("Succeeded", "", "Succeeded"),
        ("Refused", "failure", "Refused"),
    ],
)
def test_how_a_job_ended_by_githubs_word_is_added_to_its_course(
    path: Path, told: str, conclusion: str, result: str
) -> None:
    job = replace(JOB, result=told)
    with running(path) as stand:
        stand.inbox.take(step(0, "idle", "busy", job=asdict(job)))
        stand.inbox.take(step(9, "busy", "deleted", job=asdict(job)))
    with running(path) as stand:
        stand.inbox.take(waited(105, 12.0)._replace(state=conclusion))
    (course,) = courses(path)
    assert (course.job, course.queue_s) == (replace(JOB, result=result), 12.0)


def test_a_job_that_can_not_be_read_any_more_keeps_nothing_from_being_written(path: Path) -> None:
    with running(path) as stand:
        worked(stand.inbox)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE courses SET job = '{damaged'")
    with running(path) as stand:
        stand.inbox.take(waited(105, 12.0))
        stand.tell("later")
        eventually(lambda: stand.told()[-1] == "later")
        assert (stand.fault(), stand.inbox.lost) == ("", 0)
    with closing(sqlite3.connect(path)) as other:
        found = other.execute("SELECT job, queue_s FROM courses").fetchall()
    assert found == [("{damaged", 12.0)]


def test_of_a_runner_without_a_job_github_tells_nothing(path: Path) -> None:
    with running(path) as stand:
        stand.inbox.take(step(0, "idle", "deleted"))
        stand.inbox.take(waited(1, 12.0))
    assert [one.job for one in courses(path)] == [None]


def test_one_that_can_not_be_summed_up_or_written_is_the_only_one_lost(path: Path) -> None:
    with running(path) as stand:
        stand.tell("one")
        stand.inbox.take(note("no reason", reason=None))
        stand.inbox.take(step(0, "", "requested", job="no job"))
        stand.tell("two")
        eventually(lambda: stand.told() == ["one", NAME, "two"])
        assert stand.inbox.lost == 1
        stand.tell("three")
        eventually(lambda: stand.told()[-1] == "three")
        assert stand.fault() == ""
