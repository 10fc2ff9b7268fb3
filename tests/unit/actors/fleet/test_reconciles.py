"""When a reconcile comes, what holds it up, and what is told of it."""

from __future__ import annotations

import pytest
from fake_world import MakeWorld
from waiting import eventually

from supervisor.gateways.lxd import LxdUnavailable
from supervisor.lifecycle import Failed, GuestReady, Life, Stage
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.fleet import InstanceAppeared, Reconcile, RunnerChanged
from supervisor.messages.runner import Happened
from supervisor.messages.tokens import GitHubChanged, RegistrationsListed
from supervisor.observation.feed import Kind
from supervisor.runners.naming import new_runner_name
from tests.unit.actors.fleet.running import goes, hold_fleet, start


def test_what_is_due_soon_does_not_wait_for_what_is_due_late(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2, max_unavailable="100%"))
    eventually(lambda: world.stages() == {"booting": 2})
    first, second = world.names()
    world.tell(first, Happened(GuestReady()))
    eventually(lambda: world.stages() == {"ready": 1, "booting": 1})
    world.github.keeps = "could not delete: GitHub answered 401"
    world.reconfigure(virtual_machines=2, labels="new")
    world.tell("fleet", ConfigChanged(world.parts.settings.config))  # put off for 15 s
    eventually(lambda: len(world.github.deleted) == 2)
    eventually(lambda: world.stages() == {"ready": 1, "booting": 1})
    world.settle()
    goes(world, second)  # which makes others wait for 1 s
    eventually(lambda: "1 runner has failed to boot" in world.shown("fleet")[1])
    world.clock.advance(1.1)
    eventually(lambda: world.lxd.count("create") == 3)


def test_a_reconcile_that_is_asked_for_during_one_comes_after_it(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=0)
    gate = world.lxd.hold("instances")
    start(world)
    for number in range(5):
        world.tell("fleet", Reconcile(f"test {number}"))
    eventually(lambda: world.lxd.count("instances") == 1)
    gate.set()
    eventually(lambda: world.lxd.count("instances") == 2 and world.github.listings == 2)
    world.system.directory.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: world.lxd.count("instances") == 3)


def test_a_listing_that_is_late_is_given_up_and_its_late_answer_ignored(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1)
    world.github.silent = True
    start(world)
    eventually(lambda: world.github.listings == 1 and world.lxd.count("instances") == 1)
    eventually(lambda: world.shown("fleet")[0] == "keeping")
    world.clock.advance(61)
    eventually(lambda: world.shown("fleet")[0] == "degraded")
    assert "GitHub took more than 60 s" in world.shown("fleet")[1]
    world.tell("fleet", RegistrationsListed(world.github.tickets[0]))
    world.github.silent = False
    world.clock.advance(600)
    eventually(lambda: world.github.listings == 2)
    eventually(lambda: world.shown("fleet")[0] == "keeping")


def test_the_next_reconcile_comes_with_the_interval(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=0, reconcile_interval="5m"))
    eventually(lambda: world.shown("fleet")[1] == "0 of 0 runners are there")
    eventually(lambda: world.github.listings == 1)
    world.settle()
    world.clock.advance(299)
    assert world.github.listings == 1
    world.clock.advance(2)
    eventually(lambda: world.github.listings == 2)


def test_a_reconcile_that_is_due_is_not_put_off_by_one_that_is_wanted_later(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = start(make_world(virtual_machines=1, reconcile_interval="5m"))
    eventually(lambda: world.stages() == {"booting": 1})
    eventually(lambda: world.github.listings == 1)
    world.settle()
    (name,) = world.names()
    held = hold_fleet(world, monkeypatch)
    # It waits in the mailbox, and the reconcile that becomes due meanwhile behind it.
    world.tell("fleet", RunnerChanged(name, Life(Stage.READY, world.clock.now(), "ready")))
    world.clock.advance(301)
    held.set()
    eventually(lambda: world.github.listings == 2)


def test_a_fleet_that_could_not_be_listed_is_listed_when_github_can_be_asked_again(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1)
    world.github.down = "GitHub can't be reached"
    start(world)
    eventually(lambda: world.shown("fleet") == ("degraded", "GitHub can't be reached"))
    world.github.down = ""
    world.tell("fleet", GitHubChanged(open=False, reason="GitHub can't be reached"))
    world.tell("fleet", GitHubChanged(open=True))
    eventually(lambda: world.shown("fleet")[0] == "keeping")
    assert world.github.listings == 2
    world.tell("fleet", GitHubChanged(open=True, proven=False))
    world.settle()
    assert world.github.listings == 2


def test_an_orphan_that_github_keeps_is_looked_at_with_the_interval(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=0)
    world.github.add(new_runner_name("fleet"), busy=True)
    start(world)
    for count, wait in enumerate((15, 600, 600), start=1):
        eventually(lambda count=count: world.github.listings == count)
        world.settle()
        world.clock.advance(wait - 1)
        world.settle()
        assert world.github.listings == count
        world.clock.advance(1)
    assert world.github.deleted == []


def test_a_list_that_lxd_could_not_give_is_asked_for_again_before_the_interval(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=0)
    world.lxd.fail("instances", LxdUnavailable("LXD hangs"))
    start(world)
    eventually(lambda: world.shown("fleet") == ("degraded", "LXD hangs"))
    world.clock.advance(31)
    eventually(lambda: world.shown("fleet")[0] == "keeping")


def test_what_appears_during_a_reconcile_causes_another_one_soon(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=0)
    gate = world.lxd.hold("instances")
    start(world)
    eventually(lambda: world.lxd.count("instances") == 1)
    world.tell("fleet", InstanceAppeared("fleet-aaaaaaaa"))
    gate.set()
    eventually(lambda: world.github.listings == 1)
    world.settle()
    world.clock.advance(1.1)
    eventually(lambda: world.lxd.count("instances") == 2)


def test_each_reconcile_has_the_firewall_looked_at(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: len(world.firewall_looks) == 1)
    eventually(lambda: world.details("fleet").get("reconciles") == 1)
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: len(world.firewall_looks) == 2)


def test_each_reconcile_is_told_with_what_it_has_found(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2))
    eventually(lambda: world.stages() == {"booting": 2})
    names = sorted(world.names())
    world.tell("fleet", Reconcile("test"))
    eventually(lambda: any(sorted(one.runners) == names for one in world.told))
    world.tell(names[0], Happened(Failed("no network")))
    eventually(lambda: any(one.state == "failed" for one in world.told))
    world.tell("fleet", Reconcile("test"))

    def crashed() -> list[int]:
        told = [one for one in world.told if one.kind is Kind.RECONCILE]
        return [one.details["failed"] for one in told if one.details["wanted"] == 2]

    eventually(lambda: 1 in crashed())
    world.tell("fleet", Reconcile("test"))
    eventually(lambda: crashed()[-1] == 0)
    assert crashed().count(1) == 1
