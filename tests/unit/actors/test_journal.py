"""The journal's actor: says how the writing goes, and loses nothing when it crashes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_github import PLACE
from fake_world import World
from held_journal import held_writes
from journal_records import JOB, NAME, reconcile, step, waited
from prometheus_client import generate_latest
from waiting import LIMIT_S, eventually

from supervisor.actors import metrics
from supervisor.actors.journal import JournalActor
from supervisor.gateways import journal_reader
from supervisor.gateways.journal_store import JournalStore
from supervisor.journal import EventsQuestion, HistoryQuestion
from supervisor.messages.tokens import InquireJob
from supervisor.observation.feed import Kind, Record
from supervisor.recording.writer import JournalStanding, JournalWriter
from supervisor.status.report import current_status, status_report
from supervisor.supervision import ChildSpec, Crash, TreeNode, tree

MakeWorld = Callable[..., World]


def start(world: World) -> World:
    world.run(ChildSpec("journal", partial(JournalActor.start, world.system, world.parts)))
    return world


def tell(world: World, subject: str) -> None:
    world.feed.tell(Record(world.clock.now(), Kind.ORDER, subject, "ordered"))


def written(world: World) -> list[str]:
    found = journal_reader.events(world.parts.journal.path, EventsQuestion()).events
    return [event.record.subject for event in found]


def states(world: World) -> list[str]:
    found = journal_reader.events(world.parts.journal.path, EventsQuestion()).events
    return [event.record.state for event in found]


def warnings(world: World) -> tuple[str, ...]:
    found: tuple[str, ...] = node(world).details["warnings"]
    return found


def node(world: World) -> TreeNode:
    root = tree(world.system)
    assert root is not None
    return root.children[0]


def writers() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "journal-writer"}


def test_what_happens_is_written_down(make_world: MakeWorld) -> None:
    world = start(make_world())
    tell(world, "flush")
    eventually(lambda: written(world) == ["flush"])
    assert world.shown("journal") == ("recording", f"writes {world.parts.journal.path}")
    assert warnings(world) == ()


@pytest.mark.parametrize(
    ("run_id", "asked"), [("7", [InquireJob(NAME, "acme/demo", "7", PLACE)]), ("", [])]
)
def test_how_a_job_ended_whose_runner_is_gone_is_asked_where_that_can_be(
    make_world: MakeWorld, run_id: str, asked: list[InquireJob]
) -> None:
    world = make_world()
    actor = ChildSpec("journal", partial(JournalActor.start, world.system, world.parts))
    world.run(world.tokens(), actor)
    job = asdict(replace(JOB, run_id=run_id))
    for told in (step(0, "idle", "busy", job=job), reconcile(1), reconcile(7), reconcile(70)):
        world.feed.tell(told)
    world.parts.journal.catch_up(LIMIT_S)
    assert states(world) == ["busy", "done", "done", "gone", "done"]
    world.settle()
    assert world.github.inquiries == asked


def test_a_job_whose_end_was_told_and_is_not_in_the_journal_is_counted_once_and_asked_about_by_none(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    inbox = world.parts.journal
    actor = ChildSpec("journal", partial(JournalActor.start, world.system, world.parts))
    world.run(world.tokens(), actor)
    job = asdict(JOB)
    world.feed.tell(step(0, "idle", "busy", job=job))
    inbox.catch_up(LIMIT_S)
    room, inbox.room = inbox.room, 0
    world.feed.tell(step(5, "busy", "deleted", job=job))
    world.feed.pass_on()
    inbox.room = room
    for told in (waited(6, 12.0), reconcile(10), reconcile(20)):
        world.feed.tell(told)
    inbox.catch_up(LIMIT_S)
    assert states(world) == ["busy", "success", "done", "done", "gone"]
    world.settle()
    assert world.github.inquiries == []
    page = generate_latest(world.parts.counters).decode()
    assert 'jobs_total{event="push",result="succeeded"} 1.0' in page
    assert "job_queue_duration_seconds_count 1.0" in page


@pytest.mark.parametrize("run_id", ["7", ""])
def test_a_job_of_whose_end_its_guest_had_told_is_counted_though_its_runners_was_not_seen(
    make_world: MakeWorld, run_id: str
) -> None:
    world = start(make_world())
    job = asdict(replace(JOB, run_id=run_id, result="Failed"))
    for told in (step(0, "busy", "finished", job=job), reconcile(10), reconcile(20)):
        world.feed.tell(told)
    world.parts.journal.catch_up(LIMIT_S)
    page = generate_latest(world.parts.counters).decode()
    assert 'jobs_total{event="push",result="failed"} 1.0' in page


def test_what_is_told_while_it_is_away_is_written_later(make_world: MakeWorld) -> None:
    world = make_world()
    tell(world, "before")
    world.run(ChildSpec("journal", partial(JournalActor.start, world.system, world.parts)))
    eventually(lambda: written(world) == ["before"])
    world.tell("journal", Crash())
    tell(world, "meanwhile")
    eventually(lambda: written(world) == ["before", "meanwhile"])
    eventually(lambda: world.shown("journal")[0] == "recording")


def test_a_journal_that_can_not_be_written_is_a_warning_and_no_problem(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    path = world.parts.journal.path
    path.mkdir(parents=True)
    start(world)
    eventually(lambda: world.shown("journal")[0] == "failing")
    assert str(path) in world.shown("journal")[1]
    assert warnings(world) == (f"journal: {world.shown('journal')[1]}",)
    report = status_report(tree(world.system), (), world.parts.settings, world.clock.now())
    assert report["warnings"] == list(warnings(world))
    assert report["problems"] == []


def test_a_journal_that_can_not_be_written_is_told_also_while_its_actor_is_away(
    make_world: MakeWorld,
) -> None:
    def told() -> tuple[list[str], bool]:
        status = current_status(tree(world.system), world.parts, world.clock)
        page = metrics.make_app(world.system, world.parts).test_client().get("/metrics").text
        failing = "github_runner_supervisor_journal_failing 1.0" in page.splitlines()
        return status["warnings"], failing

    world = make_world()
    path = world.parts.journal.path
    path.mkdir(parents=True)
    start(world)
    eventually(lambda: world.shown("journal")[0] == "failing")
    fault = f"journal: {world.shown('journal')[1]}"
    assert told() == ([fault], True)
    world.system.stop()
    assert told() == ([fault], True)
    path.rmdir()
    world.pass_until(lambda: told() == ([], False), 1)


def test_a_journal_that_nobody_has_begun_to_write_is_told(make_world: MakeWorld) -> None:
    world = make_world()
    status = current_status(tree(world.system), world.parts, world.clock)
    assert "journal: nobody writes it" in status["warnings"]


def test_what_was_lost_is_said(make_world: MakeWorld) -> None:
    world = make_world()
    world.parts.journal.lose(3)
    start(world)
    eventually(
        lambda: warnings(world) == ("journal: 3 events were lost since the daemon has started",)
    )


def test_a_write_that_hangs_is_said_and_so_is_what_is_lost_meanwhile(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = held_writes(monkeypatch)
    world = make_world()
    writer = world.parts.journal_writer
    tell(world, "flush")
    start(world)
    assert hangs.wait(LIMIT_S)
    world.parts.journal.lose(2)
    try:
        assert world.shown("journal")[0] == "recording"
        assert writer.fault == ""
        world.clock.advance(10)
        hung = f"{world.parts.journal.path}: no answer within 10 s"
        eventually(lambda: world.shown("journal") == ("failing", hung))
        assert node(world).details["lost"] == 2
        assert warnings(world)[0] == f"journal: {hung}"
        assert writer.fault == hung
    finally:
        goes_on.set()
    world.pass_until(lambda: world.shown("journal")[0] == "recording", 10)
    said = [line for line in world.logged if "the journal is written again; 2 events" in line]
    assert len(said) == 1


def test_a_write_that_goes_on_after_it_hung_is_said_once_also_where_its_writer_tells_of_it_first(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Callable[[JournalStanding], object]] = []
    hung = ["no answer"]

    def listen(
        _writer: object, changed: Callable[[JournalStanding], object], _missed: object
    ) -> JournalStanding:
        told.append(changed)
        return JournalStanding()

    monkeypatch.setattr(JournalWriter, "start", listen)
    monkeypatch.setattr(JournalWriter, "hung", property(lambda _writer: hung[0]))
    world = start(make_world())
    world.pass_until(lambda: world.shown("journal") == ("failing", "no answer"), 10)
    hung[0] = ""
    told[0](JournalStanding(warning="begun anew"))
    eventually(lambda: world.shown("journal")[0] == "recording")
    world.clock.advance(10)
    assert world.shown("journal")[0] == "recording"
    said = [line for line in world.logged if "the journal is written again; 0 events" in line]
    assert len(said) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_has_ended_is_noticed_and_there_is_another(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    path = world.parts.journal.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database at all" * 1000)
    with monkeypatch.context() as broken:

        def end(*_args: object) -> None:
            raise SystemExit

        broken.setattr(JournalStore, "write", end)
        start(world)
        tell(world, "lost")
        eventually(lambda: world.parts.journal.lost == 1)
    world.pass_until(lambda: node(world).restarts == 1, 10)
    tell(world, "after")
    eventually(lambda: written(world) == ["after"])
    aside, lost = warnings(world)
    assert "is journal.sqlite.set-aside now, and a new one was begun" in aside
    assert lost == "journal: 1 events were lost since the daemon has started"


def test_there_are_never_two_who_write_whatever_one_hangs_in(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on, write = threading.Event(), threading.Event(), JournalStore.write

    def hang(store: JournalStore, *given: Any) -> int:
        hangs.set()
        goes_on.wait()
        return write(store, *given)

    monkeypatch.setattr(JournalStore, "write", hang)
    before = writers()  # one that an earlier test has left would be another's
    world = start(make_world())
    world.feed.tell(step(0, "", "requested"))
    assert hangs.wait(LIMIT_S)
    try:
        world.tell("journal", Crash())
        eventually(lambda: node(world).restarts == 1)
        world.feed.tell(step(1, "requested", "creating"))
        world.feed.tell(step(30, "creating", "ready"))
        assert len(writers() - before) == 1
    finally:
        goes_on.set()
    eventually(lambda: len(written(world)) == 3)
    found = journal_reader.events(world.parts.journal.path, EventsQuestion()).events
    assert [event.record.state for event in found] == ["requested", "creating", "ready"]
    history = journal_reader.history(world.parts.journal.path, HistoryQuestion())
    assert [course.install_s for course in history.runners] == [30.0]
    assert warnings(world) == ()


@pytest.mark.parametrize(
    ("standing", "line", "warning"),
    [
        (JournalStanding(fault="full"), "the journal can't be written: full", "journal: full"),
        (JournalStanding(warning="begun anew"), "the journal: begun anew", "journal: begun anew"),
        (
            JournalStanding(prune_fault="locked"),
            "the journal can't be pruned: locked",
            "journal: can't be pruned: locked",
        ),
        (
            JournalStanding(log_fault="no room"),
            "the metric log can't be written: no room",
            "metric log: no room",
        ),
    ],
)
def test_what_is_wrong_with_it_is_a_line_of_the_log_once_and_a_warning(
    standing: JournalStanding,
    line: str,
    warning: str,
    make_world: MakeWorld,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Callable[[JournalStanding], object]] = []

    def listen(
        _writer: object, changed: Callable[[JournalStanding], object], _missed: object
    ) -> JournalStanding:
        told.append(changed)
        return JournalStanding()

    monkeypatch.setattr(JournalWriter, "start", listen)
    world = start(make_world())
    told[0](standing)
    told[0](standing)
    eventually(lambda: warnings(world) == (warning,))
    assert [one.strip() for one in world.logged].count(line) == 1
    told[0](JournalStanding())
    eventually(lambda: warnings(world) == ())
    recovered = [one for one in world.logged if "the journal is written again; 0 events" in one]
    assert len(recovered) == bool(standing.fault)


def test_who_is_there_is_not_gone_for_a_journal_that_had_to_begin_again(
    make_world: MakeWorld,
) -> None:
    world = start(make_world())
    path = world.parts.journal.path

    def outcomes() -> dict[str, str]:
        found = journal_reader.history(path, HistoryQuestion())
        return {course.name: course.outcome for course in found.runners}

    world.feed.tell(step(0, "", "requested"))
    world.feed.tell(step(0, "", "requested")._replace(subject="fleet-b"))
    eventually(lambda: set(outcomes()) == {NAME, "fleet-b"})
    world.tell("journal", Crash())
    for seconds in (10, 20):
        world.feed.tell(reconcile(seconds, runners=[NAME]))
    eventually(lambda: outcomes() == {NAME: "", "fleet-b": "gone"})


def test_metric_events_go_to_the_log_that_is_configured(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    log = tmp_path / "metrics.log"
    world = start(make_world(**{"metric-log": {"path": str(log)}}))
    world.feed.tell(reconcile(0))
    eventually(log.exists)
    eventually(lambda: log.read_text(encoding="utf-8").endswith("\n"))
    told = json.loads(log.read_text(encoding="utf-8"))
    assert (told["event"], told["flavor"]) == ("reconciliation", "fleet")
    assert (told["expected_runners"], told["duration"]) == (1, 0.1)
