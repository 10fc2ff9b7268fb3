"""The journal on real disks: full, locked, damaged, killed, and pruned."""

from __future__ import annotations

import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from journal_records import JOB, NAME, NOW, at, reconcile, step, waited
from loguru import logger
from metric_logs import events_in
from waiting import LIMIT_S, eventually

from supervisor.gateways import journal_reader
from supervisor.gateways.journal_schema import VERSION, JournalCorrupt, JournalError
from supervisor.gateways.journal_store import JournalStore, Keeping
from supervisor.gateways.metric_log import MetricLog
from supervisor.journal import Course, Event, EventsQuestion, HistoryQuestion
from supervisor.journal.awaited_jobs import PATIENCE_S
from supervisor.journal.history import Percentiles
from supervisor.observation.feed import Feed, Kind, Record
from supervisor.recording import pruning
from supervisor.recording.inbox import JournalInbox
from supervisor.recording.writer import JournalStanding, JournalWriter

FEW = 1000
KEEPING = Keeping(timedelta(days=30), 256 << 20)


class Stand:
    """A writer, what it says of itself, and what can be read."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.inbox = JournalInbox(path, Feed(), options.pop("room", 10_000))
        self.stood: list[JournalStanding] = []
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
        self.writer.start(self.stood.append)

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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk that a few thousand events fill."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    subprocess.run(mount, check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_what_is_told_can_be_read_in_order_and_by_what_it_is_about(path: Path) -> None:
    with running(path) as stand:
        stand.tell("one", "two")
        stand.inbox.take(Record(at(5), Kind.ACTOR, "three", "crashed", "ready", "why", 2.0))
        eventually(lambda: stand.told() == ["one", "two", "three"])
        first, _, third = stand.read()
        assert third.record == Record(at(5), Kind.ACTOR, "three", "crashed", "ready", "why", 2.0)
        assert [e.record.subject for e in stand.read(after=first.id, limit=1)] == ["two"]
        assert [e.record.subject for e in stand.read(limit=1)] == ["three"]
        assert [e.record.subject for e in stand.read(since=at(1))] == ["three"]
        assert [e.record.subject for e in stand.read(runner="one")] == ["one"]
        assert [e.record.subject for e in stand.read(kind=Kind.ACTOR)] == ["three"]
    assert stand.stood == []


def test_where_there_is_a_lot_it_is_written_without_waiting_for_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A pruning that is due would end the waiting.
    monkeypatch.setattr(pruning, "_EVERY_S", math.inf)
    stand = Stand(path, gather_s=2 * LIMIT_S)
    stand.tell(*map(str, range(2 * FEW)))
    stand.start()
    try:
        eventually(lambda: stand.told()[-1:] == [str(2 * FEW - 1)])
    finally:
        stand.writer.stop(LIMIT_S)


def test_a_journal_that_was_never_written_holds_nothing(path: Path) -> None:
    assert events(path) == []
    assert courses(path) == []


def test_its_files_are_for_one_user_alone(path: Path) -> None:
    umask = os.umask(0)
    try:
        with running(path) as stand:
            stand.tell("one")
            eventually(stand.told)
            files = list(path.parent.glob(f"{path.name}*"))
            assert len(files) == 3
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    finally:
        os.umask(umask)


def test_what_is_told_last_is_written_at_an_orderly_end(path: Path) -> None:
    with running(path) as stand:
        stand.tell(*map(str, range(2500)))
    assert len(stand.read(after=0, limit=5000)) == 2500
    assert stand.inbox.lost == 0


def test_the_course_of_a_runner_goes_on_after_a_restart(path: Path) -> None:
    work = {"job": asdict(JOB)}
    with running(path) as stand:
        for record in (step(0, "", "requested"), step(30, "creating", "ready")):
            stand.inbox.take(record)
        stand.inbox.take(step(40, "ready", "busy", **work))
    with running(path) as stand:
        stand.inbox.take(step(60, "", "busy", adopted=True, since=at(40).isoformat(), **work))
        stand.inbox.take(step(100, "busy", "finished", **work))
        stand.inbox.take(step(101, "finished", "deleted", **work))
    (course,) = courses(path)
    assert (course.name, course.outcome, course.job) == (NAME, "done", JOB)
    assert (course.install_s, course.idle_s, course.job_s) == (30.0, 10.0, 60.0)
    assert courses(path, repository="acme/demo") == [course]
    assert courses(path, repository="acme/other") == []
    assert courses(path, since=at(101)) == [course]
    assert courses(path, since=at(102)) == []


def test_how_long_a_job_had_waited_is_added_to_the_course_that_has_ended(path: Path) -> None:
    with running(path) as stand:
        worked(stand.inbox)
    with running(path) as stand:
        stand.inbox.take(waited(105, 12.0))
    (course,) = courses(path)
    assert (course.queue_s, course.outcome) == (12.0, "done")


def worked(inbox: JournalInbox) -> None:
    """Have a runner come, work and go."""
    work = {"job": asdict(JOB)}
    inbox.take(step(0, "", "requested"))
    inbox.take(step(30, "booting", "ready"))
    inbox.take(step(40, "ready", "busy", **work))
    inbox.take(step(100, "busy", "finished", **work))
    inbox.take(step(101, "finished", "deleted", **work))


def test_a_journal_of_the_first_version_can_be_read_and_goes_on(path: Path) -> None:
    with running(path) as stand:
        worked(stand.inbox)
    with closing(sqlite3.connect(path)) as other:
        other.execute("ALTER TABLE courses DROP COLUMN queue_s")
        other.execute("PRAGMA user_version=1")
    (course,) = courses(path)
    assert (course.name, course.queue_s) == (NAME, None)
    with running(path) as stand:
        stand.inbox.take(waited(105, 12.0))
    assert stand.fault() == ""
    (course,) = courses(path)
    assert (course.queue_s, course.job_s, course.outcome) == (12.0, 60.0, "done")


def test_a_full_disk_loses_the_newest_says_so_once_and_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    with running(small_disk / "journal.sqlite", room=50) as stand:
        stand.tell("before")
        eventually(lambda: stand.told() == ["before"])
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(b"x" * (1 << 20))
        stand.inbox.take(note("held", reason="x" * 100_000))
        eventually(stand.fault)
        assert "full" in stand.fault()
        stand.tell(*(f"while full {number}" for number in range(80)))
        eventually(lambda: stand.inbox.lost == 31)
        assert len({one.fault for one in stand.stood}) == 1
        filler.unlink()
        kept = ["before", "held", *(f"while full {n}" for n in range(49))]
        eventually(lambda: stand.told() == kept)
        eventually(lambda: not stand.fault())
        stand.tell("after")
        eventually(lambda: stand.told() == [*kept, "after"])


def test_a_locked_store_keeps_nobody_waiting_and_is_written_when_it_is_free(path: Path) -> None:
    while_locked = [f"while locked {number}" for number in range(900)]
    with running(path) as stand:
        stand.tell("before")
        eventually(stand.told)
        with locked(path):
            # More than there would be time for if each of them waited for the lock.
            stand.tell(*while_locked)
            eventually(stand.fault)
            assert "locked" in stand.fault()
            assert stand.told() == ["before"]
        eventually(lambda: stand.told() == ["before", *while_locked])
        eventually(lambda: not stand.fault())
        assert stand.inbox.lost == 0


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


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """The warnings of the log."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    yield lines
    logger.remove(sink)


