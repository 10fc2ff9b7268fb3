"""What is told of a runner, in the log and to those who watch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fake_world import MakeWorld
from loguru import logger
from waiting import eventually

from supervisor import lifecycle
from supervisor.lifecycle import Job
from supervisor.supervision import Change
from tests.unit.actors.runner.play import NAME, Play, found


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The lines of the log from INFO on."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO", format="{level} {message}")
    yield lines
    logger.remove(sink)


def test_a_life_that_goes_well_is_one_line_of_the_log_and_the_others_are_for_debugging(
    make_world: MakeWorld, said: list[str]
) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady(), lifecycle.Confirmed(busy=False))
    play.happens(lifecycle.JobStarted(Job("acme/demo", name="test")))
    play.happens(lifecycle.JobFinished(), lifecycle.GuestFinished(result="Succeeded"))
    play.comes_to("finished")
    play.world.clock.advance(62)
    play.happens(lifecycle.InstanceStopped(), lifecycle.InstanceGone())
    play.ends()
    play.world.feed.pass_on()
    why, job = "its job ended: Succeeded", "(acme/demo test)"
    assert said == [f"INFO deleted after 1m02s: {why} {job}\n"]
    waits = f"finished: {why}; waits for the guest to power off\n"
    assert {f"busy: runs its job {job}\n", waits} <= set(play.world.logged)


def test_one_that_fails_is_a_warning_in_the_log_with_the_reason(
    make_world: MakeWorld, said: list[str]
) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.Failed("no network"), lifecycle.InstanceGone())
    play.ends()
    play.world.feed.pass_on()
    assert said == ["WARNING failed: no network\n", "INFO deleted after 0.0s: no network\n"]


def test_each_stage_of_a_runner_is_told_to_those_who_watch(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.GuestReady(), lifecycle.Confirmed(busy=False))
    play.happens(lifecycle.JobStarted(Job("acme/demo", name="test")), lifecycle.JobFinished())
    play.happens(lifecycle.GuestFinished("0", "Succeeded"))
    play.happens(lifecycle.InstanceStopped(), lifecycle.InstanceGone())
    play.ends()
    told = [one for one in play.world.told if one.before != one.state]
    assert [one.before for one in told] == [
        "", "requested", "creating", "booting", "ready", "idle", "busy", "finished",
    ]  # fmt: skip
    assert [one.state for one in told[:-1]] == [one.before for one in told[1:]]
    assert (told[-1].state, told[-1].subject) == ("deleted", NAME)
    assert told[-1].details["job"]["result"] == "Succeeded"
    assert told[0].details["adopted"] is False


def test_a_runners_stages_are_told_once_and_not_as_its_actors_too(make_world: MakeWorld) -> None:
    world = make_world()
    changes: list[Change] = []
    world.system.observer = changes.append
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.InstanceGone())
    play.ends()
    assert {one.state for one in world.told} > {"requested", "booting"}
    assert [one for one in changes if one.id == NAME] == []


def test_a_runner_that_was_taken_over_is_told_as_such(make_world: MakeWorld) -> None:
    play = Play(make_world(), found("ready"))
    play.comes_to("ready")
    eventually(lambda: play.world.told)
    first = play.world.told[0]
    assert (first.before, first.state, first.details["adopted"]) == ("", "ready", True)


def test_a_failed_runner_is_told_with_the_stage_it_failed_in(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    play.happens(lifecycle.Failed("no network"))
    play.ends()
    failed = next(one for one in play.world.told if one.state == "failed")
    assert (failed.reason, failed.details["failed_in"]) == ("no network", "booting")
