"""The logs of a guest that has failed are kept before it goes."""

from __future__ import annotations

from fake_world import MakeWorld
from waiting import eventually

from supervisor import lifecycle
from tests.unit.actors.runner.play import NAME, Play


def test_a_failed_guests_logs_are_kept_before_it_goes(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.consoles[NAME] = "boots"
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.Failed("the guest says: no disk"))
    play.ends()
    calls = [call for call, _ in world.lxd.calls]
    assert calls.index("console_log") < calls.index("output_of") < calls.index("delete")
    (kept,) = world.parts.logs.listing()
    assert (kept.runner, kept.reason) == (NAME, "the guest says: no disk")
    assert any(f"supervisor-cli logs {NAME}" in line for line in world.logged)


def test_a_guest_that_hangs_while_its_logs_are_read_delays_nobody_else(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    play = Play(world)
    play.comes_to("booting")
    reading = world.lxd.hold("output_of")
    play.happens(lifecycle.Failed("no disk"))
    eventually(lambda: world.lxd.count("output_of") == 1)
    play.comes_to("failed")
    assert world.lxd.count("delete") == 0
    reading.set()
    play.ends()
    assert world.lxd.there == {}


def test_logs_that_can_not_be_kept_are_one_warning_and_no_obstacle(make_world: MakeWorld) -> None:
    world = make_world()
    world.state.write_text("in the way of the directory")
    world.lxd.consoles[NAME] = "boots"
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.Failed("no disk"))
    play.ends()
    assert len([line for line in world.logged if "the guest's logs are lost" in line]) == 1
    assert world.lxd.there == {}


def test_a_runner_that_is_ordered_away_leaves_no_logs(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.consoles[NAME] = "boots"
    play = Play(world)
    play.comes_to("booting")
    play.happens(lifecycle.DeletionOrdered("too many", force=True))
    play.ends()
    assert world.parts.logs.listing() == []
