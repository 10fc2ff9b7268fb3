"""Rows hold all that records and courses do."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.journal import rows
from supervisor.journal.courses import Course
from supervisor.lifecycle import Job
from supervisor.observation.feed import Kind, Record

WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
MOMENTS = st.timedeltas(timedelta(days=-20_000), timedelta(days=20_000)).map(NOW.__add__)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.builds(
    Record,
    at=MOMENTS,
    kind=st.sampled_from(Kind),
    subject=WORDS,
    state=WORDS,
    before=WORDS,
    reason=WORDS,
    lasted_s=st.floats(0, 1e9),
    details=st.dictionaries(WORDS, JSON, max_size=4),
    runners=st.just(frozenset()),
)
MAYBE = st.none() | MOMENTS
COURSES = st.builds(
    Course,
    moved_at=st.none(),
    name=WORDS,
    created_at=MAYBE,
    installed_at=MAYBE,
    left_at=MAYBE,
    started_at=MAYBE,
    finished_at=MAYBE,
    ended_at=MAYBE,
    stage=WORDS,
    outcome=WORDS,
    reason=WORDS,
    job=st.none() | st.builds(Job, *[WORDS] * 6),
    verdict=WORDS,
    queue_s=st.none() | st.floats(0, 1e9),
)


@given(RECORDS)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    event = rows.event_of((7, *rows.of_record(record)))
    assert (event.id, event.record) == (7, record)


def test_the_row_of_a_reconcile_is_no_longer_for_a_thousand_runners() -> None:
    few, many = (
        Record(NOW, Kind.RECONCILE, "fleet", "done", runners=frozenset(map(str, range(count))))
        for count in (10, 1000)
    )
    assert rows.of_record(few) == rows.of_record(many)


@given(COURSES)
def test_a_course_comes_back_as_it_was(course: Course) -> None:
    assert rows.course_of(rows.of_course(course)) == course


def test_what_a_later_version_notes_of_a_job_is_passed_over() -> None:
    row = list(rows.of_course(Course("a", job=Job("acme/demo"))))
    column = rows.COURSE_COLUMNS.index("job")
    row[column] = row[column].replace("{", '{"later": 1, ', 1)
    assert rows.course_of(row) == Course("a", job=Job("acme/demo"))


@given(MOMENTS, MOMENTS)
def test_moments_are_ordered_as_their_numbers_are(one: datetime, other: datetime) -> None:
    assert (one < other) == (rows.of_moment(one) < rows.of_moment(other))


def test_a_moment_of_another_time_zone_is_the_same_moment() -> None:
    zone = timezone(timedelta(hours=2))
    moment = datetime(2030, 1, 1, 2, tzinfo=zone)
    assert rows.moment_of(rows.of_moment(moment)) == moment


def test_what_is_no_character_does_not_stop_the_writing() -> None:
    row = rows.of_record(Record(datetime.now(timezone.utc), Kind.ORDER, "\udcff", "a", reason="é"))
    assert "?" in row
    assert "é" in row


def test_details_that_hold_what_is_no_character_come_back() -> None:
    record = Record(datetime.now(timezone.utc), Kind.ORDER, "a", "b", details={"file": "\udcffé"})
    assert rows.event_of((1, *rows.of_record(record))).record.details == {"file": "\udcffé"}


def test_details_that_are_no_json_are_kept_as_their_words() -> None:
    record = Record(datetime.now(timezone.utc), Kind.ORDER, "a", "b", details={"zone": 1j})
    assert rows.event_of((1, *rows.of_record(record))).record.details == {"zone": "1j"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", 2**62),
        ("at", "nonsense"),
        ("kind", "nonsense"),
        ("subject", b"\xff"),
        ("reason", 7),
        ("lasted_s", "nonsense"),
        ("details", "{"),
        ("details", "[]"),
        ("details", "[" * 100_000),
        ("details", None),
    ],
)
def test_a_row_that_is_no_record_is_bad(column: str, value: object) -> None:
    row = list(rows.of_record(Record(NOW, Kind.ORDER, "flush", "ordered")))
    row[rows.EVENT_COLUMNS.index(column)] = value
    with pytest.raises(rows.BadRow):
        rows.event_of((1, *row))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("name", b"\xff"),
        ("created_at", 2**62),
        ("ended_at", "nonsense"),
        ("stage", None),
        ("job", "{"),
        ("job", '["nonsense"]'),
        ("job", '{"repository": 7}'),
        ("queue_s", "nonsense"),
    ],
)
def test_a_row_that_is_no_course_is_bad(column: str, value: object) -> None:
    row = list(rows.of_course(Course("a")))
    row[rows.COURSE_COLUMNS.index(column)] = value
    with pytest.raises(rows.BadRow):
        rows.course_of(row)
