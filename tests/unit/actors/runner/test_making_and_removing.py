"""What becomes of an instance that can't be made, started or removed."""

from __future__ import annotations

from fake_world import MakeWorld
from waiting import eventually

from supervisor import lifecycle
from supervisor.gateways.lxd import LxdError
from supervisor.supervision import Crash
from tests.unit.actors.runner.play import NAME, Play


def test_a_refused_registration_ends_it_with_nothing_made(make_world: MakeWorld) -> None:
    world = make_world()
    world.github.refuses = "could not register: the name is taken"
    play = Play(world)
    play.ends()
    assert play.stages == ["requested", "failed", "deleted"]
    assert play.heard[-1].life.reason == "could not register: the name is taken"
    assert world.lxd.count("create") == 0


def test_a_failed_creation_removes_what_is_left_and_the_registration(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.lxd.fail("create", LxdError("the disk is full"))
    play = Play(world)
    play.ends()
    assert "failed" in play.stages
    assert play.heard[-1].life.reason == "the disk is full"
    assert world.lxd.count("delete") == 1
    eventually(lambda: world.github.deleted == [NAME])


def test_a_failed_start_removes_the_instance(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.fail("start", LxdError("no address"))
    play = Play(world)
    play.ends()
    assert world.lxd.there == {}
    eventually(lambda: world.github.registered == {})


def test_a_failed_removal_is_tried_again_and_counted(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.fail("start", LxdError("no address"))
    world.lxd.fail("delete", LxdError("it is busy"), LxdError("it is busy"))
    play = Play(world)
    eventually(lambda: play.life().removal_failures == 1)
    assert play.life().reason == "no address; removal failed: it is busy"
    play.rests()
    world.clock.advance(15)
    eventually(lambda: play.life().removal_failures == 2)
    assert play.life().reason == "no address; removal failed: it is busy"
    play.rests()
    world.clock.advance(29)
    assert world.lxd.count("delete") == 2
    world.clock.advance(1)
    play.ends()
    assert world.lxd.there == {}


def test_a_removal_waits_for_the_creation_that_is_under_way(make_world: MakeWorld) -> None:
    world = make_world()
    gate = world.lxd.hold("create")
    play = Play(world)
    eventually(lambda: world.lxd.count("create") == 1)
    play.happens(lifecycle.DeletionOrdered("not wanted any more"))
    play.comes_to("finished")
    assert world.lxd.count("delete") == 0
    gate.set()
    play.ends()
    assert world.lxd.there == {}
    assert world.lxd.count("start") == 0


def test_a_crash_during_a_removal_removes_nothing_twice(make_world: MakeWorld) -> None:
    play = Play(make_world())
    play.comes_to("booting")
    lxd = play.world.lxd
    gate = lxd.hold("delete")
    play.happens(lifecycle.DeletionOrdered("not wanted any more"))
    eventually(lambda: lxd.count("delete") == 1)
    play.world.tell(NAME, Crash("a test"))
    eventually(lambda: play.world.shown(NAME) == ("unknown", "is being looked at"))
    # What LXD is still doing comes first: the look would show what is gone a moment later.
    assert lxd.count("instance") == 0
    gate.set()
    play.ends()
    assert lxd.count("delete") == 1
    assert lxd.there == {}
