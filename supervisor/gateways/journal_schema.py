"""What the journal's file looks like, and how one of another version is met.

Versions of the same thousand only add: tables, columns that may be empty, kinds of events, and what
is in them. So a daemon that was set back goes on with the file of the later one: it names the
columns that it means, and passes over what it does not know.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from loguru import logger

from supervisor.journal import rows

T = TypeVar("T")

VERSION = 2
_SAME = 1000
"""Versions that only add to one another: those of one thousand."""

_SCHEMA = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL,
    before TEXT NOT NULL,
    reason TEXT NOT NULL,
    lasted_s REAL NOT NULL,
    details TEXT NOT NULL
);
INSERT INTO sqlite_sequence (name, seq)
SELECT 'events', CAST(strftime('%s', 'now') AS INTEGER) * 1000;
CREATE INDEX events_at ON events (at);
CREATE INDEX events_subject ON events (subject, id);
CREATE TABLE courses (
    name TEXT PRIMARY KEY,
    created_at INTEGER,
    installed_at INTEGER,
    left_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    ended_at INTEGER,
    stage TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    job TEXT,
    verdict TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX courses_ended ON courses (ended_at);
"""
"""Numbers begin above those of an earlier file that was set aside: followers miss nothing."""

_QUEUES = "ALTER TABLE courses ADD COLUMN queue_s REAL"

_MIGRATIONS: tuple[str, ...] = (_SCHEMA, _QUEUES)
"""What brings a file from each version to the next of the first thousand."""


class JournalError(Exception):
    """The journal can't be written or read now; the message says why."""


class JournalCorrupt(JournalError):
    """What is in the file is no journal, or not any more."""


class JournalTooNew(JournalError):
    """It is a later daemon's, and of no use to this one.

    Attributes:
        version: of the file.
    """

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(f"{path} is of a later version, {version}, than this one knows: {VERSION}")
        self.version = version


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Give the version of a file that can be used; 0 of one that holds nothing yet.

    Raises:
        JournalTooNew: it can't be.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version // _SAME > VERSION // _SAME:
        raise JournalTooNew(path, version)
    return int(version)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file to this version; one that is later stays so.

    Raises:
        JournalTooNew: it can't be used.
    """
    version = version_of(connection, path)
    for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
        statements = [one for one in script.split(";") if one.strip()]
        for statement in ("BEGIN IMMEDIATE", *statements, f"PRAGMA user_version={number}"):
            connection.execute(statement)
        connection.execute("COMMIT")


def legible(text: bytes) -> str:
    """Read a text of a row, also one that is broken: SQLite itself would refuse it, and all else.

    For `sqlite3.Connection.text_factory`.
    """
    return text.decode(errors="replace")


def readable(path: Path, found: Iterable[rows.Row], read: Callable[[rows.Row], T]) -> list[T]:
    """Give what rows hold, without those that hold nothing of it: of each the log has a line."""
    made = []
    for row in found:
        try:
            made.append(read(row))
        except rows.BadRow as error:
            logger.warning("{}: the row of {} is passed over: {}", path, row[0], error)
    return made


def in_words(path: Path, error: Exception) -> JournalError:
    """Say what SQLite or the system has said, with the file's path."""
    if isinstance(error, OSError):
        return JournalError(f"{path}: {error.strerror}")
    # SQLite's other errors, of the disk, locks or rights, are of classes derived from this one.
    if type(error) is sqlite3.DatabaseError:
        return JournalCorrupt(f"{path} is damaged: {error}")
    return JournalError(f"{path}: {error}")
