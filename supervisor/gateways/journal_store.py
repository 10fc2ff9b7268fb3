"""The journal's file: SQLite, written by one thread, read by others on connections of their own.

A kill at any point loses what was not committed yet, and nothing else: SQLite's write-ahead log
sees to that. After a power cut the last seconds may be missing: commits do not wait for the disk.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from loguru import logger

from supervisor.gateways.journal_schema import (
    JournalCorrupt,
    in_words,
    legible,
    migrate,
    readable,
)
from supervisor.journal import rows
from supervisor.journal.courses import Course
from supervisor.lifecycle.results import REFUSED, result_of
from supervisor.observation.feed import Kind, Record

T = TypeVar("T")

_PATIENCE_S = 0.5
_STEP = 500
"""Rows that are deleted at once."""
_PAGES = 256
"""That are given back to the disk each time, 1 MiB: a file of 256 MiB shrinks within hours."""
_WAL_BYTES = 4 << 20
"""From which on the write-ahead log is cut when all of it is in the file."""
_SIBLINGS = ("", "-wal", "-shm")

_COURSE_COLUMNS = ", ".join(rows.COURSE_COLUMNS)
_ELSE_REPLACE = " ON CONFLICT (name) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in rows.COURSE_COLUMNS
)
"""What a later version has noted of a course stays."""
_ROWS_AT_ONCE = 16
"""With each statement this thread lets go of the interpreter, and has to wait for it again."""
_LEARN_QUEUE = "UPDATE courses SET queue_s = ? WHERE name = ?"
_LEARN_RESULT = (
    "UPDATE courses SET job = json_set(job, '$.result', ?) WHERE name = ? AND "
    f"CASE WHEN json_valid(job) THEN json_extract(job, '$.result') IS NOT '{REFUSED}' END"
)
"""As `results.learnt`, also of one that has ended long ago.

A cell that a disk, or somebody, has damaged is left as it is: to read it as JSON would fail, and
with it all that is written at once. Of CASE, not of AND, SQLite promises to look no further then.
"""
_LAST_NUMBER = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
_NUMBER_ABOVE = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'events' AND seq < ?1"
_OPEN_COURSES = f"SELECT {_COURSE_COLUMNS} FROM courses WHERE ended_at IS NULL"


@dataclass(frozen=True)
class Keeping:
    """How much is kept: what is older goes, and the oldest of what is too much.

    Attributes:
        retention: how old it gets.
        most_bytes: how large the file gets.
    """

    retention: timedelta
    most_bytes: int


class JournalStore:
    """The file, opened when it is first needed, and again after it has failed. For one thread.

    Args:
        path: of the file; its directory is made with it.
        notice: is told when the file is another than before, and nobody here has seen to that.
    """

    def __init__(self, path: Path, notice: Callable[[str], object] = lambda _: None) -> None:
        self._path = path
        self._notice = notice
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._gone = ""
        self._last_number = 0

    def write(self, records: Sequence[Record], courses: Iterable[Course]) -> int:
        """Add records and replace courses: all of which rows can be made, or none.

        What GitHub tells of a job goes into its runner's course, also if that has ended long ago.

        Returns:
            How many were not made rows of; the log says why.

        Raises:
            JournalError: they can't be written now; nothing has changed.
        """
        lost = _Lost()
        events = lost.rows(rows.of_record, records)
        changed = lost.rows(rows.of_course, courses)
        told = [one for one in records if one.kind is Kind.JOB]
        queues = lost.rows(_queue, told)
        results = [(result_of(one.state), one.subject) for one in told if one.state]
        with self._transaction() as connection:
            _insert(connection, "events", rows.EVENT_COLUMNS, events)
            _insert(connection, "courses", rows.COURSE_COLUMNS, changed, _ELSE_REPLACE)
            connection.executemany(_LEARN_QUEUE, queues)
            connection.executemany(_LEARN_RESULT, results)
            self._last_number = _last_number(connection)
        return lost.count

    def open_courses(self) -> list[Course]:
        """Give the courses that have not ended, also while another writes.

        Raises:
            JournalError: they can't be read.
        """
        with self._translated() as connection:
            return readable(self._path, connection.execute(_OPEN_COURSES), rows.course_of)

    def prune(self, keeping: Keeping, now: datetime | None) -> bool:
        """Let go of some of what is too old or too much, and give its room back.

        Args:
            keeping: how much stays.
            now: aware; None where that is not known for certain, so that nothing is too old.

        Returns:
            Whether there is more to let go of: each step is short, so that writing never waits.

        Raises:
            JournalError: it can't be done now.
        """
        with self._transaction() as connection:
            gone = _delete_before(connection, now - keeping.retention) if now else 0
            if not gone and _used_bytes(connection) > keeping.most_bytes:
                gone = _delete_oldest(connection)
        with self._translated() as connection:
            # `execute` would do the first step of it alone, which frees one page.
            connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")
        return gone > 0

    def check(self) -> None:
        """Read the whole file, as a reader has found a fault in it.

        Raises:
            JournalCorrupt: it has one.
            JournalError: it can't be read now.
        """
        self.close()  # what this connection has read it would find as it was
        with self._translated() as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise JournalCorrupt(f"{self._path} is damaged: {found}")

    def set_aside(self, mark: str) -> Path:
        """Put a file that can't be used out of the way, in place of an earlier one like it.

        Args:
            mark: what is added to its name.

        Raises:
            OSError: it can't be.
        """
        self.close()
        self._file = None
        self._last_number = max(self._last_number, _last_number_in(self._path))
        aside = self._path.with_name(f"{self._path.name}.{mark}")
        for sibling in _SIBLINGS:
            with suppress(FileNotFoundError):
                Path(f"{self._path}{sibling}").replace(f"{aside}{sibling}")
        return aside

    def close(self) -> None:
        """Let go of the file."""
        connection, self._connection = self._connection, None
        if connection:
            with suppress(sqlite3.Error):
                connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[sqlite3.Connection]:
        """Give the connection; one that has failed in any way is not used again."""
        try:
            yield self._opened()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise in_words(self._path, error) from error
        except Exception:
            self.close()  # it may be in the middle of a transaction
            raise

    def _opened(self) -> sqlite3.Connection:
        found = _identity(self._path)
        if self._file and found != self._file:
            self._gone = _gone(self._path, is_another_there=found is not None)
            self._file = None
            self.close()
        if self._connection is None:
            # In another file numbers go on where they were: followers miss nothing.
            self._connection = _connect(self._path, 0 if self._file else self._last_number)
            self._file = _identity(self._path)
            self._last_number = _last_number(self._connection)
            if self._gone:
                self._notice(self._gone)
                self._gone = ""
        return self._connection


class _Lost:
    """Counts what can't be made a row of, and says why in the log."""

    def __init__(self) -> None:
        self.count = 0

    def rows(self, make: Callable[[T], rows.Row], given: Iterable[T]) -> Iterator[rows.Row]:
        """Give a row of each of which one can be made, as it is asked for: none is kept."""
        for one in given:
            try:
                row = make(one)
            except Exception as error:  # noqa: BLE001 - the others can be written
                self.count += 1
                logger.opt(exception=error).error("some events could not be written down")
            else:
                yield row


