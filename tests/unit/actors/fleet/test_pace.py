"""At what pace runners are tried after others have failed, or while GitHub registers none."""

from __future__ import annotations

import pytest
from fake_world import MakeWorld
from waiting import eventually

from supervisor.causes import Cause
from supervisor.gateways.lxd import LxdError, LxdUnavailable
from supervisor.lifecycle import (
    Confirmed,
    GuestFinished,
    GuestReady,
    InstanceStopped,
    Job,
    JobStarted,
)
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.fleet import Reconcile
from supervisor.messages.runner import Happened
from supervisor.messages.signals import SignalsListening
from supervisor.messages.tokens import GitHubChanged
from supervisor.supervision import Crash
from tests.unit.actors.fleet.running import (
    comes_online,
    generation_of,
    goes,
    hold_fleet,
    ready,
    start,
)


def test_instances_found_dead_do_not_delay_new_ones(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=3)
    for number in range(5):
        world.lxd.put(f"fleet-{number:08}", "Stopped", installation="fleet", runner_id="7")
    start(world)
    eventually(lambda: world.stages() == {"booting": 3})  # the clock has not moved
    assert len(world.lxd.there) == 3


def test_runners_ordered_away_while_they_start_do_not_delay_new_ones(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=3))
    eventually(lambda: world.stages() == {"booting": 3})
    first = set(world.names())
    world.reconfigure(virtual_machines=3, labels="new")
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: world.stages() == {"booting": 3} and not first & set(world.names()))


def test_failures_delay_the_next_and_then_one_at_a_time_tries(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=4)
    full = LxdError("no space", Cause.NO_SPACE)
    world.lxd.fail("create", *[full] * 13)
    start(world)
    eventually(lambda: world.lxd.count("create") == 4 and not world.names())
    # One trouble that all four met, so it counts once.
    eventually(lambda: "1 runner has failed to be created: no space" in world.shown("fleet")[1])
    world.clock.advance(0.9)
    assert world.lxd.count("create") == 4
    world.clock.advance(0.2)
    eventually(lambda: "2 runners in a row" in world.shown("fleet")[1] and not world.names())
    assert world.lxd.count("create") == 8
    assert world.shown("fleet")[0] == "keeping"
    world.clock.advance(2.1)
    eventually(lambda: "3 runners in a row" in world.shown("fleet")[1] and not world.names())
    assert world.lxd.count("create") == 12
    assert world.shown("fleet")[0] == "degraded"
    assert world.details("fleet")["cause"] == "no-space"
    world.clock.advance(4.1)
    eventually(lambda: "4 runners in a row" in world.shown("fleet")[1] and not world.names())
    assert world.lxd.count("create") == 13  # one, alone
    world.clock.advance(8.1)
    # It has come past its creation, which is what the others have failed in.
    eventually(lambda: world.stages() == {"booting": 4})
    eventually(lambda: world.shown("fleet") == ("keeping", "0 of 4 runners are there"))


def test_an_image_that_never_boots_costs_a_trickle_of_instances(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=4, limits={"booting": "1m"}))
    for _ in range(120):
        eventually(lambda: set(world.stages()) <= {"booting"} and world.waiting("fleet") == 0)
        world.clock.advance(30)
    eventually(lambda: "runners in a row have failed to boot" in world.shown("fleet")[1])
    # An hour, and four at first: without the breaker it would be 240.
    assert world.lxd.count("create") < 40


