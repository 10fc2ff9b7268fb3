"""What the journal's file answers, on a connection of its own for each question: for any thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from supervisor.gateways.journal_store import JournalCorrupt, read
from supervisor.journal import rows
from supervisor.journal.courses import Course
from supervisor.journal.questions import Event, EventsQuestion, HistoryQuestion

T = TypeVar("T")

_MOST_COURSES = 200_000
"""More than any fleet has in a month; each is held in memory while percentiles are told."""


def events(path: Path, question: EventsQuestion) -> list[Event]:
    """Give the events that are asked for, the oldest first.

    Raises:
        JournalError: the file can't be read.
    """
    conditions = {
        "id > ?": question.after,
        "at >= ?": rows.of_moment(question.since) if question.since else None,
        "subject = ?": question.runner or None,
        "kind = ?": str(question.kind) if question.kind else None,
    }
    given = {sql: value for sql, value in conditions.items() if value is not None}
    where = " AND ".join(given) or "1"
    order = "DESC" if question.newest else "ASC"
    columns = ", ".join(("id", *rows.EVENT_COLUMNS))
    sql = f"SELECT {columns} FROM events WHERE {where} ORDER BY id {order} LIMIT ?"  # noqa: S608

    def ask(connection: sqlite3.Connection) -> list[rows.Row]:
        return connection.execute(sql, (*given.values(), question.limit)).fetchall()

    found = _parsed(path, rows.event_of, read(path, ask))
    return found[::-1] if question.newest else found


def courses(path: Path, question: HistoryQuestion) -> list[Course]:
    """Give the courses that are asked for, the newest first.

    Raises:
        JournalError: the file can't be read.
    """
    given: list[object] = []
    where = ["1"]
    if question.since:
        where.append("(ended_at IS NULL OR ended_at >= ?)")
        given.append(rows.of_moment(question.since))
    if question.repository:
        where.append("json_extract(job, '$.repository') = ?")
        given.append(question.repository)
    sql = (
        f"SELECT * FROM courses WHERE {' AND '.join(where)} "  # noqa: S608 - constants
        "ORDER BY coalesce(ended_at, 9e18) DESC, created_at DESC LIMIT ?"
    )

    def ask(connection: sqlite3.Connection) -> list[rows.Row]:
        return connection.execute(sql, (*given, _MOST_COURSES)).fetchall()

    return _parsed(path, rows.course_of, read(path, ask))


def _parsed(path: Path, parse: Callable[[rows.Row], T], found: list[rows.Row]) -> list[T]:
    try:
        return [parse(row) for row in found]
    except ValueError as error:
        raise JournalCorrupt(f"{path} is damaged: {error}") from error
