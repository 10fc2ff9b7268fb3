"""What readers of the journal find, how soon, and past which rows."""

from __future__ import annotations

import math
import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from journal_records import JOB, at, step

from supervisor.gateways import journal_reader
from supervisor.gateways.journal_store import JournalStore
from supervisor.journal import Course, EventsQuestion, HistoryQuestion
from supervisor.journal.history import Percentiles
from supervisor.observation.feed import Kind
from tests.integration.gateways.journal.stand import FEW, courses, events, note, running


@pytest.mark.parametrize(
    "asked", [{}, {"runner": "first"}, {"after": FEW - 101}], ids=["newest", "runner", "after"]
)
def test_a_hundred_events_are_read_in_as_few_steps_of_a_long_journal_as_of_a_short_one(
    asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    for count in (FEW, 10 * FEW):
        path = tmp_path / f"{count}.sqlite"
        store = JournalStore(path)
        subjects = ["first"] * 100 + ["other"] * (count - 100)
        store.write([note(subject, number) for number, subject in enumerate(subjects)], [])
        store.close()
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE events SET id = id - (SELECT min(id) FROM events) + 1")
        with monkeypatch.context() as patched:
            taken = counted_steps(patched)
            assert len(events(path, limit=100, **asked)) == 100
        steps.append(len(taken))
    assert steps[0] == steps[1]


def counted_steps(patched: pytest.MonkeyPatch) -> list[None]:
    """Give what grows by one for each step of SQLite's machine, on connections yet to be made."""
    taken: list[None] = []
    connect = sqlite3.connect

    def counting(*given: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*given, **options)
        connection.set_progress_handler(lambda: taken.append(None), 1)
        return connection

    patched.setattr(sqlite3, "connect", counting)
    return taken


@pytest.fixture
def worn(path: Path) -> Path:
    """Have a journal with one event and one course of three that are none any more."""
    with running(path) as stand:
        for name in ("a", "b", "c"):
            stand.inbox.take(step(0, "", "requested", job=asdict(JOB))._replace(subject=name))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE events SET details = '{' WHERE subject = 'b'")
        other.execute("UPDATE courses SET created_at = ?, job = '{' WHERE name = 'b'", (2**62,))
        other.execute("UPDATE events SET reason = CAST(x'ff' AS TEXT) WHERE subject = 'c'")
    return path


def test_rows_that_are_none_are_passed_over_by_readers(worn: Path) -> None:
    found = events(worn)
    assert [event.record.subject for event in found] == ["a", "c"]
    assert found[1].record.reason == "\ufffd"
    assert {course.name for course in courses(worn)} == {"a", "c"}
    assert {course.name for course in courses(worn, repository=JOB.repository)} == {"a", "c"}


def test_who_follows_comes_past_a_row_that_is_none(worn: Path) -> None:
    first = events(worn)[0].id
    cut = journal_reader.events(worn, EventsQuestion(after=first, limit=1))
    assert (cut.events, cut.last, cut.more) == ([], first + 1, True)


def test_of_a_course_that_is_none_alone_nothing_is_known_any_more(worn: Path) -> None:
    with running(worn) as stand:
        for name in ("a", "b"):
            stand.inbox.take(step(30, "creating", "ready")._replace(subject=name))
    assert stand.stood == []
    found = {course.name: course.install_s for course in courses(worn)}
    assert found == {"a": 30.0, "b": None, "c": None}


def test_percentiles_are_those_of_what_each_course_says_of_itself(path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    made = [
        Course(
            f"fleet-{number}",
            **{
                moment: chance.choice([None, at(chance.randrange(10_000))])
                for moment in ("created_at", "installed_at", "left_at", "started_at", "finished_at")
            },
            ended_at=at(number),
            job=chance.choice([None, JOB]),
            queue_s=chance.choice([None, 1.5, 2.5]),
        )
        for number in range(200)
    ]
    store = JournalStore(path)
    store.write([], made)
    store.close()
    found = journal_reader.history(path, HistoryQuestion(limit=10))
    assert list(found.runners) == made[:-11:-1]
    jobs = [course for course in made if course.job]
    assert list(found.jobs) == jobs[:-11:-1]
    assert found.percentiles == {
        "install_s": percentiles(course.install_s for course in made),
        "idle_s": percentiles(course.idle_s for course in jobs),
        "job_s": percentiles(course.job_s for course in jobs),
        "queue_s": percentiles(course.queue_s for course in jobs),
    }


def percentiles(durations: Iterable[float | None]) -> Percentiles:
    known = sorted(one for one in durations if one is not None)
    p50, p90, p99 = (known[math.ceil(len(known) * share / 100) - 1] for share in (50, 90, 99))
    return Percentiles(p50, p90, p99, len(known))


def test_who_follows_what_is_rare_is_told_how_far_was_looked(path: Path) -> None:
    with running(path) as stand:
        stand.tell(*map(str, range(5)))
    numbers = [event.id for event in events(path)]
    for asked in ({"after": numbers[1]}, {"since": at(0)}, {}):
        rare = journal_reader.events(path, EventsQuestion(kind=Kind.RUNNER, **asked))
        assert (rare.events, rare.last) == ([], numbers[-1])
    cut = journal_reader.events(path, EventsQuestion(after=numbers[0], limit=2))
    assert (cut.last, cut.more) == (numbers[2], True)
    whole = journal_reader.events(path, EventsQuestion(after=numbers[0], limit=4))
    assert (whole.last, whole.more) == (numbers[4], False)
    newest = journal_reader.events(path, EventsQuestion(runner="3"))
    assert ([event.id for event in newest.events], newest.last) == (numbers[3:4], numbers[-1])