def _gone(path: Path, *, is_another_there: bool) -> str:
    """Say that somebody has taken the file away."""
    if is_another_there:
        return f"{path} is another file now; what was in the one before is not shown any more"
    return f"{path} was removed, and a new one was begun; what was in it is not shown any more"


def _queue(record: Record) -> rows.Row:
    """Give how long a job was queued, and whose that was."""
    return float(record.details["queue_s"]), record.subject


def _connect(path: Path, numbers_above: int) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # For this user alone, whatever the umask; SQLite gives its other files the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)
    try:
        connection.text_factory = legible
        # Can only be set in a file without tables, and before anything else is.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}").fetchall()
        migrate(connection, path)
        if numbers_above:
            connection.execute(_NUMBER_ABOVE, (numbers_above,))
    except BaseException:
        connection.close()
        raise
    return connection


def _insert(
    connection: sqlite3.Connection,
    table: str,
    columns: Sequence[str],
    given: Iterator[rows.Row],
    otherwise: str = "",
) -> None:
    """Add rows, many at once, and what is left of them one by one.

    So there are two statements for each table, which SQLite keeps. To make another for what is left
    takes longer than it saves.
    """
    insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
    row = f"({', '.join('?' * len(columns))})"
    many = f"{insert}{', '.join([row] * _ROWS_AT_ONCE)}{otherwise}"
    while len(some := list(islice(given, _ROWS_AT_ONCE))) == _ROWS_AT_ONCE:
        connection.execute(many, list(chain.from_iterable(some)))
    connection.executemany(f"{insert}{row}{otherwise}", some)


def _delete_before(connection: sqlite3.Connection, moment: datetime) -> int:
    """Delete some of what is older."""
    before = rows.of_moment(moment)
    events = connection.execute(
        "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ? ORDER BY at LIMIT ?)",
        (before, _STEP),
    ).rowcount
    courses = connection.execute(
        "DELETE FROM courses WHERE name IN (SELECT name FROM courses WHERE ended_at < ? LIMIT ?)",
        (before, _STEP),
    ).rowcount
    return events + courses


def _delete_oldest(connection: sqlite3.Connection) -> int:
    """Delete some of the oldest events, and ended courses of a time of which none is left."""
    events = connection.execute(
        "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?)", (_STEP,)
    ).rowcount
    courses = connection.execute(
        "DELETE FROM courses WHERE name IN (SELECT name FROM courses "
        "WHERE ended_at < coalesce((SELECT min(at) FROM events), 9e18) LIMIT ?)",
        (_STEP,),
    ).rowcount
    return events + courses


def _used_bytes(connection: sqlite3.Connection) -> int:
    """Say how large the file is, without what is free in it."""
    names = ("page_count", "freelist_count", "page_size")
    count, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int((count - free) * size)


def _last_number_in(path: Path) -> int:
    """Give the number of the last event in a file; 0 if that can't be read any more."""
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE_S)) as connection:
            return _last_number(connection)
    except (sqlite3.Error, TypeError, ValueError):
        return 0


def _last_number(connection: sqlite3.Connection) -> int:
    found = connection.execute(_LAST_NUMBER).fetchone()
    return int(found[0]) if found else 0


def _identity(path: Path) -> tuple[int, int] | None:
    """Say which file it is; None if there is none. No other is given that of one that is open."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
