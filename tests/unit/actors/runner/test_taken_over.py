"""A runner whose actor, or whose daemon, was another before."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from fake_github import PLACE
from fake_world import MakeWorld, World
from waiting import eventually

from supervisor import lifecycle
from supervisor.gateways.lxd import LxdUnavailable
from supervisor.journal.courses import Courses
from supervisor.journal.digest import Digest
from supervisor.lifecycle import Job, Stage
from supervisor.messages.runner import Look
from supervisor.messages.tokens import InquireJob
from supervisor.observation.feed import Kind, Record
from supervisor.runners import marks
from supervisor.runners.marks import Marks
from supervisor.supervision import Crash
from tests.unit.actors.runner.play import NAME, Play, found


def test_a_runner_whose_actor_crashed_is_taken_over_from_lxd(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    before = play.world.parts.roster.get(NAME)
    play.happens(lifecycle.GuestReady())
    eventually(lambda: play.world.lxd.count("update_config") == 1)
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.lxd.count("instance") == 1)
    eventually(lambda: play.life().reason == "taken over")
    assert play.life().stage is Stage.READY
    after = play.world.parts.roster.get(NAME)
    assert before
    assert after
    assert after.signal_digest == before.signal_digest
    assert after.life.runner_id == before.life.runner_id
    assert play.world.lxd.count("create") == 1


def test_what_a_guest_says_while_it_is_looked_at_is_not_lost(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    gate = play.world.lxd.hold("instance")
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.lxd.count("instance") == 1)
    play.happens(lifecycle.GuestReady(), lifecycle.JobStarted(Job(name="test")))
    gate.set()
    play.comes_to("busy")


def test_a_look_at_an_lxd_that_is_down_is_repeated(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.world.lxd.fail("instance", LxdUnavailable("LXD is gone"))
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.shown(NAME) == ("unknown", "LXD is gone"))
    play.world.clock.advance(2)
    eventually(lambda: play.life().reason == "taken over")


def test_looks_that_fail_do_not_pile_up(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    lxd = play.world.lxd
    lxd.fail("instance", *[LxdUnavailable("LXD is gone")] * 4)
    for looks in range(1, 5):
        for _ in range(5):  # each reconcile wishes for one
            play.world.tell(NAME, Look())
        eventually(lambda looks=looks: lxd.count("instance") == looks)
        eventually(lambda: play.world.waiting(NAME) == 0)
        play.world.clock.advance(2)

    def looks_anew() -> bool:
        play.world.tell(NAME, Look())
        return lxd.count("instance") > 5

    eventually(looks_anew)


def test_a_crash_before_the_instance_was_made_leaves_nothing(make_world: MakeWorld) -> None:
    world = make_world()
    world.github.silent = True
    play = Play(world)
    eventually(lambda: world.github.asked == [NAME])
    world.tell(NAME, Crash("a test"))
    play.ends()
    assert play.stages[-1] == "deleted"
    assert world.lxd.there == {}


def test_one_that_does_not_say_where_it_is_registered_is_at_the_configured_place_for_good(
    make_world: MakeWorld,
) -> None:
    play = Play(make_world(), found("ready"))
    play.world.lxd.put(NAME, installation="fleet", stage="ready", runner_id="7", place="")
    play.comes_to("ready")
    noted = f"{marks.PREFIX}place"
    eventually(lambda: play.world.lxd.there[NAME].config.get(noted) == PLACE)
    play.world.reconfigure(path="other")
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.lxd.count("instance") == 1)
    play.happens(lifecycle.DeletionOrdered("the path has changed"))
    play.ends()
    assert play.world.github.deleted_at == [PLACE]


def test_a_runner_is_let_go_where_it_is_registered(make_world: MakeWorld) -> None:
    there = "https://github.com/other/project"
    play = Play(make_world(), replace(found("ready"), place=there))
    play.world.lxd.put(NAME, installation="fleet", stage="ready", runner_id="7", place=there)
    play.comes_to("ready")
    play.happens(lifecycle.DeletionOrdered("the path has changed"))
    play.ends()
    assert play.world.github.deleted_at == [there]


def test_a_runner_whose_actor_keeps_crashing_is_let_go(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady())
    eventually(lambda: play.world.lxd.count("update_config") == 1)
    for crashes in range(1, 4):
        play.world.tell(NAME, Crash("a test"))
        eventually(lambda crashes=crashes: play.world.lxd.count("instance") == crashes)
    play.ends()
    assert play.heard[-1].life.reason == "its actor crashed 3 times"
    assert play.world.lxd.there == {}


def test_an_order_that_waits_for_githubs_number_outlives_the_actor(make_world: MakeWorld) -> None:
    play = Play(make_world(), found("ready", runner_id=None))
    play.world.lxd.put(NAME, installation="fleet", stage="ready")
    play.comes_to("ready")
    play.happens(lifecycle.DeletionOrdered("flushed by order", stands=True))
    eventually(lambda: play.life().ordered_away)
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.lxd.count("instance") == 1)
    play.happens(lifecycle.RegistrationFound(7))
    play.ends()
    assert play.heard[-1].life.reason == "flushed by order"


def test_a_busy_runner_whose_actor_keeps_crashing_keeps_its_job(make_world: MakeWorld) -> None:
    play = Play(make_world(), found("busy"))
    play.world.lxd.put(NAME, installation="fleet", stage="busy", runner_id="7")
    play.comes_to("busy")
    for crashes in range(1, 5):
        play.world.tell(NAME, Crash("a test"))
        eventually(lambda crashes=crashes: play.world.lxd.count("instance") == crashes)
    play.comes_to("busy")
    assert play.world.lxd.count("delete") == 0


def test_a_fault_of_ours_in_the_work_restarts_the_runners_actor(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.fail("start", RuntimeError("a bug"))
    play = Play(world)
    play.ends()  # found stopped, and removed
    assert world.lxd.there == {}


@pytest.mark.parametrize(
    ("marks_", "stage"),
    [(found("busy"), "busy"), (found("ready"), "ready"), (found(), "booting")],
)
def test_what_was_found_is_taken_over_at_its_stage(
    make_world: MakeWorld, marks_: Marks, stage: str
) -> None:
    play = Play(make_world(), marks_)
    play.comes_to(stage)
    assert play.stages == [stage]
    assert play.world.parts.roster.recognises(NAME, "token")


def test_what_was_found_stopped_is_removed_with_its_registration(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.put(NAME, "Stopped", installation="fleet")
    play = Play(world, found(running=False))
    play.ends()
    assert world.lxd.there == {}
    eventually(lambda: world.github.deleted == [NAME])


def test_what_was_made_and_never_started_goes_and_counts_as_no_failure(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    marked = {f"{marks.PREFIX}installation": "fleet", f"{marks.PREFIX}runner-id": "7"}
    world.lxd.create({"name": NAME, "config": marked}, limit_s=1)  # by the daemon before
    play = Play(world, found_at(world))
    play.ends()
    assert world.lxd.there == {}
    eventually(lambda: set(world.github.deleted) == {NAME})
    assert [one.state for one in world.told] == ["finished", "deleted"]
    assert world.parts.last_failure.known is None
    courses = Courses()
    ended = [course for one in world.told for course in courses.take(one)][-1]
    assert (ended.outcome, ended.reason) == ("removed", "was made and never started")


def test_a_job_that_ended_while_nobody_listened_is_no_failure_of_its_runner(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.lxd.put(NAME, "Stopped", **AT_WORK)
    play = Play(world, found_at(world))
    play.ends()
    assert world.lxd.there == {}
    eventually(lambda: set(world.github.deleted) == {NAME})
    assert [one.state for one in world.told] == ["finished", "deleted"]
    assert world.parts.last_failure.known is None
    (event,) = metric_events_of(world)
    assert (event["event"], event["status"], event["repo"]) == ("runner_stop", "normal", "acme/web")
    assert "job_duration" not in event


def test_how_a_job_ended_while_nobody_listened_is_asked_and_told_once(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    job = json.dumps(asdict(Job("acme/web", "build", run_id="9")))
    world.lxd.put(NAME, "Stopped", **{**AT_WORK, "job": job})
    Play(world, found_at(world)).ends()
    eventually(lambda: world.github.inquiries)
    assert world.github.inquiries == [InquireJob(NAME, "acme/web", "9", PLACE)]
    assert metric_events_of(world) == []
    now = world.clock.now()
    world.feed.tell(Record(now, Kind.JOB, NAME, "failure", details={"queue_s": 1.0}))
    (event,) = metric_events_of(world)
    assert (event["event"], event["job_conclusion"]) == ("runner_stop", "failure")
    assert "job_duration" not in event


def test_a_job_that_went_down_with_the_host_is_lost_and_its_runner_has_failed(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.lxd.put(NAME, **AT_WORK)
    world.lxd.lose_power()
    play = Play(world, found_at(world))
    play.ends()
    assert world.lxd.there == {}
    eventually(lambda: set(world.github.deleted) == {NAME})
    failed, _ = world.told
    assert (failed.state, failed.reason) == (
        "failed",
        "stopped while busy, with its host or LXD down",
    )
    (event,) = metric_events_of(world)
    assert (event["event"], event["status"], event["repo"]) == (
        "runner_stop",
        "abnormal",
        "acme/web",
    )
    assert "job_duration" not in event


AT_WORK = {
    "installation": "fleet",
    "stage": "busy",
    "runner_id": "7",
    "job": json.dumps(asdict(Job("acme/web", "build", name="test"))),
}


def found_at(world: World) -> Marks:
    return marks.read("Stopped", world.lxd.there[NAME].config)


def metric_events_of(world: World) -> list[dict[str, Any]]:
    digest = Digest("fleet")
    taken = [digest.metric_events(digest.take(one), 0) for one in world.told]
    return [dict(event) for events in taken for event in events]
