"""What GitHub's list means to the fleet: who is offline, renamed, forgotten, or nobody's."""

from __future__ import annotations

from dataclasses import replace

from fake_world import MakeWorld
from waiting import eventually

from supervisor.lifecycle import Confirmed, Job, JobStarted
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.fleet import Reconcile
from supervisor.messages.runner import Happened
from supervisor.runners.naming import new_runner_name, runner_name
from tests.unit.actors.fleet.running import ready, reconciles_done, start


def test_a_runner_offline_for_too_long_is_let_go_through_github(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1, limits={"offline": "3m"}))
    eventually(lambda: world.stages() == {"booting": 1})
    (silent,) = world.names()
    world.tell(silent, Happened(Confirmed(busy=False)))
    eventually(lambda: world.stages() == {"idle": 1})
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: world.github.listings == 2)
    world.settle()
    world.clock.advance(179)
    assert world.github.listings == 2
    world.clock.advance(1)
    eventually(lambda: world.github.deleted == [silent])
    eventually(lambda: world.stages() == {"booting": 1} and silent not in world.names())
    assert any("GitHub has not shown it online for 3 minutes" in line for line in world.logged)


def test_a_runner_that_github_never_shows_online_has_failed(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1, limits={"ready": "4m"}))
    eventually(lambda: world.stages() == {"booting": 1})
    (silent,) = world.names()
    world.github.add(silent)
    ready(world)
    eventually(lambda: world.stages() == {"ready": 1})
    for seconds in (120, 240):  # seen offline, and still offline after the limit
        listings = world.github.listings
        world.settle()
        world.clock.advance(seconds)
        eventually(lambda before=listings: world.github.listings > before)
    eventually(lambda: silent in world.github.deleted)
    eventually(lambda: silent not in world.names())
    assert any("failed: GitHub has not shown it online" in line for line in world.logged)


def test_a_runner_that_was_renamed_on_github_stays(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    (name,) = world.names()
    ((number, registration),) = world.github.registered.items()
    for renamed in ("their-own-name", new_runner_name("fleet")):
        world.github.registered[number] = replace(registration, name=renamed, online=True)
        for _ in range(2):
            world.settle()
            before = world.github.listings
            world.tell("fleet", Reconcile("a test"))
            eventually(lambda before=before: world.github.listings > before)
        world.settle()
    eventually(lambda: world.stages() == {"idle": 1})
    assert world.names() == [name]
    assert world.github.deleted == []


def test_an_orphan_is_deleted_when_two_listings_showed_it(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=0)
    orphan, busy = (runner_name("fleet", letter * 10) for letter in "ab")
    world.github.add(orphan, online=True)
    world.github.add(busy, online=True, busy=True)
    world.github.add(runner_name("fleet-2", "aaaaaaaaaa"))
    world.github.add("fleet-buildserver1")
    world.github.add("other")
    start(world)
    eventually(lambda: world.github.listings == 1)
    world.settle()
    assert world.github.deleted == []
    world.clock.advance(16)
    eventually(lambda: world.github.deleted == [orphan])


def test_an_idle_runner_that_github_forgot_is_replaced(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 1})
    before = world.names()
    world.github.registered.clear()
    for seconds in (150, 15):  # after half of what it may take to come online, and once more
        reconciles = reconciles_done(world)
        world.clock.advance(seconds)
        eventually(lambda past=reconciles: reconciles_done(world) > past)
    eventually(lambda: "before GitHub saw them online" in world.shown("fleet")[1])
    world.clock.advance(1.1)
    eventually(lambda: world.names() != before and len(world.names()) == 1)


def test_a_refused_retirement_is_not_asked_for_again_at_once(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=3, max_unavailable="100%"))
    eventually(lambda: world.stages() == {"booting": 3})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 3})
    world.github.keeps = "could not delete: GitHub answered 401"
    world.reconfigure(virtual_machines=3, labels="new")
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: len(world.github.deleted) == 3 and world.stages() == {"ready": 3})
    for _ in range(3):
        world.tell("fleet", Reconcile("a test"))
        world.settle()
    assert len(world.github.deleted) == 3
    world.clock.advance(15.1)
    eventually(lambda: len(world.github.deleted) == 6 and world.stages() == {"ready": 3})
    world.clock.advance(29)
    world.settle()
    assert len(world.github.deleted) == 6
    world.github.keeps = ""
    world.clock.advance(1.5)
    eventually(lambda: len(world.github.deleted) == 9)


def test_a_job_that_github_does_not_know_of_for_long_is_over(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1, reconcile_interval="10m"))
    eventually(lambda: world.stages() == {"booting": 1})
    name = world.names()[0]
    world.tell(name, Happened(JobStarted(Job(name="test"))))
    eventually(lambda: world.stages() == {"busy": 1})
    world.github.registered.clear()
    for busy in (1, 1, 0):
        reconciles = world.details("fleet")["reconciles"]
        world.tell("fleet", Reconcile("a test"))
        eventually(lambda before=reconciles: world.details("fleet")["reconciles"] > before)
        world.settle()
        eventually(lambda expected=busy: world.stages()["busy"] == expected)
        world.clock.advance(601)