def test_runners_whose_application_ends_at_once_are_no_success(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    for told in ("1 runner has", "2 runners in a row", "3 runners in a row"):
        eventually(lambda: world.stages() == {"booting": 1})
        (name,) = world.names()
        world.tell(name, Happened(GuestReady()))
        world.tell(name, Happened(GuestFinished("1")))
        goes(world, name)
        eventually(lambda: world.names() == [])
        eventually(lambda words=told: words in world.shown("fleet")[1])
        assert "before GitHub saw them online: the runner appl" in world.shown("fleet")[1]
        world.clock.advance(5)
    eventually(lambda: world.stages() == {"booting": 1})
    (name,) = world.names()
    world.tell(name, Happened(GuestReady()))
    eventually(lambda: world.stages() == {"ready": 1})
    world.settle()
    assert world.shown("fleet")[0] == "degraded"
    world.tell(name, Happened(Confirmed(busy=False)))
    eventually(lambda: world.shown("fleet") == ("keeping", "1 of 1 runners are there"))


def test_a_place_is_not_filled_again_before_the_failure_that_freed_it_counts(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    world.settle()
    (name,) = world.names()
    held = hold_fleet(world, monkeypatch)
    # All that its actor says waits in the fleet's mailbox.
    goes(world, name)
    eventually(lambda: world.parts.roster.get(name) is None)
    held.set()
    world.settle()
    assert world.github.asked == [name]
    assert "1 runner has failed to boot" in world.shown("fleet")[1]


def test_a_fleet_that_crashes_goes_on_at_the_pace_that_it_had(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    world.lxd.fail("create", *[LxdUnavailable("no space")] * 4)
    start(world)
    for count, wait in ((1, 1.1), (2, 2.1), (3, 4.1)):
        eventually(lambda count=count: world.lxd.count("create") == count and not world.names())
        world.settle()
        world.tell("fleet", Crash("a test"))
        eventually(lambda count=count: world.lxd.count("instances") == 1 + count)
        world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
        eventually(lambda: "the next try is in" in world.shown("fleet")[1])
        assert world.lxd.count("create") == count
        world.clock.advance(wait)
    eventually(lambda: "4 runners in a row" in world.shown("fleet")[1])
    assert world.shown("fleet")[0] == "degraded"


def test_after_runners_that_died_young_one_that_lives_on_ends_the_wait_without_a_job(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=1))
    for told in ("1 runner has", "2 runners in a row have", "3 runners in a row have"):
        name = comes_online(world)
        world.tell(name, Happened(GuestFinished("1")))
        goes(world, name)
        why = f"{told} failed soon after GitHub saw them online"
        eventually(lambda why=why: why in world.shown("fleet")[1])
        world.clock.advance(5)
    comes_online(world)
    world.settle()
    world.clock.advance(119)
    world.settle()
    assert world.shown("fleet")[0] == "degraded"
    world.clock.advance(2)
    eventually(lambda: world.shown("fleet") == ("keeping", "1 of 1 runners are there"))


@pytest.mark.parametrize("days", [-40, 40])
def test_no_runner_is_replaced_or_held_up_as_the_time_of_day_is_set(
    make_world: MakeWorld, days: int
) -> None:
    world = start(make_world(virtual_machines=1, limits={"idle": "1h", "offline": "2h"}))
    name = comes_online(world)
    world.settle()
    world.clock.set_by(86400 * days)
    world.tell("fleet", Reconcile("test"))
    assert (world.names(), world.stages()) == ([name], {"idle": 1})
    world.clock.advance(3601)
    world.tell("fleet", Reconcile("test"))
    eventually(lambda: any("has waited for a job for" in one.reason for one in world.told))


def test_jobs_that_crash_their_guests_make_nobody_wait(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    for _ in range(5):  # the clock does not move
        eventually(lambda: world.stages() == {"booting": 1})
        (name,) = world.names()
        world.tell(name, Happened(JobStarted(Job())))
        world.tell(name, Happened(InstanceStopped()))
        goes(world, name)
        eventually(lambda gone=name: gone not in world.names())
    eventually(lambda: world.stages() == {"booting": 1})


def test_a_job_of_an_old_runner_does_not_end_the_delay(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=2)
    generation = generation_of(world)
    world.lxd.put("fleet-aaaaaaaa", installation="fleet", generation=generation, stage="ready")
    world.lxd.fail("create", *[LxdUnavailable("no space")] * 50)
    start(world)
    eventually(lambda: world.lxd.count("create") == 1 and len(world.names()) == 1)
    world.tell("fleet-aaaaaaaa", Happened(JobStarted(Job(name="test"))))
    eventually(lambda: world.stages() == {"busy": 1})
    eventually(lambda: "1 runner has failed to be created" in world.shown("fleet")[1])
    assert world.lxd.count("create") == 1


def test_while_github_registers_nobody_nobody_is_asked_for(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=3)
    world.github.refuses = "GitHub answered 403"
    start(world)
    why = "0 of 3 runners are there; none is created now: GitHub answered 403"
    eventually(lambda: world.shown("fleet") == ("degraded", why))
    eventually(lambda: not world.stages())
    asked = len(world.github.asked)
    assert 1 <= asked <= 3
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: world.github.listings == 2)
    world.clock.advance(120)
    assert len(world.github.asked) == asked
    assert world.lxd.count("create") == 0
    world.github.refuses = ""
    world.tell("fleet", GitHubChanged(open=True))
    eventually(lambda: world.stages() == {"booting": 3})


def test_after_a_refusal_one_registration_at_a_time_is_tried(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=3)
    world.github.refuses = "GitHub answered 403"
    start(world)
    eventually(lambda: world.github.asked and not world.stages())
    asked = len(world.github.asked)
    world.github.silent = True
    world.tell("fleet", GitHubChanged(open=True, proven=False, reason="GitHub answered 403"))
    eventually(lambda: world.stages() == {"requested": 1})
    eventually(lambda: len(world.github.asked) == asked + 1)
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: world.lxd.count("instances") == 2)
    assert world.stages() == {"requested": 1}
    world.tell("fleet", GitHubChanged(open=True))
    eventually(lambda: world.stages() == {"requested": 3})


def test_github_refusing_says_nothing_of_whether_instances_can_be_made(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1)
    world.github.refuses = "GitHub answered 403"
    start(world)
    eventually(lambda: world.github.asked and not world.stages())
    world.github.refuses = ""
    world.tell("fleet", GitHubChanged(open=True))
    eventually(lambda: world.stages() == {"booting": 1})  # at once: the clock has not moved


def test_settings_that_bring_no_runner_up_cost_a_few_of_the_old_ones(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=4))
    eventually(lambda: world.stages() == {"booting": 4})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 4})
    before = set(world.names())
    world.lxd.fail("create", *[LxdUnavailable("no such image")] * 50)
    world.reconfigure(virtual_machines=4, labels="new")
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    for failures in range(1, 6):
        eventually(lambda count=failures: world.lxd.count("create") == 4 + count)
        eventually(lambda: world.stages() == {"ready": 3})
        world.settle()
        world.clock.advance(2 ** (failures - 1) + 0.1)
    assert set(world.names()) < before
    eventually(lambda: "runners in a row have failed to be created" in world.shown("fleet")[1])
    assert world.shown("fleet")[0] == "degraded"
    world.lxd.faults.clear()
    world.clock.advance(64)

    def is_replaced() -> bool:
        ready(world)
        return world.stages() == {"ready": 4} and not before & set(world.names())

    eventually(is_replaced)