def test_what_can_not_be_written_at_the_end_is_counted_and_said(
    path: Path, warned: list[str]
) -> None:
    path.mkdir()
    with running(path, room=2) as stand:
        stand.tell("one", "two")
        eventually(stand.fault)
        stand.tell("three")
        eventually(lambda: stand.inbox.lost == 1)
    assert stand.inbox.lost == 3
    assert warned == [f"the journal lacks 3 events of this daemon: {stand.fault()}\n"]


def test_what_a_write_holds_that_hangs_at_the_end_is_said(
    path: Path, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(*_args: object) -> int:
        hangs.set()
        goes_on.wait(LIMIT_S)
        return 0

    monkeypatch.setattr(JournalStore, "write", hang)
    with running(path) as stand:
        stand.tell("held")
        assert hangs.wait(LIMIT_S)
        stand.tell("waiting")
        stand.writer.stop(limit_s=0.01)
        said = [f"the journal lacks 2 events of this daemon: {path}: a write does not end\n"]
        assert warned == said
        goes_on.set()


def test_what_was_written_at_the_end_is_no_warning(path: Path, warned: list[str]) -> None:
    with running(path) as stand:
        stand.tell("one")
    assert stand.told() == ["one"]
    assert warned == []


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
        eventually(lambda: stand.writer.at_work_since is None)
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
        eventually(lambda: len(stand.told()) == 5)
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


def test_a_daemon_that_was_set_back_goes_on_with_a_file_to_which_a_later_one_has_added(
    path: Path,
) -> None:
    with running(path) as stand:
        stand.inbox.take(step(0, "", "requested"))
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version={VERSION + 1}")
        other.execute("ALTER TABLE courses ADD COLUMN colour TEXT")
        other.execute("ALTER TABLE events ADD COLUMN colour TEXT")
        other.execute("UPDATE courses SET colour = 'red', job = '{\"later\": 1}'")
        later = "INSERT INTO events SELECT id + 1, at, 'later', 'x', '', '', '', 0, '{}', 'red'"
        other.execute(f"{later} FROM events")
        other.commit()
    with running(path) as stand:
        stand.inbox.take(step(30, "creating", "ready"))
        eventually(lambda: len(stand.told()) == 2)
    assert stand.stood == []
    assert [event.record.state for event in events(path)] == ["requested", "ready"]
    (course,) = courses(path)
    assert course.install_s == 30.0
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT colour FROM courses").fetchall() == [("red",)]


def test_a_later_file_that_is_of_no_use_is_kept_whole_under_its_version(path: Path) -> None:
    with running(path) as stand:
        stand.tell("one")
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version=1000")
    with pytest.raises(JournalError, match="of a later version, 1000"):
        events(path)
    with running(path) as stand:
        stand.tell("two")
        eventually(lambda: stand.stood and stand.told() == ["two"])
        assert "of a later version" in stand.stood[-1].warning
        assert "damaged" not in stand.stood[-1].warning
    kept = path.with_name(f"{path.name}.v1000")
    with closing(sqlite3.connect(kept)) as other:
        assert other.execute("SELECT subject FROM events").fetchall() == [("one",)]


def test_a_directory_that_can_not_be_written_loses_what_finds_no_room(tmp_path: Path) -> None:
    (tmp_path / "nowhere").touch()
    with running(tmp_path / "nowhere" / "journal.sqlite", room=1) as stand:
        stand.tell("one")
        eventually(stand.fault)
        stand.tell("two", "three")
        eventually(lambda: stand.inbox.lost)
    assert stand.inbox.lost == 3


def test_a_kill_in_the_middle_loses_only_what_was_not_committed(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    code = f"""
import itertools
from datetime import datetime, timezone
from pathlib import Path
from supervisor.observation.feed import Feed, Kind, Record
from supervisor.gateways.journal_store import JournalStore
store = JournalStore(Path({str(path)!r}))
now = datetime.now(timezone.utc)
for batch in itertools.count():
    store.write([Record(now, Kind.ORDER, f"{{batch}}", str(n)) for n in range(100)], [])
    print(batch, flush=True)
"""
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(20)]
            process.send_signal(signal.SIGKILL)
            said = int([*lines, *process.stdout.read().split()][-1])
        found = read_all(path)
        batches = [event.record.subject for event in found if event.record.state == "99"]
        assert len(found) % 100 == 0, "a batch was written in part"
        assert int(batches[-1]) >= said
        path_is_sound(path)


def read_all(path: Path) -> list[Event]:
    found: list[Event] = []
    while more := events(path, after=found[-1].id if found else 0, limit=1000):
        found += more
    return found


def path_is_sound(path: Path) -> None:
    store = JournalStore(path)
    store.check()
    store.close()


def test_what_is_too_old_goes(path: Path) -> None:
    store = JournalStore(path)
    store.write([note(f"day {day}", 86400 * day) for day in range(10)], [])
    assert store.prune(Keeping(timedelta(days=3), 1 << 30), at(86400 * 10))
    assert not store.prune(Keeping(timedelta(days=3), 1 << 30), at(86400 * 10))
    store.close()
    found = events(path)
    assert [event.record.subject for event in found] == ["day 7", "day 8", "day 9"]


def test_courses_of_runners_that_have_ended_go_as_events_do(path: Path) -> None:
    store = JournalStore(path)
    ended = [Course(f"day {day}", ended_at=at(86400 * day)) for day in range(10)]
    store.write([note("new", 86400 * 10)], [*ended, Course("there", created_at=at(0))])
    assert store.prune(Keeping(timedelta(days=3), 1 << 30), at(86400 * 10))
    store.close()
    found = {course.name for course in courses(path)}
    assert found == {"day 7", "day 8", "day 9", "there"}


def test_courses_of_a_time_of_which_no_event_is_left_go_where_it_is_too_much(path: Path) -> None:
    store = JournalStore(path)
    ended = [Course("before", ended_at=at(-1)), Course("after", ended_at=at(2000))]
    store.write(
        [note(f"{number}", number, reason="x" * 500) for number in range(1000)],
        [*ended, Course("there", created_at=at(-1))],
    )
    assert store.prune(Keeping(timedelta(days=3650), 1), NOW)
    store.close()
    assert {course.name for course in courses(path)} == {"after", "there"}


def test_a_pruning_that_fails_is_said_for_what_it_is_and_what_happens_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> bool:
        raise JournalError("it is locked")

    with monkeypatch.context() as locked_now:
        locked_now.setattr(JournalStore, "prune", refuse)
        seconds = [0.0]
        with running(path, elapsed=lambda: seconds[0]) as stand:
            stand.tell("one")
            eventually(lambda: stand.stood and stand.told() == ["one"])
            assert stand.stood == [JournalStanding(prune_fault="it is locked")]
            locked_now.undo()
            seconds[0] += 60
            eventually(lambda: stand.stood[-1] == JournalStanding())


def test_what_is_too_much_goes_the_oldest_first_and_the_file_shrinks(path: Path) -> None:
    most = 1 << 20
    store = JournalStore(path)
    for batch in range(10):
        store.write([note(f"{batch}", reason="x" * 500) for _ in range(1000)], [])
    large = path.stat().st_size
    assert large > 3 * most
    steps = 0
    while store.prune(Keeping(timedelta(days=3650), most), NOW):
        steps += 1
        assert steps < 100
    for _ in range(30):
        store.prune(Keeping(timedelta(days=3650), most), NOW)
    store.close()
    assert path.stat().st_size <= most
    found = read_all(path)
    assert found
    assert {event.record.subject for event in found} <= {"8", "9"}
    assert steps > 5, "each step is small"


def test_pruning_goes_on_beside_the_writing(path: Path) -> None:
    with running(path) as stand:
        stand.tell(*map(str, range(3000)))
    keeping = Keeping(timedelta(days=1), 1 << 30)
    with running(path, keeping=keeping, now=lambda: at(86400 * 5)) as stand:
        stand.inbox.take(note("new", 86400 * 5))
        eventually(lambda: stand.told() == ["new"])


def test_nothing_is_too_old_by_a_time_that_is_not_believed_yet(path: Path) -> None:
    with running(path) as stand:
        stand.tell("one")
    keeping = Keeping(timedelta(days=1), 1 << 30)
    with running(path, keeping=keeping, now=lambda: at(86400 * 40), believed_after_s=900) as stand:
        stand.inbox.take(note("two", 86400 * 40))
        eventually(lambda: "two" in stand.told())
        eventually(lambda: stand.writer.at_work_since is None)
    assert [event.record.subject for event in events(path)] == ["one", "two"]


def test_a_time_that_was_set_meanwhile_makes_nothing_too_old_and_is_told_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_EVERY_S", 0.01)
    lines: list[str] = []
    looked: list[int] = []

    def now() -> datetime:
        looked.append(1)
        return at(0 if len(looked) < 3 else 86400 * 40)

    sink = logger.add(lambda line: lines.append(str(line)), level="WARNING", format="{message}")
    keeping = Keeping(timedelta(days=1), 1 << 30)
    try:
        with running(path, keeping=keeping, now=now, believed_after_s=900) as stand:
            stand.tell("one")
            eventually(lambda: len(looked) > 10 and stand.told())
    finally:
        logger.remove(sink)
    assert [event.record.subject for event in events(path)] == ["one"]
    (line,) = [line for line in lines if "time of day" in line]
    assert line.startswith("the time of day was set by 3456000 s; nothing leaves the journal")


@pytest.mark.parametrize(
    "asked", [{}, {"runner": "first"}, {"after": FEW - 101}], ids=["newest", "runner", "after"]
)
def test_a_hundred_events_are_read_in_as_few_steps_of_a_long_journal_as_of_a_short_one(
    asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    for count in (FEW, 10 * FEW):
        path = tmp_path / f"{count}.sqlite"
        store = JournalStore(path)
        subjects = ["first"] * 100 + ["other"] * (count - 100)
        store.write([note(subject, number) for number, subject in enumerate(subjects)], [])
        store.close()
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE events SET id = id - (SELECT min(id) FROM events) + 1")
        with monkeypatch.context() as patched:
            taken = counted_steps(patched)
            assert len(events(path, limit=100, **asked)) == 100
        steps.append(len(taken))
    assert steps[0] == steps[1]


def counted_steps(patched: pytest.MonkeyPatch) -> list[None]:
    """Give what grows by one for each step of SQLite's machine, on connections yet to be made."""
    taken: list[None] = []
    connect = sqlite3.connect

    def counting(*given: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*given, **options)
        connection.set_progress_handler(lambda: taken.append(None), 1)
        return connection

    patched.setattr(sqlite3, "connect", counting)
    return taken


def test_metric_events_are_written_though_the_journal_can_not_be(path: Path) -> None:
    log = path.with_name("metrics.log")
    with running(path, metric_log=MetricLog(log, 1 << 20)) as stand:
        stand.inbox.take(reconcile(0))
        eventually(stand.told)
        with locked(path):
            stand.inbox.take(reconcile(1))
            eventually(stand.fault)
            stand.inbox.take(reconcile(2))
            eventually(lambda: len(events_in(log)) == 3)
            assert stand.fault()
            assert len(stand.told()) == 1
        eventually(lambda: len(stand.told()) == 3)
        told = events_in(log)
        assert [event["timestamp"] - NOW.timestamp() for event in told] == [0, 1, 2]


def test_metric_events_are_written_though_the_journal_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "nowhere").touch()
    log = tmp_path / "metrics.log"
    path = tmp_path / "nowhere" / "journal.sqlite"
    with running(path, room=2, metric_log=MetricLog(log, 1 << 20)) as stand:
        for told in range(1, 6):  # also when there is no room for more that the journal can't write
            stand.inbox.take(reconcile(told))
            eventually(lambda told=told: len(events_in(log)) == told)
        assert stand.fault()
        assert stand.inbox.lost == 3


def test_what_an_earlier_daemon_has_left_is_read_though_another_writes(path: Path) -> None:
    with running(path) as stand:
        stand.inbox.take(step(0, "", "requested"))
    with running(path) as stand, locked(path):
        stand.inbox.take(step(40, "", "ready", adopted=True, since=at(30).isoformat()))
        eventually(stand.fault)
    assert [course.install_s for course in courses(path)] == [30.0]


def test_one_that_an_earlier_daemon_has_begun_is_installed_for_the_metric_log_too(
    path: Path,
) -> None:
    log = path.with_name("metrics.log")
    with running(path) as stand:
        stand.inbox.take(step(0, "", "requested"))
    stand = Stand(path, metric_log=MetricLog(log, 1 << 20))
    stand.inbox.take(step(30, "", "ready", adopted=True))
    stand.start()
    stand.writer.stop(LIMIT_S)
    assert [(one["event"], one["duration"]) for one in events_in(log)] == [
        ("runner_installed", 30.0)
    ]


def test_what_an_earlier_daemon_has_left_is_read_as_soon_as_it_can_be(path: Path) -> None:
    work = {"job": asdict(JOB)}
    with running(path) as stand:
        stand.inbox.take(step(0, "", "requested"))
        stand.inbox.take(step(0, "", "requested")._replace(subject="fleet-b"))
        stand.inbox.take(step(30, "creating", "ready"))
    aside = path.rename(path.with_name("aside"))
    path.mkdir()
    with running(path) as stand:
        since = at(35).isoformat()
        stand.inbox.take(step(40, "", "busy", adopted=True, since=since, job_s=5.0, **work))
        stand.inbox.take(step(60, "busy", "deleted", **work))
        eventually(stand.fault)
        path.rmdir()
        aside.rename(path)
        eventually(lambda: not stand.fault())
        stand.inbox.take(step(70, "creating", "ready")._replace(subject="fleet-b"))
    found = {course.name: course for course in courses(path)}
    assert (found[NAME].install_s, found[NAME].idle_s, found[NAME].job_s) == (30.0, 5.0, 25.0)
    assert found["fleet-b"].install_s == 70.0


def test_one_that_can_not_be_summed_up_or_written_is_the_only_one_lost(path: Path) -> None:
    with running(path) as stand:
        stand.tell("one")
        stand.inbox.take(note("no reason", reason=None))
        stand.inbox.take(step(0, "", "requested", job="no job"))
        stand.tell("two")
        eventually(lambda: stand.told() == ["one", NAME, "two"])
        assert stand.inbox.lost == 1
        stand.tell("three")
        eventually(lambda: stand.told()[-1] == "three")
        assert stand.fault() == ""


def test_a_metric_event_that_is_no_json_is_the_only_one_lost_and_is_said(path: Path) -> None:
    log = path.with_name("metrics.log")
    odd = reconcile(0)
    odd = odd._replace(details={**odd.details, "idle": object()})
    with running(path, metric_log=MetricLog(log, 1 << 20)) as stand:
        stand.inbox.take(odd)
        eventually(lambda: stand.stood and "TypeError" in stand.stood[-1].log_fault)
        stand.inbox.take(reconcile(1))
        eventually(lambda: not stand.stood[-1].log_fault)
        eventually(lambda: stand.told() == ["fleet", "fleet"])
    assert [event["timestamp"] - NOW.timestamp() for event in events_in(log)] == [1]
    assert stand.inbox.lost == 0


def test_a_course_is_written_though_no_metric_event_can_be_made_of_its_change(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object) -> list[Any]:
        raise RuntimeError("a fault")

    with running(path, metric_log=MetricLog(path.with_name("metrics.log"), 1 << 20)) as stand:
        for what in ("metric_events", "overdue", "rest"):
            monkeypatch.setattr(stand.writer._backlog._digest, what, fail)
        stand.inbox.take(step(0, "", "requested"))
    assert [course.stage for course in courses(path)] == ["requested"]
    assert stand.inbox.lost == 0


@pytest.fixture
def worn(path: Path) -> Path:
    """Have a journal with one event and one course of three that are none any more."""
    with running(path) as stand:
        for name in ("a", "b", "c"):
            stand.inbox.take(step(0, "", "requested", job=asdict(JOB))._replace(subject=name))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE events SET details = '{' WHERE subject = 'b'")
        other.execute("UPDATE courses SET created_at = ?, job = '{' WHERE name = 'b'", (2**62,))
        other.execute("UPDATE events SET reason = CAST(x'ff' AS TEXT) WHERE subject = 'c'")
    return path


def test_rows_that_are_none_are_passed_over_by_readers(worn: Path) -> None:
    found = events(worn)
    assert [event.record.subject for event in found] == ["a", "c"]
    assert found[1].record.reason == "\ufffd"
    assert {course.name for course in courses(worn)} == {"a", "c"}
    assert {course.name for course in courses(worn, repository=JOB.repository)} == {"a", "c"}


def test_who_follows_comes_past_a_row_that_is_none(worn: Path) -> None:
    first = events(worn)[0].id
    cut = journal_reader.events(worn, EventsQuestion(after=first, limit=1))
    assert (cut.events, cut.last, cut.more) == ([], first + 1, True)


def test_of_a_course_that_is_none_alone_nothing_is_known_any_more(worn: Path) -> None:
    with running(worn) as stand:
        for name in ("a", "b"):
            stand.inbox.take(step(30, "creating", "ready")._replace(subject=name))
    assert stand.stood == []
    found = {course.name: course.install_s for course in courses(worn)}
    assert found == {"a": 30.0, "b": None, "c": None}


def test_percentiles_are_those_of_what_each_course_says_of_itself(path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    made = [
        Course(
            f"fleet-{number}",
            **{
                moment: chance.choice([None, at(chance.randrange(10_000))])
                for moment in ("created_at", "installed_at", "left_at", "started_at", "finished_at")
            },
            ended_at=at(number),
            job=chance.choice([None, JOB]),
            queue_s=chance.choice([None, 1.5, 2.5]),
        )
        for number in range(200)
    ]
    store = JournalStore(path)
    store.write([], made)
    store.close()
    found = journal_reader.history(path, HistoryQuestion(limit=10))
    assert list(found.runners) == made[:-11:-1]
    jobs = [course for course in made if course.job]
    assert list(found.jobs) == jobs[:-11:-1]
    assert found.percentiles == {
        "install_s": percentiles(course.install_s for course in made),
        "idle_s": percentiles(course.idle_s for course in jobs),
        "job_s": percentiles(course.job_s for course in jobs),
        "queue_s": percentiles(course.queue_s for course in jobs),
    }


def percentiles(durations: Iterable[float | None]) -> Percentiles:
    known = sorted(one for one in durations if one is not None)
    p50, p90, p99 = (known[math.ceil(len(known) * share / 100) - 1] for share in (50, 90, 99))
    return Percentiles(p50, p90, p99, len(known))


def test_who_follows_what_is_rare_is_told_how_far_was_looked(path: Path) -> None:
    with running(path) as stand:
        stand.tell(*map(str, range(5)))
    numbers = [event.id for event in events(path)]
    for asked in ({"after": numbers[1]}, {"since": at(0)}, {}):
        rare = journal_reader.events(path, EventsQuestion(kind=Kind.RUNNER, **asked))
        assert (rare.events, rare.last) == ([], numbers[-1])
    cut = journal_reader.events(path, EventsQuestion(after=numbers[0], limit=2))
    assert (cut.last, cut.more) == (numbers[2], True)
    whole = journal_reader.events(path, EventsQuestion(after=numbers[0], limit=4))
    assert (whole.last, whole.more) == (numbers[4], False)
    newest = journal_reader.events(path, EventsQuestion(runner="3"))
    assert ([event.id for event in newest.events], newest.last) == (numbers[3:4], numbers[-1])


def test_a_jobs_metric_events_wait_for_what_github_tells_of_it(path: Path, tmp_path: Path) -> None:
    log = tmp_path / "metrics.log"
    with running(path, metric_log=MetricLog(log, 1 << 20)) as stand:
        worked(stand.inbox)
        eventually(lambda: len(stand.told()) == 5)
        assert waits_in(log) == {"runner_installed": None}
        stand.inbox.take(waited(102, 12.0))
        eventually(lambda: len(waits_in(log)) == 3)
        assert waits_in(log)["runner_start"] == 12.0


def test_a_jobs_metric_events_are_written_without_at_an_orderly_end(
    path: Path, tmp_path: Path
) -> None:
    log = tmp_path / "metrics.log"
    with running(path, metric_log=MetricLog(log, 1 << 20)) as stand:
        worked(stand.inbox)
    assert waits_in(log) == dict.fromkeys(("runner_installed", "runner_start", "runner_stop"))


def test_a_jobs_metric_events_are_written_without_after_a_minute(
    path: Path, tmp_path: Path
) -> None:
    log = tmp_path / "metrics.log"
    seconds = [0.0]
    metric_log = MetricLog(log, 1 << 20)
    with running(path, metric_log=metric_log, elapsed=lambda: seconds[0]) as stand:
        worked(stand.inbox)
        eventually(lambda: len(stand.told()) == 5)
        seconds[0] += PATIENCE_S
        eventually(lambda: len(waits_in(log)) == 3)


def waits_in(log: Path) -> dict[str, float | None]:
    """Name the metric events of a log, and how long the job had waited as they say."""
    return {event["event"]: event.get("queue_duration") for event in events_in(log)}


def test_a_metric_log_that_can_not_be_written_is_said_and_the_journal_goes_on(
    path: Path, tmp_path: Path
) -> None:
    metric_log = MetricLog(tmp_path / "nowhere" / "metrics.log", 1 << 20)
    with running(path, metric_log=metric_log) as stand:
        stand.inbox.take(reconcile(0))
        eventually(lambda: stand.told() == ["fleet"])
        eventually(lambda: stand.stood)
        assert "No such file or directory" in stand.stood[-1].log_fault
        (tmp_path / "nowhere").mkdir()
        stand.inbox.take(reconcile(0))
        eventually(lambda: not stand.stood[-1].log_fault)
