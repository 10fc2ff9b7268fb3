"""Records and courses as rows of a database, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from supervisor.feed import Kind, Record
from supervisor.journal.courses import Course
from supervisor.journal.questions import Event
from supervisor.lifecycle import Job

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)

EVENT_COLUMNS = Record._fields[:-1]  # without the names of all runners
COURSE_COLUMNS = Course._fields[:-1]  # without what only helps to go on with it
_JOB = tuple(field.name for field in fields(Job))

Row = Sequence[Any]


def of_moment(moment: datetime) -> int:
    """Give a moment in microseconds since 1970: whole numbers are compared exactly."""
    return (moment - _EPOCH) // _MICROSECOND


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
        ValueError: it is none.
    """
    number, at, kind, subject, state, before, reason, lasted_s, details = row
    record = Record(
        moment_of(at), Kind(kind), subject, state, before, reason, lasted_s, json.loads(details)
    )
    return Event(number, record)


def of_course(course: Course) -> Row:
    """Give a course's row, in the order of `COURSE_COLUMNS`."""
    return tuple(map(_stored, course[:-1]))


def course_of(row: Row) -> Course:
    """Give the course of a row that `of_course` has made.

    Raises:
        ValueError: it is none.
    """
    given = dict(zip(COURSE_COLUMNS, row, strict=True))
    for column, value in given.items():
        if column.endswith("_at") and value is not None:
            given[column] = moment_of(value)
    given["job"] = _job(given["job"])
    return Course(**given)


def _job(text: str | None) -> Job | None:
    """Read a job, without what a later version may have noted of it."""
    if text is None:
        return None
    told = json.loads(text)
    if not isinstance(told, dict):
        raise ValueError(f"{text!r} is no job")  # noqa: TRY004 - the row is at fault, no caller
    return Job(**{name: told[name] for name in _JOB if name in told})


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return of_moment(value)
    if isinstance(value, Job):
        return _encode(vars(value))
    return _text(value) if isinstance(value, str) else value


def _encode(told: Mapping[str, Any]) -> str:
    """Give JSON. `json` takes what is no character too, in several times the time."""
    try:
        return to_json(dict(told), fallback=str).decode()
    except PydanticSerializationError:
        return json.dumps(dict(told), default=str)


def _text(text: str) -> str:
    """Give a text as a database takes it: names of files may hold what is no character."""
    return text if text.isascii() else text.encode(errors="replace").decode()
