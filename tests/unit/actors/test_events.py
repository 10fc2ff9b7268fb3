from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from fake_actors import Inbox
from fake_world import World
from waiting import eventually

from supervisor import lifecycle
from supervisor.actors.events import EventsActor
from supervisor.gateways.lxd import LxdUnavailable
from supervisor.messages.fleet import InstanceAppeared, Reconcile
from supervisor.messages.runner import Happened
from supervisor.runners.naming import runner_name
from supervisor.supervision import ChildSpec, Crash

MakeWorld = Callable[..., World]
NAME = runner_name("fleet", "aaaaaaaaaa")
OTHER = runner_name("fleet", "bbbbbbbbbb")
STRANGER = runner_name("fleet-2", "aaaaaaaaaa")


def start(world: World) -> tuple[list[Any], list[Any]]:
    """Run the actor between a fleet and a runner; give what those two are told."""
    fleet: list[Any] = []
    runner: list[Any] = []
    system = world.system
    world.run(
        ChildSpec("fleet", lambda: Inbox.start(system, fleet)),
        ChildSpec(NAME, lambda: Inbox.start(system, runner)),
        ChildSpec("events", partial(EventsActor.start, system, world.parts)),
    )
    return fleet, runner


def test_events_reach_the_runner_that_they_concern(make_world: MakeWorld) -> None:
    world = make_world()
    _, runner = start(world)
    eventually(lambda: world.lxd.streams)
    stream = world.lxd.streams[0]
    for action in ("shutdown", "stopped", "deleted", "updated"):
        stream.feed(f"instance-{action}", NAME)
    stream.feed("instance-deleted", STRANGER)
    stream.feed("instance-deleted", OTHER)  # has no actor
    stream.feed("instance-deleted", NAME)
    eventually(lambda: len(runner) == 4)
    stopped, gone = Happened(lifecycle.InstanceStopped()), Happened(lifecycle.InstanceGone())
    assert runner == [stopped, stopped, gone, gone]


def test_a_created_instance_is_news_for_the_fleet(make_world: MakeWorld) -> None:
    world = make_world()
    fleet, _ = start(world)
    eventually(lambda: world.lxd.streams)
    world.lxd.streams[0].feed("instance-created", OTHER)
    world.lxd.streams[0].feed("instance-created", STRANGER)
    eventually(lambda: InstanceAppeared(OTHER) in fleet)
    assert sum(isinstance(message, InstanceAppeared) for message in fleet) == 1


def test_after_a_gap_the_fleet_looks_at_everything(make_world: MakeWorld) -> None:
    world = make_world()
    fleet, runner = start(world)
    eventually(lambda: sum(isinstance(m, Reconcile) for m in fleet) == 1)
    eventually(lambda: world.shown("events")[0] == "listening")
    world.lxd.fail("events", LxdUnavailable("not yet"))
    world.lxd.streams[0].break_off(LxdUnavailable("LXD has gone"))
    eventually(lambda: world.shown("events") == ("reconnecting", "LXD has gone"))
    world.clock.advance(1)
    eventually(lambda: world.shown("events") == ("reconnecting", "not yet"))
    assert world.lxd.streams[0].closed.is_set()
    world.clock.advance(1)
    eventually(lambda: len(world.lxd.streams) == 2)
    eventually(lambda: sum(isinstance(m, Reconcile) for m in fleet) == 2)
    world.lxd.streams[1].feed("instance-deleted", NAME)
    eventually(lambda: runner)


def test_lxd_may_come_up_later(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.fail("events", LxdUnavailable("LXD is not running"))
    start(world)
    eventually(lambda: world.shown("events") == ("reconnecting", "LXD is not running"))
    assert world.details("events")["cause"] == "lxd-unavailable"
    world.clock.advance(1)
    eventually(lambda: world.shown("events")[0] == "listening")
    assert "cause" not in world.details("events")


def test_a_stream_that_is_cut_again_and_again_is_asked_for_ever_more_seldom(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    fleet, _ = start(world)
    for number in range(1, 11):
        eventually(lambda number=number: len(world.lxd.streams) == number)
        eventually(lambda: world.shown("events")[0] == "listening")
        world.lxd.streams[-1].break_off()
        eventually(lambda: world.shown("events")[0] == "reconnecting")
        world.clock.advance(min(2 ** (number - 1), 30) - 0.1)
        assert world.shown("events")[0] == "reconnecting"
        world.clock.advance(0.1)
    eventually(lambda: sum(isinstance(message, Reconcile) for message in fleet) == 11)


def test_a_stream_that_held_for_a_while_is_asked_for_at_once(make_world: MakeWorld) -> None:
    world = make_world()
    start(world)
    for number, held_s in enumerate((1, 1, 1, 61, 1), 1):
        eventually(lambda number=number: len(world.lxd.streams) == number)
        eventually(lambda: world.shown("events")[0] == "listening")
        world.clock.advance(held_s)
        world.lxd.streams[-1].break_off()
        eventually(lambda: world.shown("events")[0] == "reconnecting")
        world.clock.advance({1: 1, 2: 2, 3: 4, 4: 1, 5: 2}[number])
    eventually(lambda: len(world.lxd.streams) == 6)


def test_a_crash_leaves_no_stream_and_no_thread_behind(make_world: MakeWorld) -> None:
    world = make_world()
    start(world)
    eventually(lambda: world.lxd.streams)
    eventually(lambda: world.shown("events")[0] == "listening")

    def listeners() -> int:
        return sum(thread.name.startswith("events") for thread in threading.enumerate())

    before = listeners()
    for crashes in range(1, 6):
        world.tell("events", Crash("a test"))
        eventually(lambda crashes=crashes: len(world.lxd.streams) == crashes + 1)
        eventually(lambda: world.shown("events")[0] == "listening")
    assert all(stream.closed.is_set() for stream in world.lxd.streams[:-1])
    eventually(lambda: listeners() <= before)


def test_a_stream_that_comes_after_the_actors_end_is_closed(make_world: MakeWorld) -> None:
    world = make_world()
    gate = world.lxd.hold("events")
    start(world)
    eventually(lambda: world.lxd.count("events") == 1)
    world.system.stop()
    gate.set()
    eventually(lambda: world.lxd.streams)
    eventually(world.lxd.streams[0].closed.is_set)


def test_a_fault_of_ours_restarts_the_actor(make_world: MakeWorld) -> None:
    world = make_world()
    world.lxd.fail("events", RuntimeError("a bug"))
    start(world)
    eventually(lambda: world.shown("events")[0] == "listening")
