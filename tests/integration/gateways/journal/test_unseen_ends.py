"""Who has the journal written is told of ends that nobody saw, and of no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from shutil import copyfile

import pytest
from journal_records import JOB, NAME, reconcile, step
from waiting import eventually

from supervisor.gateways.journal_store import JournalStore
from supervisor.journal import Course
from tests.integration.gateways.journal.stand import Stand, courses, running

BUSY = step(0, "idle", "busy", job=asdict(JOB))
DELETED = step(5, "busy", "deleted", job=asdict(JOB))

Lose = Callable[[Stand, pytest.MonkeyPatch], None]


@pytest.fixture
def left(path: Path) -> Path:
    """What an earlier daemon has left, with a runner that was at work."""
    with running(path) as stand:
        stand.inbox.take(BUSY)
    return path


def outcome(stand: Stand) -> str:
    (course,) = courses(stand.inbox.path)
    return course.outcome


def be_missed(stand: Stand) -> None:
    for seconds in (10, 20, 30):
        stand.inbox.take(reconcile(seconds))
    eventually(lambda: outcome(stand) == "gone")


def test_of_a_runner_that_ended_while_no_daemon_listened_is_told_once(left: Path) -> None:
    with running(left) as stand:
        be_missed(stand)
        (course,) = stand.missed
        assert (course.name, course.outcome, course.job) == (NAME, "gone", JOB)


def test_whatever_others_make_of_it_the_end_is_written(left: Path) -> None:
    def fail(_course: Course) -> None:
        raise RuntimeError("made up")

    with running(left) as stand:
        stand.writer.start(stand.stood.append, fail)
        be_missed(stand)
        assert [event.record.state for event in stand.read(runner=NAME)][-1] == "gone"


def for_lack_of_room(stand: Stand, _monkeypatch: pytest.MonkeyPatch) -> None:
    room, stand.inbox.room = stand.inbox.room, 0
    stand.inbox.take(DELETED)
    stand.inbox.room = room


def with_the_writer(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_given: object) -> None:
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(JournalStore, "write", end)
        stand.inbox.take(DELETED)
        eventually(lambda: stand.writer.is_lost)
    stand.start()


def with_the_file(stand: Stand, _monkeypatch: pytest.MonkeyPatch) -> None:
    path = stand.inbox.path
    older = path.with_name("older")
    copyfile(path, older)
    stand.inbox.take(DELETED)
    eventually(lambda: outcome(stand) == "done")
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    older.replace(path)
    stand.tell("other")
    eventually(lambda: stand.told()[-1:] == ["other"])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("lose", [for_lack_of_room, with_the_writer, with_the_file])
def test_of_an_end_that_was_told_and_that_the_journal_has_lost_nobody_is_told(
    left: Path, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(left) as stand:
        stand.tell("begun")
        eventually(lambda: stand.told()[-1:] == ["begun"])
        lose(stand, monkeypatch)
        be_missed(stand)
        assert stand.missed == []
