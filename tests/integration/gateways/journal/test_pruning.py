"""What leaves the journal, by age and by size."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from journal_records import NOW, at
from loguru import logger
from waiting import LIMIT_S, eventually

from supervisor.gateways.journal_schema import JournalError
from supervisor.gateways.journal_store import JournalStore, Keeping
from supervisor.journal import Course
from supervisor.recording import pruning
from supervisor.recording.writer import JournalStanding
from tests.integration.gateways.journal.stand import (
    KEEPING,
    courses,
    events,
    note,
    read_all,
    running,
)


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
    seldom = {"gather_s": 2 * LIMIT_S}  # each step is due of itself
    with running(path, keeping=keeping, now=lambda: at(86400 * 5), **seldom) as stand:
        stand.inbox.take(note("new", 86400 * 5))
        eventually(lambda: stand.told() == ["new"])


def test_nothing_is_too_old_by_a_time_that_is_not_believed_yet(path: Path) -> None:
    with running(path) as stand:
        stand.tell("one")
    keeping = Keeping(timedelta(days=1), 1 << 30)
    with running(path, keeping=keeping, now=lambda: at(86400 * 40), believed_after_s=900) as stand:
        stand.inbox.take(note("two", 86400 * 40))
        eventually(lambda: "two" in stand.told())
        eventually(lambda: not stand.writer.is_at_work)
    assert [event.record.subject for event in events(path)] == ["one", "two"]


def test_a_time_that_is_set_at_each_look_is_told_once_until_it_has_gone_on_evenly(
    path: Path, warned: list[str]
) -> None:
    elapsed, now = [0.0], [at(0)]
    judging = pruning.JournalPruning(
        lambda: KEEPING, now=lambda: now[0], elapsed=lambda: elapsed[0], believed_after_s=900
    )
    store = JournalStore(path)

    def look(*, set_by_s: float) -> int:
        elapsed[0] += 60
        now[0] += timedelta(seconds=60 + set_by_s)
        judging.step(store)
        return len(warned)

    assert [look(set_by_s=set_by_s) for set_by_s in (0, 600, -600, 600)] == [0, 1, 1, 1]
    assert [look(set_by_s=set_by_s) for set_by_s in (0, 600)] == [1, 2]
    store.close()


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
