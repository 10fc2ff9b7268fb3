"""What is recorded in LXD of a runner's stage, and secrets that leave it then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_world import MakeWorld, World
from waiting import eventually

from supervisor import lifecycle
from supervisor.gateways.lxd import LxdUnavailable, Stopping
from supervisor.lifecycle import Job, Life, Stage
from supervisor.runners import marks
from supervisor.runners.roster import Entry
from supervisor.supervision import Crash
from tests.unit.actors.runner.play import NAME, Play


def test_a_stage_that_could_not_be_recorded_is_no_failure(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.fail("update_config", LxdUnavailable("LXD is gone"))
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady())
    eventually(lambda: any("could not record the stage" in line for line in world.logged))
    assert play.life().stage is Stage.READY


def test_one_that_stops_before_its_stage_is_recorded_is_no_trouble(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.fail("update_config", Stopping("it stops"))
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady())
    eventually(lambda: world.lxd.count("update_config") == 1)
    play.world.clock.advance(30)  # should it go on after all
    eventually(lambda: not holds_secrets(play.world))
    assert _failed_records(world) == 0


def holds_secrets(world: World) -> bool:
    return "cloud-init.user-data" in world.lxd.there[NAME].config


def start_another(world: World) -> None:
    """Have LXD be busy with another runner's start."""
    life = Life(Stage.CREATING, world.clock.now())
    world.parts.roster.put(Entry("fleet-bbbbbbbb", "g", life))


def test_what_a_guest_has_taken_leaves_lxd(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    assert holds_secrets(play.world)
    play.happens(lifecycle.GuestReady(), lifecycle.Confirmed(busy=False))
    eventually(lambda: not holds_secrets(play.world))
    assert play.world.lxd.count("update_config") == 1


def test_while_others_start_secrets_leave_lxd_a_little_later(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    start_another(play.world)
    play.happens(lifecycle.GuestReady())
    play.comes_to("ready")
    assert play.world.lxd.count("update_config") == 0
    play.world.clock.advance(5)
    eventually(lambda: not holds_secrets(play.world))


def test_a_job_that_starts_first_takes_the_secrets_out_at_once_and_once(
    make_world: MakeWorld,
) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    start_another(play.world)
    play.happens(lifecycle.GuestReady(), lifecycle.JobStarted(Job(name="test")))
    eventually(lambda: not holds_secrets(play.world))
    play.world.clock.advance(6)
    play.happens(lifecycle.Confirmed(busy=True))
    play.happens(lifecycle.JobFinished())
    play.comes_to("finished")
    assert play.world.lxd.count("update_config") == 1


def test_a_record_that_was_put_off_outlives_a_retirement_that_failed(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    start_another(play.world)
    play.happens(lifecycle.GuestReady())
    play.comes_to("ready")
    play.world.github.keeps = "GitHub answered 500"
    play.happens(lifecycle.DeletionOrdered("not wanted any more"))
    eventually(lambda: play.stages[-2:] == ["retiring", "ready"])
    assert holds_secrets(play.world)
    play.world.clock.advance(5)
    eventually(lambda: not holds_secrets(play.world))


def test_secrets_that_lxd_did_not_let_go_are_taken_out_later(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.world.lxd.fail("update_config", *[LxdUnavailable("LXD is gone")] * 2)
    play.happens(lifecycle.GuestReady())
    for tries in (1, 2):
        eventually(lambda tries=tries: _failed_records(play.world) == tries)
        assert holds_secrets(play.world)
        play.world.clock.advance(30)
    eventually(lambda: not holds_secrets(play.world))
    play.world.clock.advance(300)
    assert play.world.lxd.count("update_config") == 3


def _failed_records(world: World) -> int:
    return sum("could not record the stage" in line for line in world.logged)


@pytest.mark.parametrize("stage", ["ready", "busy"])
def test_secrets_that_an_earlier_daemon_left_are_taken_out(
    make_world: MakeWorld, stage: str
) -> None:
    world = make_world()
    world.lxd.put(NAME, installation="fleet", stage=stage, runner_id="7")
    config = {**world.lxd.there[NAME].config, "cloud-init.user-data": "#!/bin/sh"}
    world.lxd.there[NAME] = replace(world.lxd.there[NAME], config=config)
    Play(world, marks.read("Running", config))
    eventually(lambda: not holds_secrets(world))
    assert world.lxd.there[NAME].config[f"{marks.PREFIX}stage"] == stage


def test_one_that_was_ready_is_so_since_then_though_a_crash_came_before_it_was_recorded(
    make_world: MakeWorld,
) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    start_another(play.world)
    play.happens(lifecycle.GuestReady())
    play.comes_to("ready")
    ready_at = play.life().ready_at
    play.world.clock.advance(2)
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.life().reason == "taken over")
    assert play.life().stage is Stage.BOOTING
    play.happens(lifecycle.Confirmed(busy=False), lifecycle.JobStarted(Job("acme/demo")))
    play.comes_to("busy")
    assert play.life().ready_at == ready_at
    eventually(lambda: any("waited_s" in one.details for one in play.world.told))
    told = [one.details["waited_s"] for one in play.world.told if "waited_s" in one.details]
    assert told == [2.0]
    eventually(lambda: not holds_secrets(play.world))
