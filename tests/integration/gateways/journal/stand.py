"""A writer of the journal on a real disk, and what can be read of what it has written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from journal_records import JOB, NOW, at, step
from waiting import LIMIT_S

from supervisor.gateways import journal_reader
from supervisor.gateways.journal_store import Keeping
from supervisor.journal import Course, Event, EventsQuestion, HistoryQuestion
from supervisor.observation.feed import Feed, Kind, Record
from supervisor.recording.inbox import JournalInbox
from supervisor.recording.writer import JournalStanding, JournalWriter

FEW = 1000
KEEPING = Keeping(timedelta(days=30), 256 << 20)


class Stand:
    """A writer, what it says of itself, and what can be read."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.inbox = JournalInbox(path, Feed(), options.pop("room", 10_000))
        self.stood: list[JournalStanding] = []
        self.missed: list[Course] = []
        self.keeping: Keeping = options.pop("keeping", KEEPING)
        now: Callable[[], datetime] = options.pop("now", lambda: NOW)
        self.writer = JournalWriter(
            self.inbox,
            flavor="fleet",
            keeping=lambda: self.keeping,
            now=now,
            again_s=0.05,
            **{"believed_after_s": 0, "gather_s": 0.05, **options},
        )

    def start(self) -> None:
        self.writer.start(self.stood.append, self.missed.append)

    def tell(self, *subjects: str) -> None:
        for subject in subjects:
            self.inbox.take(note(subject))

    def read(self, **asked: Any) -> list[Event]:
        return events(self.inbox.path, **asked)

    def told(self) -> list[str]:
        return [event.record.subject for event in self.read(limit=1000)]

    def fault(self) -> str:
        return self.stood[-1].fault if self.stood else ""


def events(path: Path, **asked: Any) -> list[Event]:
    return list(journal_reader.events(path, EventsQuestion(**asked)).events)


def courses(path: Path, **asked: Any) -> list[Course]:
    return list(journal_reader.history(path, HistoryQuestion(**asked)).runners)


def note(subject: str, seconds: float = 0, **more: Any) -> Record:
    return Record(at(seconds), Kind.ORDER, subject, "ordered", **more)


@contextmanager
def running(path: Path, **options: Any) -> Iterator[Stand]:
    stand = Stand(path, **options)
    stand.start()
    try:
        yield stand
    finally:
        stand.writer.stop(LIMIT_S)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def worked(inbox: JournalInbox) -> None:
    """Have a runner come, work and go."""
    work = {"job": asdict(JOB)}
    inbox.take(step(0, "", "requested"))
    inbox.take(step(30, "booting", "ready"))
    inbox.take(step(40, "ready", "busy", **work))
    inbox.take(step(100, "busy", "finished", **work))
    inbox.take(step(101, "finished", "deleted", **work))


def read_all(path: Path) -> list[Event]:
    found: list[Event] = []
    while more := events(path, after=found[-1].id if found else 0, limit=1000):
        found += more
    return found
