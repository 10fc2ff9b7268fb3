"""Who reads the journal finds what was told until then, however seldom it is written."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from journal_records import NOW, at
from waiting import LIMIT_S, eventually

from supervisor.gateways import journal_reader
from supervisor.gateways.journal_store import JournalStore, Keeping
from supervisor.journal import EventsQuestion
from supervisor.observation.feed import Feed, Kind, Record
from supervisor.recording.inbox import JournalInbox
from supervisor.recording.writer import JournalWriter

NEVER_S = 10 * LIMIT_S
KEEPING = Keeping(timedelta(days=30), 256 << 20)


class Journal:
    """One that nobody writes of itself within a test, but for what is there at its start."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "journal.sqlite"
        self.feed = Feed()
        self.inbox = JournalInbox(self.path, self.feed)
        self.writer = JournalWriter(
            self.inbox,
            flavor="fleet",
            keeping=lambda: KEEPING,
            now=lambda: NOW,
            gather_s=NEVER_S,
            again_s=NEVER_S,
        )

    def start(self) -> None:
        self.writer.start(lambda _standing: None, lambda _course: None)
        self.inbox.catch_up(LIMIT_S)

    def tell(self, *subjects: str) -> None:
        for subject in subjects:
            self.feed.tell(Record(at(0), Kind.ORDER, subject, "ordered"))

    def told(self) -> list[str]:
        found = journal_reader.events(self.path, EventsQuestion(limit=1000))
        return [event.record.subject for event in found.events]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    yield journal
    journal.writer.stop(LIMIT_S)
    assert not journal.inbox.is_attended


def took_s(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def test_who_asks_finds_what_was_told_right_before(journal: Journal) -> None:
    journal.start()
    journal.tell("one", "two")
    journal.inbox.catch_up(LIMIT_S)
    assert journal.told() == ["one", "two"]


def test_where_nobody_asks_it_is_gathered(journal: Journal) -> None:
    journal.start()
    journal.tell("one")
    journal.feed.pass_on()
    assert journal.told() == []


def test_many_who_ask_at_once_all_find_it(journal: Journal) -> None:
    journal.start()
    found: list[bool] = []

    def ask(number: int) -> None:
        journal.tell(str(number))
        journal.inbox.catch_up(LIMIT_S)
        found.append(str(number) in journal.told())

    readers = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert found == 20 * [True]


def test_so_many_are_written_that_nobody_asks_for(journal: Journal) -> None:
    journal.start()
    journal.tell(*map(str, range(1000)))
    journal.feed.pass_on()
    eventually(lambda: len(journal.told()) == 1000)


def test_where_nobody_writes_no_reader_waits(journal: Journal) -> None:
    assert took_s(lambda: journal.inbox.catch_up(LIMIT_S)) < LIMIT_S / 2


def test_where_it_can_not_be_written_no_reader_waits_for_longer_than_one_try(
    journal: Journal,
) -> None:
    journal.start()
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        journal.tell("one")
        assert took_s(lambda: journal.inbox.catch_up(LIMIT_S)) < LIMIT_S / 2
        assert journal.told() == []
        assert "locked" in journal.writer.fault


def test_a_write_that_hangs_keeps_one_reader_for_so_long_and_no_other(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.start()
    go_on = threading.Event()
    monkeypatch.setattr(JournalStore, "write", lambda *_: go_on.wait(LIMIT_S) and 0)
    journal.tell("one")
    try:
        assert 0.1 <= took_s(lambda: journal.inbox.catch_up(0.1)) < LIMIT_S / 2
        assert took_s(lambda: journal.inbox.catch_up(LIMIT_S)) < LIMIT_S / 2
        monkeypatch.undo()
    finally:
        go_on.set()
    journal.tell("two")
    journal.inbox.catch_up(LIMIT_S)  # in vain perhaps, but the writer goes on
    eventually(lambda: journal.told() == ["two"])
    journal.tell("three")
    journal.inbox.catch_up(LIMIT_S)
    assert journal.told() == ["two", "three"]


def test_how_the_journal_stands_is_known_before_its_readers_go_on(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = threading.Event()
    monkeypatch.setattr(journal.inbox, "readers", lambda: [reader])
    journal.path.mkdir()
    had_gone_on: list[bool] = []
    journal.writer.start(
        lambda _standing: had_gone_on.append(reader.is_set()), lambda _course: None
    )
    assert reader.wait(LIMIT_S)
    assert had_gone_on[0] is False
