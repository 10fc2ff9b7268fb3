"""What a fleet that was started anew finds, keeps, and does not do twice."""

from __future__ import annotations

from dataclasses import replace

from fake_world import MakeWorld
from waiting import eventually

from supervisor.gateways.lxd import LxdUnavailable
from supervisor.lifecycle import Job, JobStarted
from supervisor.messages.runner import Happened
from supervisor.messages.signals import SignalsListening
from supervisor.messages.tokens import RegistrationsListed
from supervisor.supervision import Backoff, Crash
from tests.unit.actors.fleet.running import ready, start


def test_a_restarted_fleet_creates_nothing_twice(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=3))
    eventually(lambda: world.stages() == {"booting": 3})
    before = world.names()
    world.tell("fleet", Crash("a test"))
    eventually(lambda: world.lxd.count("instances") == 2)
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    ready(world)
    eventually(lambda: world.shown("fleet") == ("keeping", "3 of 3 runners are there"))
    assert world.names() == before == sorted(world.lxd.there)
    assert world.lxd.count("create") == 3


def test_a_fleet_restarted_during_a_creation_creates_nothing_twice(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=2)
    gate = world.lxd.hold("create")
    start(world)
    eventually(lambda: world.lxd.count("create") == 2)
    world.tell("fleet", Crash("a test"))
    eventually(lambda: world.lxd.count("instances") == 2)
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    gate.set()
    eventually(lambda: world.stages() == {"booting": 2})
    assert world.lxd.count("create") == 2


def test_runners_that_died_with_their_supervisor_are_taken_over_again(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=2))
    eventually(lambda: world.stages() == {"booting": 2})
    before = world.names()
    world.tell("tokens", Crash("a test"))  # all after it are started anew
    eventually(lambda: world.lxd.count("instances") == 2)
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    eventually(lambda: world.names() == before)
    assert world.lxd.count("create") == 2
    assert world.lxd.count("delete") == 0


def test_creations_that_outlive_their_actors_keep_their_places(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=2)
    gate = world.lxd.hold("create")
    start(world)
    eventually(lambda: world.lxd.count("create") == 2)
    before = world.names()
    world.tell("tokens", Crash("a test"))  # all after it are started anew, and remember nothing
    eventually(lambda: world.lxd.count("instances") == 2)
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    eventually(lambda: world.names() == before)
    gate.set()
    # What they made is half-made: it is removed before others come.
    eventually(lambda: not set(world.names()) & set(before))
    eventually(lambda: world.stages() == {"booting": 2})
    assert world.lxd.most_there <= 2


def test_a_changed_configuration_meets_a_fleet_that_restarts(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    world.reconfigure(virtual_machines=3)
    world.tell("fleet", Crash("a test"))  # nobody hears of the change
    eventually(lambda: world.lxd.count("instances") == 2)
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    eventually(lambda: world.stages() == {"booting": 3})


def test_a_fleet_that_crashes_while_a_runner_waits_to_be_started_again_keeps_it(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=2), backoff=Backoff(minimum=5, maximum=5, jitter=0))
    eventually(lambda: world.stages() == {"booting": 2})
    busy = min(world.names())
    world.tell(busy, Happened(JobStarted(Job(name="test"))))
    eventually(lambda: world.stages() == {"busy": 1, "booting": 1})
    before = world.names()
    world.tell(busy, Crash("a test"))
    eventually(lambda: not world.system.directory.alive(busy))
    world.tell("fleet", Crash("a test"))
    eventually(lambda: world.lxd.count("instances") == 2)
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    world.settle()
    for _ in range(8):
        assert world.names() == before
        world.clock.advance(1)
        world.settle()
    eventually(lambda: world.stages() == {"busy": 1, "booting": 1})
    assert world.names() == before
    assert world.lxd.count("create") == 2
    assert "failed" not in world.shown("fleet")[1]


def test_an_answer_to_an_earlier_incarnation_is_none_to_this_one(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    world.github.silent = True
    start(world)
    eventually(lambda: world.github.listings == 1)
    world.tell("fleet", Crash("a test"))
    eventually(lambda: world.github.listings == 2)
    first, second = world.github.tickets
    assert first != second
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    world.tell("fleet", RegistrationsListed(first))
    world.settle()
    assert world.names() == []
    world.tell("fleet", RegistrationsListed(second))
    eventually(lambda: len(world.names()) == 1)


def test_a_fault_of_ours_in_a_listing_restarts_the_fleet(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    world.lxd.fail("instances", RuntimeError("a bug"))
    start(world, signals=False)
    eventually(lambda: world.lxd.count("instances") == 2)
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    eventually(lambda: world.stages() == {"booting": 1})


def test_one_that_is_taken_over_after_a_crash_is_soon_known_for_what_it_is(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1, reconcile_interval="1h")
    world.lxd.fail("update_config", *[LxdUnavailable("LXD is away")] * 3)
    start(world)
    eventually(lambda: world.stages() == {"booting": 1})
    (name,) = world.names()
    world.settle()
    ready(world)
    eventually(lambda: world.stages() == {"ready": 1})
    ((number, registration),) = world.github.registered.items()
    world.github.registered[number] = replace(registration, online=True)
    eventually(lambda: world.lxd.count("update_config"))
    world.tell(name, Crash("a test"))
    eventually(lambda: world.stages() == {"booting": 1})

    def moves_on() -> bool:
        world.settle()
        world.clock.advance(1)
        return world.stages() == {"idle": 1}

    began = world.clock.monotonic()
    eventually(moves_on)
    assert world.clock.monotonic() - began <= 5


def test_a_fleet_without_an_image_takes_over_what_is_half_made(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    gate = world.lxd.hold("create")
    start(world)
    eventually(lambda: world.lxd.count("create") == 1)
    (name,) = world.names()
    listed = world.lxd.count("instances")
    world.tell("image", Crash("a test"))
    eventually(lambda: world.lxd.count("instances") > listed)
    assert world.names() == [name]
    gate.set()
    # It was created and not started: another costs a second.
    eventually(lambda: name not in world.names())
