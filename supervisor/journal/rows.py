"""Records and courses as rows of a database, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from supervisor.journal.courses import Course
from supervisor.journal.questions import Event
from supervisor.lifecycle import Job
from supervisor.observation.feed import Kind, Record

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)

EVENT_COLUMNS = Record._fields[:-1]  # without the names of all runners
COURSE_COLUMNS = (
    "name", "created_at", "installed_at", "left_at", "started_at", "finished_at", "ended_at",
    "stage", "outcome", "reason", "job", "verdict", "queue_s",
)  # fmt: skip
"""Without what only helps to go on with it."""
_TEXTS = frozenset({"name", "stage", "outcome", "reason", "verdict"})
_JOB = tuple(field.name for field in fields(Job))

Row = Sequence[Any]


class BadRow(ValueError):
    """It holds what nothing was made a row of: a disk, or somebody, has changed it."""


def of_moment(moment: datetime) -> int:
    """Give a moment in microseconds since 1970: whole numbers are compared exactly."""
    since = moment - _EPOCH
    # To divide one timedelta by another takes twice as long.
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment_of(number: int) -> datetime:
    """Give the moment of a number."""
    return _EPOCH + number * _MICROSECOND


def of_record(record: Record) -> Row:
    """Give a record's row, in the order of `EVENT_COLUMNS`."""
    return (
        of_moment(record.at),
        str(record.kind),
        _text(record.subject),
        _text(record.state),
        _text(record.before),
        _text(record.reason),
        float(record.lasted_s),
        _encode(record.details),
    )


def event_of(row: Row) -> Event:
    """Give the event of a row: its number, then what `of_record` has made.

    Raises:
        BadRow: it is none.
    """
    number, at, kind, subject, state, before, reason, lasted_s, details = row
    with _reading():
        record = Record(
            moment_of(at),
            Kind(kind),
            _word(subject),
            _word(state),
            _word(before),
            _word(reason),
            float(lasted_s),
            _decode(details),
        )
    return Event(number, record)


def of_course(course: Course) -> Row:
    """Give a course's row, in the order of `COURSE_COLUMNS`."""
    return (
        _text(course.name),
        _moment(course.created_at),
        _moment(course.installed_at),
        _moment(course.left_at),
        _moment(course.started_at),
        _moment(course.finished_at),
        _moment(course.ended_at),
        _text(course.stage),
        _text(course.outcome),
        _text(course.reason),
        _encode(vars(course.job)) if course.job else None,
        _text(course.verdict),
        course.queue_s,
    )


def course_of(row: Row) -> Course:
    """Give the course of a row that `of_course` has made.

    Raises:
        BadRow: it is none.
    """
    with _reading():
        given = {c: _read(c, value) for c, value in zip(COURSE_COLUMNS, row, strict=True)}
    return Course(**given)


@contextmanager
def _reading() -> Iterator[None]:
    """Say of whatever comes of what no text, number or JSON should be that it is a bad row."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadRow(str(error)) from error


def _read(column: str, value: Any) -> Any:
    if column in _TEXTS:
        return _word(value)
    if value is None:
        return None
    if column == "job":
        # Without what a later version may have noted of it.
        told = _decode(value)
        return Job(**{name: _word(told[name]) for name in _JOB if name in told})
    return moment_of(value) if column.endswith("_at") else float(value)


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _decode(text: str) -> dict[str, Any]:
    told = json.loads(text)
    if not isinstance(told, dict):
        raise TypeError(f"{text!r} is no object")
    return told


def _moment(moment: datetime | None) -> int | None:
    return of_moment(moment) if moment else None


def _encode(told: Mapping[str, Any]) -> str:
    """Give JSON. `json` takes what is no character too, in several times the time."""
    plain = told if isinstance(told, dict) else dict(told)
    try:
        return to_json(plain, fallback=str).decode()
    except PydanticSerializationError:
        return json.dumps(plain, default=str)


def _text(text: str) -> str:
    """Give a text as a database takes it: names of files may hold what is no character."""
    return text if text.isascii() else text.encode(errors="replace").decode()
