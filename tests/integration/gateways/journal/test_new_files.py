"""Which file the journal goes on with where its own is damaged, removed, or another."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from journal_records import NAME, reconcile, step
from waiting import LIMIT_S, eventually

from supervisor.gateways.journal_schema import VERSION, JournalCorrupt, JournalError
from supervisor.gateways.journal_store import JournalStore
from supervisor.journal import Course
from tests.integration.gateways.journal.stand import Stand, courses, events, note, running


def test_a_file_that_is_no_journal_is_set_aside_and_a_new_one_begun(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)
    with running(path) as stand:
        stand.tell("one")
        eventually(lambda: stand.stood and stand.told() == ["one"])
        assert "is journal.sqlite.set-aside now" in stand.stood[-1].warning
        assert stand.fault() == ""
    assert (path.parent / "journal.sqlite.set-aside").read_bytes()[:11] == b"no database"


def test_what_is_held_at_the_end_is_written_into_a_file_that_is_begun_anew_for_it(
    path: Path,
) -> None:
    path.mkdir()
    stand = Stand(path)
    stand.writer._again_s = LIMIT_S
    stand.tell("one")
    stand.start()
    eventually(stand.fault)
    path.rmdir()
    path.write_bytes(b"no database at all" * 1000)
    stand.writer.stop(LIMIT_S)
    assert stand.told() == ["one"]
    assert stand.inbox.lost == 0


def test_a_damage_that_a_reader_finds_is_looked_for_and_a_new_file_begun(path: Path) -> None:
    with running(path) as stand:
        stand.tell(*(f"order {number}" for number in range(1000)))
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\x55" * (len(content) - 4096 * 2)
    path.write_bytes(content)
    # Before there is a writer: one that prunes may find it first.
    with pytest.raises(JournalError, match="damaged"):
        events(path, after=0, limit=1000)
    with running(path) as stand:
        stand.inbox.suspect.set()
        eventually(lambda: stand.stood and stand.stood[-1].warning)
        stand.tell("anew")
        eventually(lambda: stand.told() == ["anew"])


def test_a_damage_is_found_also_of_what_the_writer_has_read_before(path: Path) -> None:
    store = JournalStore(path)
    store.write([note("one")], [])
    store._opened().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    store.check()
    store._opened().execute("PRAGMA quick_check").fetchall()  # all of it is in memory now
    with path.open("r+b") as file:
        file.write(b"\x55" * path.stat().st_size)
    with pytest.raises(JournalError, match="damaged"):
        store.check()


def test_a_damage_that_nothing_else_would_meet_is_found_when_it_is_looked_for(path: Path) -> None:
    with running(path) as stand:
        stand.tell(*(f"order {number}" for number in range(1000)))
    content = bytearray(path.read_bytes())
    # A leaf in the middle of the table of events: neither pruning nor adding reads it.
    place = content.index(b"order 500ordered") // 4096 * 4096
    assert content[place] == 0x0D
    content[place : place + 4096] = b"\x55" * 4096
    path.write_bytes(content)
    with running(path) as stand:
        stand.tell("more")
        eventually(lambda: "more" in [one.record.subject for one in stand.read(limit=1)])
        assert stand.stood == []
        stand.inbox.suspect.set()
        eventually(lambda: stand.stood and stand.stood[-1].warning)
        assert not stand.inbox.suspect.is_set()


def test_a_file_that_is_begun_anew_and_damaged_at_once_is_left_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> list[Course]:
        raise JournalCorrupt("it is damaged")

    monkeypatch.setattr(JournalStore, "open_courses", refuse)
    path.write_bytes(b"the first")
    with running(path) as stand:
        eventually(stand.fault)
        path.write_bytes(b"the second")
        said = len(stand.stood)
        stand.tell("one")
        eventually(lambda: stand.writer._attempts > 5)
        assert stand.stood[said:] == []
    assert (path.parent / "journal.sqlite.set-aside").read_bytes() == b"the first"


def test_a_file_is_begun_anew_each_time_after_one_that_was_written(path: Path) -> None:
    with running(path) as stand:
        for subject in ("first", "second"):
            for file in path.parent.glob(f"{path.name}*"):
                file.unlink()
            path.write_bytes(subject.encode() * 1000)
            stand.tell(subject)
            eventually(lambda told=subject: is_readable(path) and stand.told() == [told])
        assert stand.fault() == ""
    aside = path.parent / "journal.sqlite.set-aside"
    assert aside.read_bytes().startswith(b"second")


def is_readable(path: Path) -> bool:
    try:
        events(path)
    except JournalError:
        return False
    return True


def test_numbers_go_on_growing_in_a_new_file(path: Path) -> None:
    with running(path) as stand:
        stand.tell("one")
    # A thousand a second: the last one of the second that is over.
    last = int(time.time()) * 1000
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE events SET id = ?", (last,))
    path.write_bytes(b"nonsense" * 1000)
    with running(path) as stand:
        stand.tell("two")
        eventually(lambda: stand.stood and stand.told())
        assert stand.read()[0].id > last


def test_numbers_go_on_growing_in_a_new_file_though_the_time_was_set_back(path: Path) -> None:
    with running(path) as stand:
        stand.tell("one")
    ahead = 10 * int(time.time()) * 1000
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE sqlite_sequence SET seq = ?", (ahead,))
        other.execute(f"PRAGMA user_version={VERSION + 1000}")
    with running(path) as stand:
        stand.tell("two")
        eventually(lambda: stand.stood and stand.told() == ["two"])
        assert stand.read()[0].id == ahead + 1


def test_a_file_that_somebody_has_removed_is_made_anew(path: Path) -> None:
    with running(path) as stand:
        stand.tell("one")
        eventually(stand.told)
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        stand.tell("two")
        eventually(lambda: stand.told() == ["two"])
        eventually(lambda: stand.stood)
        stand.tell("three")
        eventually(lambda: stand.told() == ["two", "three"])
    assert [standing.warning for standing in stand.stood] == [
        f"{path} was removed, and a new one was begun; what was in it is not shown any more"
    ]


def test_another_file_that_somebody_has_put_there_is_gone_on_with_and_told_of(path: Path) -> None:
    other = path.with_name("other")
    with running(other) as stand:
        stand.tell("before")
    with running(path) as stand:
        stand.tell("one")
        eventually(stand.told)
        for file in path.parent.glob(f"{path.name}-*"):
            file.unlink()
        other.replace(path)
        stand.tell("two")
        eventually(lambda: stand.told() == ["before", "two"])
        eventually(lambda: stand.stood)
    assert [standing.warning for standing in stand.stood] == [
        f"{path} is another file now; what was in the one before is not shown any more"
    ]


def remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def damage(path: Path) -> None:
    remove(path)
    path.write_bytes(b"no database at all" * 1000)


@pytest.mark.parametrize("spoil", [remove, damage])
def test_who_is_there_is_in_a_file_that_is_begun_anew_though_nothing_happens_to_it(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    with running(path) as stand:
        for record in (step(0, "", "requested"), step(30, "booting", "ready")):
            stand.inbox.take(record)
        eventually(lambda: len(stand.told()) == 2)
        spoil(path)
        stand.tell("other")
        eventually(lambda: is_readable(path) and courses(path))
        (course,) = courses(path)
        assert (course.name, course.stage, course.install_s) == (NAME, "ready", 30.0)
        assert stand.told() == ["other"]


def test_who_is_there_is_in_a_file_that_is_begun_anew_right_at_the_end(path: Path) -> None:
    with running(path) as stand:
        stand.inbox.take(step(0, "", "requested"))
        eventually(stand.told)
        eventually(lambda: not stand.writer.is_at_work)
        damage(path)
        stand.inbox.suspect.set()
    assert [course.name for course in courses(path)] == [NAME]


def test_who_is_there_by_another_file_alone_is_given_up_by_two_reconciles(path: Path) -> None:
    other = path.with_name("other")
    with running(other) as stand:
        stand.inbox.take(step(0, "", "requested"))
        stand.inbox.take(step(0, "", "requested")._replace(subject="theirs"))
    with running(path) as stand:
        for record in (step(0, "", "requested"), step(30, "booting", "ready")):
            stand.inbox.take(record)
        eventually(lambda: len(stand.told()) == 2)
        remove(path)
        other.replace(path)
        stand.tell("one")
        eventually(lambda: {one.name: one.stage for one in courses(path)}.get(NAME) == "ready")
        for seconds in (40, 50):
            stand.inbox.take(reconcile(seconds, runners=[NAME]))
        eventually(lambda: stand.told()[-1:] == ["theirs"])
    assert {one.name: one.outcome for one in courses(path)} == {NAME: "", "theirs": "gone"}


@pytest.mark.parametrize("is_another_there", [False, True], ids=["removed", "replaced"])
def test_numbers_go_on_growing_where_the_file_is_another_though_the_time_was_set_back(
    path: Path, is_another_there: bool
) -> None:
    other = path.with_name("other")
    with running(other) as stand:
        stand.tell("theirs")
    ahead = 10 * int(time.time()) * 1000
    with running(path) as stand:
        stand.tell("one")
        eventually(stand.told)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE sqlite_sequence SET seq = ?", (ahead,))
        stand.tell("two")
        eventually(lambda: stand.read()[-1].id == ahead + 1)
        remove(path)
        if is_another_there:
            other.replace(path)
        stand.tell("three")
        eventually(lambda: "three" in stand.told())
        assert stand.read()[-1].id == ahead + 2
