"""What is held until the journal can be written has a bound, and so has what is done meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from journal_records import reconcile, step
from waiting import LIMIT_S, eventually

from supervisor.gateways.journal_schema import JournalError
from supervisor.gateways.journal_store import JournalStore
from supervisor.observation.feed import Feed
from supervisor.recording.backlog import JournalBacklog
from supervisor.recording.inbox import JournalInbox
from tests.integration.gateways.journal.stand import courses, running


def backlog_of(inbox: JournalInbox) -> JournalBacklog:
    return JournalBacklog(inbox, None, lambda _course: None)


def test_courses_are_held_until_there_is_no_room_and_then_those_that_are_held_go_on(
    path: Path,
) -> None:
    backlog, store = backlog_of(JournalInbox(path, Feed(), room=3)), JournalStore(path)
    backlog.recall(store)
    names = [f"fleet-{number}" for number in range(5)]
    backlog.take([step(0, "", "requested")._replace(subject=name) for name in names], 0)
    last = step(30, "creating", "ready")._replace(subject=names[2])
    backlog.take([last], 0)
    backlog.write(store)
    store.close()
    found = {course.name: course.install_s for course in courses(path)}
    assert found == {"fleet-0": None, "fleet-1": None, "fleet-2": 30.0}


def test_an_end_that_nobody_has_told_of_takes_room_as_others_do(path: Path) -> None:
    inbox, store = JournalInbox(path, Feed(), room=3), JournalStore(path)
    backlog = backlog_of(inbox)
    backlog.recall(store)
    backlog.take([step(0, "", "requested"), reconcile(10), reconcile(20)], 0)
    assert (backlog.held, inbox.lost) == (3, 1)
    backlog.write(store)
    store.close()
    (course,) = courses(path)
    assert course.outcome == "gone"


def test_what_can_not_be_written_is_tried_again_after_a_while_and_not_at_each_turn(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, tries = [0.0], []

    def refuse(*_args: object) -> int:
        tries.append(seconds[0])
        raise JournalError("it is locked")

    monkeypatch.setattr(JournalStore, "write", refuse)
    with running(path, elapsed=lambda: seconds[0]) as stand:
        stand.tell("one")
        eventually(stand.fault)
        for turn in range(3):
            stand.tell(str(turn))
            stand.inbox.catch_up(LIMIT_S)
        assert tries == [0.0]
        seconds[0] += 0.05
        eventually(lambda: tries == [0.0, 0.05])


def test_a_journal_in_which_somebody_has_read_what_should_not_be_there_is_looked_through_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[None] = []
    monkeypatch.setattr(JournalStore, "check", lambda _store: looked.append(None))
    with running(path) as stand:
        stand.inbox.suspect.set()
        for turn in range(3):
            stand.tell(str(turn))
            stand.inbox.catch_up(LIMIT_S)
        assert stand.told() == ["0", "1", "2"]
        assert len(looked) == 1
        stand.inbox.suspect.set()
        eventually(lambda: len(looked) == 2)
