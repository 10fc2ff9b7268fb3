"""How old a runner is, and where for how long, though the time of day was set."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fake_world import MakeWorld
from waiting import eventually

from supervisor import lifecycle
from supervisor.lifecycle import Job, Stage
from supervisor.runners import marks
from supervisor.supervision import Crash
from tests.unit.actors.runner.play import NAME, Play, found


@pytest.mark.parametrize("set_by_s", [-7200, 7200])
def test_how_long_a_runner_was_where_it_was_is_told_though_the_time_of_day_was_set(
    make_world: MakeWorld, set_by_s: float
) -> None:
    world = make_world()
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady())
    play.comes_to("ready")
    world.clock.advance(60)
    world.clock.set_by(set_by_s)
    play.happens(lifecycle.JobStarted(Job("acme/demo")))
    play.comes_to("busy")
    world.clock.advance(4)
    world.clock.set_by(set_by_s)
    play.happens(lifecycle.JobFinished())
    play.comes_to("finished")
    busy, finished = (
        next(one for one in world.told if one.state == state) for state in ("busy", "finished")
    )
    assert (busy.lasted_s, busy.details["waited_s"], finished.lasted_s) == (60.0, 60.0, 4.0)
    assert finished.at == world.clock.now()


def test_what_is_noted_and_shown_of_a_runner_is_the_time_of_day_as_it_is_set(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.clock.set_by(7200)
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady(), lifecycle.JobStarted(Job("acme/demo")))
    play.comes_to("busy")
    now = world.clock.now()
    eventually(lambda: world.lxd.there[NAME].config.get("user.supervisor.stage") == "busy")
    config = world.lxd.there[NAME].config
    assert marks.read("Running", config).seen.since == now.replace(microsecond=0)
    assert world.told[0].details["since"] == now.isoformat()


@pytest.mark.parametrize("set_by_s", [-7200, 7200])
def test_a_runner_is_taken_over_with_its_age_though_the_time_of_day_was_set(
    make_world: MakeWorld, set_by_s: float
) -> None:
    world = make_world(limits={"busy": "1h"})
    world.clock.set_by(set_by_s)
    world.lxd.put(NAME, installation="fleet")
    began = world.clock.now() - timedelta(minutes=40)
    busy = found("busy")
    play = Play(world, replace(busy, seen=replace(busy.seen, since=began)))
    play.comes_to("busy")
    assert world.told[0].details["since"] == began.isoformat()
    world.clock.advance(20 * 60 - 1)
    assert play.life().stage is Stage.BUSY
    world.clock.advance(2)
    play.ends()


@pytest.mark.parametrize("set_by_s", [-3600, 3600])
def test_when_a_runner_was_made_is_known_by_the_clock_that_nobody_sets(
    make_world: MakeWorld, set_by_s: float
) -> None:
    world = make_world()
    world.clock.set_by(set_by_s)
    play = Play(world)
    play.comes_to("booting")
    entry = world.parts.roster.get(NAME)
    assert entry is not None
    assert entry.made_at == world.clock.steady()
    config = world.lxd.requests[NAME]["config"]
    assert marks.read("Running", config).seen.created_at == world.clock.now()


@pytest.mark.parametrize("set_by_s", [-3600, 3600])
@pytest.mark.parametrize("stage", ["ready", "busy"])
def test_a_runner_whose_actor_crashes_after_the_clock_was_set_keeps_its_age(
    make_world: MakeWorld, stage: str, set_by_s: float
) -> None:
    world = make_world()
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady())
    play.comes_to("ready")
    if stage == "busy":
        play.happens(lifecycle.JobStarted(Job("acme/demo")))
        play.comes_to("busy")
    eventually(lambda: world.lxd.there[NAME].config.get("user.supervisor.stage") == stage)
    before = world.parts.roster.get(NAME)
    world.clock.advance(60)
    world.clock.set_by(set_by_s)
    world.tell(NAME, Crash("a test"))
    eventually(lambda: play.life().reason == "taken over")
    after = world.parts.roster.get(NAME)
    assert before
    assert after
    assert (after.life.stage, after.life.since) == (before.life.stage, before.life.since)
    assert after.made_at == before.made_at
