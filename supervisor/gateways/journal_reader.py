"""What the journal's file answers, on a connection of its own for each question: for any thread.

What is done with many rows is left to SQLite, which keeps no other thread waiting meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from supervisor.gateways.journal_schema import in_words, legible, readable, version_of
from supervisor.journal import rows
from supervisor.journal.courses import Course
from supervisor.journal.history import NOTHING, PERCENTS, History, Percentiles, rank
from supervisor.journal.questions import EventsAnswer, EventsQuestion, HistoryQuestion
from supervisor.observation.feed import Kind

T = TypeVar("T")

_PATIENCE_S = 0.5
_NEWEST_FIRST = "ORDER BY coalesce(ended_at, 9e18) DESC, created_at DESC LIMIT ?"
_OF_A_KNOWN_KIND = f"kind IN ({', '.join(repr(str(kind)) for kind in Kind)})"
_PLACES = ", ".join(f"(count * {percent} + 99) / 100" for percent in PERCENTS)
_OF_A_JOB = "job IS NOT NULL"


def events(path: Path, question: EventsQuestion) -> EventsAnswer:
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
    where = " AND ".join((_OF_A_KNOWN_KIND, *given))
    order = "DESC" if question.newest else "ASC"
    columns = ", ".join(("id", *rows.EVENT_COLUMNS))
    sql = f"SELECT {columns} FROM events WHERE {where} ORDER BY id {order} LIMIT ?"

    def ask(connection: sqlite3.Connection) -> EventsAnswer:
        (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
        found = connection.execute(sql, (*given.values(), question.limit + 1)).fetchall()
        seen = [row[0] for row in found]
        page = readable(path, found[: question.limit], rows.event_of)
        return question.answer(page, seen, newest)

    return _read(path, ask, question.answer([], [], 0))


def history(path: Path, question: HistoryQuestion) -> History:
    """Give the courses that are asked for, the newest first, and how long things took.

    Raises:
        JournalError: the file can't be read.
    """

    def ask(connection: sqlite3.Connection) -> History:
        table = _courses(connection)
        runners = _Chosen(path, connection, table, *_conditions(question))
        jobs = _Chosen(path, connection, table, f"{runners.where} AND {_OF_A_JOB}", runners.given)
        return History(
            jobs=jobs.newest(question.limit),
            runners=runners.newest(question.limit),
            percentiles={
                "install_s": runners.percentiles(_between("created_at", "installed_at")),
                "idle_s": jobs.percentiles(_between("installed_at", "started_at")),
                "job_s": jobs.percentiles(_between("started_at", "finished_at")),
                "queue_s": jobs.percentiles("queue_s"),
            },
        )

    return _read(path, ask, History())


@dataclass(frozen=True)
class _Chosen:
    """Those courses of a table that fulfil a condition."""

    path: Path
    connection: sqlite3.Connection
    table: str
    where: str
    given: Sequence[object]

    def newest(self, limit: int) -> list[Course]:
        sql = f"SELECT * FROM {self.table} WHERE {self.where} {_NEWEST_FIRST}"
        found = self.connection.execute(sql, (*self.given, limit))
        return readable(self.path, found, rows.course_of)

    def percentiles(self, lasted: str) -> Percentiles:
        known = f"SELECT {lasted} AS lasted FROM {self.table} WHERE {self.where}"
        sql = (
            "SELECT place, lasted, count FROM (SELECT lasted, count(*) OVER () AS count, "
            f"row_number() OVER (ORDER BY lasted) AS place FROM ({known}) "
            f"WHERE lasted IS NOT NULL) WHERE place IN ({_PLACES})"
        )
        found = self.connection.execute(sql, self.given).fetchall()
        if not found:
            return NOTHING
        count = found[0][2]
        by_place = {place: lasted for place, lasted, _ in found}
        p50, p90, p99 = (by_place[rank(percent, count)] for percent in PERCENTS)
        return Percentiles(p50, p90, p99, count)


def _conditions(question: HistoryQuestion) -> tuple[str, list[object]]:
    given: list[object] = []
    where = ["1"]
    if question.since:
        where.append("(ended_at IS NULL OR ended_at >= ?)")
        given.append(rows.of_moment(question.since))
    if question.repository:
        where.append("CASE WHEN json_valid(job) THEN json_extract(job, '$.repository') END = ?")
        given.append(question.repository)
    return " AND ".join(where), given


def _courses(connection: sqlite3.Connection) -> str:
    """Give a table of courses with all columns: a file of an earlier version lacks some."""
    there = {row[1] for row in connection.execute("PRAGMA table_info(courses)")}
    columns = (name if name in there else f"NULL AS {name}" for name in rows.COURSE_COLUMNS)
    return f"(SELECT {', '.join(columns)} FROM courses)"


def _between(begin: str, end: str) -> str:
    """Give the seconds between two moments, as `Course` has them."""
    return f"max(0, {end} - {begin}) / 1e6"


def _read(path: Path, ask: Callable[[sqlite3.Connection], T], nothing: T) -> T:
    """Ask a journal something, all of one moment; one that is not there holds nothing.

    Raises:
        JournalError: it can't be read.
    """
    if not path.exists():
        return nothing
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_S)
        ) as connection:
            connection.text_factory = legible
            connection.execute("BEGIN")
            return ask(connection) if version_of(connection, path) else nothing
    except sqlite3.Error as error:
        raise in_words(path, error) from error
