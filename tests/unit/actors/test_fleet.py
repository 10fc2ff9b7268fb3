from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from fake_actors import APPLICATION, FILENAME, IMAGE, guarded, image_of
from fake_lxd import NOW, FakeLxd
from fake_world import World
from under_way import Gate
from waiting import eventually

from supervisor.actors.fleet import FleetActor
from supervisor.actors.runner import RunnerActor
from supervisor.actors.survey import list_instances
from supervisor.causes import Cause
from supervisor.control import make_app
from supervisor.gateways.lxd import LxdError, LxdUnavailable
from supervisor.host.storage import wanted_bytes
from supervisor.lifecycle import (
    Confirmed,
    Failed,
    GuestFinished,
    GuestReady,
    InstanceGone,
    InstanceStopped,
    Job,
    JobFinished,
    JobStarted,
    Life,
    Stage,
)
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.firewall import FirewallChanged
from supervisor.messages.fleet import Drain, InstanceAppeared, Reconcile, Resume, RunnerChanged
from supervisor.messages.image import ImageChanged
from supervisor.messages.policy import PolicyChanged
from supervisor.messages.runner import Happened
from supervisor.messages.signals import SignalsListening
from supervisor.messages.storage import StorageChanged
from supervisor.messages.tokens import GitHubChanged, RegistrationsListed
from supervisor.messages.upgrades import ApplicationChanged
from supervisor.observation.feed import Kind
from supervisor.runners.blueprints import blueprint_of
from supervisor.runners.instances import USER_DATA
from supervisor.runners.marks import PREFIX
from supervisor.runners.naming import new_runner_name, runner_name
from supervisor.runners.roster import Entry
from supervisor.supervision import (
    INFINITY,
    Backoff,
    ChildSpec,
    Crash,
    Strategy,
    Supervisor,
    SupervisorSpec,
)
from supervisor.upgrades.application import Application

MakeWorld = Callable[..., World]


_POOL = StorageChanged("default")
NEWER = Application("https://github.example/newer", "1" * 64, FILENAME.replace("300", "301"))


def start(
    world: World,
    *,
    signals: bool = True,
    storage: StorageChanged = _POOL,
    firewall: FirewallChanged | None = None,
    upgrades: ApplicationChanged | None = None,
    image: ImageChanged | None = None,
    backoff: Backoff | None = None,
) -> World:
    """Run a fleet with its runners, with in-memory neighbours."""
    runners = SupervisorSpec(dynamic=True, intensity=1000, period=1, backoff=backoff)
    system, parts = world.system, world.parts
    world.run(
        world.tokens(),
        world.storage(storage),
        world.firewall(firewall or guarded(world.parts.settings.config)),
        world.upgrades(upgrades),
        world.image(image),
        ChildSpec("runners", partial(Supervisor.start, system, runners), shutdown=INFINITY),
        ChildSpec("fleet", partial(FleetActor.start, system, parts, "runners")),
        strategy=Strategy.REST_FOR_ONE,
    )
    if signals:
        world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    return world


def ready(world: World) -> None:
    for name in world.names():
        world.system.directory.tell(name, Happened(GuestReady()))


def test_an_empty_world_is_filled_to_the_wanted_number(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=3))
    eventually(lambda: world.stages() == {"booting": 3})
    assert sorted(world.lxd.there) == world.names()
    ready(world)
    eventually(lambda: world.shown("fleet") == ("keeping", "3 of 3 runners are there"))


def test_only_so_many_are_created_at_once(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=9)
    gate = world.lxd.hold("create")
    start(world)
    eventually(lambda: world.lxd.count("create") == 4)
    assert sum(world.stages().values()) == 4
    gate.set()
    eventually(lambda: world.stages() == {"booting": 9})


def test_nothing_is_created_before_guests_can_report(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2), signals=False)
    eventually(lambda: "guests can't report yet" in world.shown("fleet")[1])
    eventually(lambda: world.lxd.count("instances") == 1)
    assert world.github.asked == []
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    eventually(lambda: world.stages() == {"booting": 2})


def test_it_is_told_since_when_there_are_fewer_runners_than_wanted(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2), signals=False)
    eventually(lambda: world.details("fleet").get("short_since") == NOW.isoformat())
    world.clock.advance(30)
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: world.details("fleet")["reconciles"] == 2)
    assert world.details("fleet")["short_since"] == NOW.isoformat()
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    eventually(lambda: world.details("fleet")["short_since"] is None)


def test_nothing_is_created_before_lxd_was_listed(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=2)
    world.lxd.fail("instances", LxdUnavailable("LXD is not running"))
    start(world)
    eventually(lambda: world.shown("fleet") == ("degraded", "LXD is not running"))
    assert world.details("fleet")["cause"] == "lxd-unavailable"
    assert world.github.asked == []
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: world.stages() == {"booting": 2})
    assert world.shown("fleet")[0] == "keeping"


def test_github_being_down_does_not_hide_what_lxd_has(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    world.github.down = "GitHub can't be reached"
    generation = _generation(world)
    world.lxd.put("fleet-aaaaaaaa", installation="fleet", generation=generation, stage="ready")
    start(world)
    eventually(lambda: world.stages() == {"ready": 1})
    eventually(lambda: world.shown("fleet") == ("degraded", "GitHub can't be reached"))


def test_what_an_earlier_daemon_left_is_taken_over(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=2)
    generation = _generation(world)
    for name, stage in (("fleet-aaaaaaaa", "busy"), ("fleet-bbbbbbbb", "ready")):
        world.lxd.put(name, installation="fleet", generation=generation, stage=stage)
    world.lxd.put("fleet-2-aaaaaaaa", installation="fleet-2")
    world.lxd.put("somebody-elses")
    start(world)
    eventually(lambda: world.stages() == {"busy": 1, "ready": 1})
    assert world.github.asked == []
    assert world.lxd.count("delete") == 0


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
        _goes(world, name)
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
    entered, held = threading.Event(), Gate()
    runners = world.parts.roster.all

    def when_released() -> list[Entry]:
        entered.set()
        held.wait(5)
        return runners()

    monkeypatch.setattr(world.parts.roster, "all", when_released)
    world.tell("fleet", Resume())
    assert entered.wait(5)
    # All that its actor says waits in the fleet's mailbox.
    _goes(world, name)
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
        name = _comes_online(world)
        world.tell(name, Happened(GuestFinished("1")))
        _goes(world, name)
        why = f"{told} failed soon after GitHub saw them online"
        eventually(lambda why=why: why in world.shown("fleet")[1])
        world.clock.advance(5)
    _comes_online(world)
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
    name = _comes_online(world)
    world.settle()
    world.clock.set_by(86400 * days)
    world.tell("fleet", Reconcile("test"))
    assert (world.names(), world.stages()) == ([name], {"idle": 1})
    world.clock.advance(3601)
    world.tell("fleet", Reconcile("test"))
    eventually(lambda: any("has waited for a job for" in one.reason for one in world.told))


def _comes_online(world: World) -> str:
    """Wait for a new runner and let it come online."""
    eventually(lambda: world.stages() == {"booting": 1})
    (name,) = world.names()
    world.tell(name, Happened(Confirmed(busy=False)))
    eventually(lambda: world.stages() == {"idle": 1})
    return name


def test_jobs_that_crash_their_guests_make_nobody_wait(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    for _ in range(5):  # the clock does not move
        eventually(lambda: world.stages() == {"booting": 1})
        (name,) = world.names()
        world.tell(name, Happened(JobStarted(Job())))
        world.tell(name, Happened(InstanceStopped()))
        _goes(world, name)
        eventually(lambda gone=name: gone not in world.names())
    eventually(lambda: world.stages() == {"booting": 1})


def test_a_job_of_an_old_runner_does_not_end_the_delay(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=2)
    generation = _generation(world)
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
    _goes(world, second)  # which makes others wait for 1 s
    eventually(lambda: "1 runner has failed to boot" in world.shown("fleet")[1])
    world.clock.advance(1.1)
    eventually(lambda: world.lxd.count("create") == 3)


def test_a_smaller_number_lets_the_busy_ones_finish(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=3))
    eventually(lambda: world.stages() == {"booting": 3})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 3})
    busy = world.names()[0]
    world.github.busy.add(busy)
    world.tell(busy, Happened(JobStarted(Job(name="test"))))
    eventually(lambda: world.stages()["busy"] == 1)
    world.reconfigure(virtual_machines=0)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: world.names() == [busy])
    assert sorted(world.lxd.there) == [busy]
    assert not world.github.registered.keys() - {
        number for number, one in world.github.registered.items() if one.name == busy
    }


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


def test_a_drained_fleet_makes_none_also_after_a_crash_until_it_is_resumed(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=3))
    eventually(lambda: world.stages() == {"booting": 3})
    ready(world)
    busy = world.names()[0]
    world.github.busy.add(busy)
    world.tell(busy, Happened(JobStarted(Job(name="test"))))
    eventually(lambda: world.stages() == {"busy": 1, "ready": 2})
    world.parts.drain.set(world.clock.now())
    world.tell("fleet", Drain())
    eventually(lambda: world.names() == [busy])
    order = "no runner is created until `supervisor-cli resume`"
    left = f"1 runners are left, 1 of them run a job; {order}"
    eventually(lambda: world.shown("fleet") == ("draining", left))
    world.tell("fleet", Crash("a test"))
    eventually(lambda: world.lxd.count("instances") == 2)
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    _goes(world, busy)
    eventually(lambda: world.shown("fleet") == ("draining", f"empty; {order}"))
    world.settle()
    assert world.lxd.count("create") == 3
    world.parts.drain.clear()
    world.tell("fleet", Resume())
    eventually(lambda: world.stages() == {"booting": 3})


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
    entered, held = threading.Event(), Gate()
    runners = world.parts.roster.all

    def when_released() -> list[Entry]:
        entered.set()
        held.wait(5)
        return runners()

    monkeypatch.setattr(world.parts.roster, "all", when_released)
    world.tell("fleet", Resume())
    assert entered.wait(5)
    # It waits in the mailbox, and the reconcile that becomes due meanwhile behind it.
    world.tell("fleet", RunnerChanged(name, Life(Stage.READY, world.clock.now(), "ready")))
    world.clock.advance(301)
    held.set()
    eventually(lambda: world.github.listings == 2)


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


def test_what_only_github_shows_is_asked_for_by_name_and_taken_over(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1)
    name = runner_name("fleet", "aaaaaaaaaa")
    number = str(world.github.add(name, online=True))
    marks = {"generation": _generation(world), "runner_id": number, "stage": "ready"}
    world.lxd.put(name, installation="fleet", **marks)
    world.lxd.instances = list  # type: ignore[method-assign]
    start(world)
    eventually(lambda: world.shown("fleet")[0] == "keeping")
    eventually(lambda: world.names() == [name])
    assert world.lxd.count("create") == 0


def test_of_many_that_only_github_shows_some_are_asked_for_at_a_time_and_nothing_is_done_before(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.actors.survey._LOOKS_S", 0)  # for one, that is
    world = make_world(virtual_machines=1)
    names = [runner_name("fleet", letter * 10) for letter in "abc"]
    for name in names:
        world.github.add(name, online=True)
    world.lxd.put(names[2], installation="fleet", generation=_generation(world), stage="ready")
    world.lxd.instances = list  # type: ignore[method-assign]
    start(world)
    for asked in (1, 2):
        eventually(lambda count=asked: world.lxd.count("instance") == count)
        eventually(lambda: world.shown("fleet")[0] == "degraded")
        world.settle()
        assert "LXD was asked for 1 of them in" in world.shown("fleet")[1]
        assert world.names() == world.github.asked == []
        world.clock.advance(31)
    eventually(lambda: world.shown("fleet")[0] == "keeping")
    eventually(lambda: world.names() == [names[2]])
    assert sorted(name for call, name in world.lxd.calls if call == "instance") == names
    assert world.lxd.count("create") == 0


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


def test_an_instance_that_appears_is_taken_over_soon(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=0))
    eventually(lambda: world.github.listings == 1)
    world.settle()
    number = str(world.github.add("fleet-aaaaaaaa"))
    marks = {"generation": _generation(world), "runner_id": number}
    world.lxd.put("fleet-aaaaaaaa", installation="fleet", **marks)
    world.tell("fleet", InstanceAppeared("fleet-aaaaaaaa"))
    world.settle()
    world.clock.advance(1.1)
    eventually(lambda: world.lxd.count("instances") == 2)
    # It is taken over, and then let go: none is wanted.
    eventually(lambda: not world.lxd.there)


def test_an_order_for_one_that_was_taken_over_without_its_number_is_given_once(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1)
    world.github.down = "GitHub can't be reached"
    name = runner_name("fleet", "aaaaaaaaaa")
    world.lxd.put(name, installation="fleet", generation=_generation(world), stage="ready")
    start(world)
    eventually(lambda: world.stages() == {"ready": 1})
    client = make_app(world.system, world.parts, debug=False).test_client()
    assert client.post("/v1/flush").json == {"runners": [name]}
    eventually(lambda: world.shown(name)[1] == "is let go when GitHub has shown its registration")
    world.github.add(name, online=True)
    world.github.down = ""
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: world.github.deleted == [name])
    eventually(lambda: world.stages() == {"booting": 1} and world.names() != [name])


def test_an_instance_that_says_nonsense_of_itself_does_not_stop_the_fleet() -> None:
    lxd: Any = FakeLxd()
    nonsense = {"runner_id": "9" * 5000, "job": "[" * 100_000, "stage": "\x00", "created_at": "?"}
    lxd.put("fleet-aaaaaaaa", "Strange", installation="fleet", **nonsense)
    listed = list_instances(lxd, "fleet", 7)
    assert listed.error == ""
    assert listed.instances["fleet-aaaaaaaa"].seen.runner_id is None


def test_a_fault_of_ours_in_a_listing_restarts_the_fleet(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    world.lxd.fail("instances", RuntimeError("a bug"))
    start(world, signals=False)
    eventually(lambda: world.lxd.count("instances") == 2)
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    eventually(lambda: world.stages() == {"booting": 1})


def test_an_idle_runner_that_github_forgot_is_replaced(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 1})
    before = world.names()
    world.github.registered.clear()
    for seconds in (150, 15):  # after half of what it may take to come online, and once more
        reconciles = _reconciles(world)
        world.clock.advance(seconds)
        eventually(lambda past=reconciles: _reconciles(world) > past)
    eventually(lambda: "before GitHub saw them online" in world.shown("fleet")[1])
    world.clock.advance(1.1)
    eventually(lambda: world.names() != before and len(world.names()) == 1)


def _generation(world: World) -> str:
    config = world.parts.settings.config
    return blueprint_of(config, application=APPLICATION.sha256, image=IMAGE).generation


def _reconciles(world: World) -> int:
    """Say how many have been done; none is under way once another has been asked for and done."""
    world.settle()
    count: int = world.details("fleet")["reconciles"]
    return count


def _goes(world: World, name: str) -> None:
    """Let an instance end, in the way that its runner hears of it."""
    world.lxd.power_off(name)
    world.tell(name, Happened(InstanceGone()))


def test_the_generation_of_these_tests_is_the_fleets(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    entry = world.parts.roster.all()[0]
    assert entry.generation == _generation(world)
    assert entry.life.stage is Stage.BOOTING
    assert entry.life.since == NOW


def test_a_runner_whose_actor_cannot_be_started_frees_its_place(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, refused = RunnerActor.start, []

    def refuse_once(*arguments: Any) -> Any:
        if not refused:
            refused.append(arguments)
            raise RuntimeError("can't start new thread")
        return begin(*arguments)

    monkeypatch.setattr(RunnerActor, "start", refuse_once)
    world = start(make_world(virtual_machines=1))
    eventually(lambda: "1 runner has failed to be created" in world.shown("fleet")[1])
    assert world.names() == []
    world.clock.advance(1.1)
    eventually(lambda: world.stages() == {"booting": 1})


def test_a_successor_is_registered_when_a_job_ends_and_made_when_the_place_is_free(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    (first,) = world.names()
    world.tell(first, Happened(GuestReady()))
    world.tell(first, Happened(JobStarted(Job(name="test"))))
    world.tell(first, Happened(JobFinished()))
    eventually(lambda: len(world.github.ahead) == 1)
    assert world.lxd.count("create") == 1  # the place is not free yet
    _goes(world, first)
    eventually(lambda: world.names() == world.github.ahead)
    assert len(world.github.ahead) == 1


def test_successors_registered_for_a_fleet_that_shrinks_are_let_go(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    (first,) = world.names()
    world.tell(first, Happened(JobStarted(Job(name="test"))))
    world.tell(first, Happened(JobFinished()))
    eventually(lambda: len(world.github.ahead) == 1)
    world.reconfigure(virtual_machines=0)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: not world.github.ahead)
    _goes(world, first)
    eventually(lambda: not world.names())
    assert world.lxd.count("create") == 1


def test_runners_without_a_filter_of_ipv6_are_replaced_when_the_kernel_lets_lxd_filter_it(
    make_world: MakeWorld,
) -> None:
    def filters_of(name: str) -> list[str]:
        return [key for key in world.lxd.requests[name]["devices"]["eth0"] if "ipv6" in key]

    world = make_world(virtual_machines=1)
    config = world.parts.settings.config
    start(world, firewall=guarded(config, filters_ipv6=False))
    eventually(lambda: world.stages() == {"booting": 1})
    (first,) = world.names()

    world.tell("fleet", guarded(config))

    eventually(lambda: first not in world.names() and world.stages() == {"booting": 1})
    (second,) = world.names()
    assert (filters_of(first), filters_of(second)) == ([], ["security.ipv6_filtering"])


def test_no_runner_is_replaced_before_it_is_known_what_lxd_can_filter(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1)
    config = world.parts.settings.config
    without = blueprint_of(
        config, ipv6_filtering=False, application=APPLICATION.sha256, image=IMAGE
    ).generation
    number = str(world.github.add("fleet-aaaaaaaa", online=True))
    marks = {"installation": "fleet", "generation": without, "runner_id": number}
    world.lxd.put("fleet-aaaaaaaa", stage="ready", **marks)
    start(world, firewall=FirewallChanged(in_place=False, reason="not looked at yet"))
    eventually(lambda: _reconciles(world) == 1)
    eventually(lambda: world.names() == ["fleet-aaaaaaaa"])
    world.tell("fleet", guarded(config, filters_ipv6=False))
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: _reconciles(world) >= 2)
    assert world.names() == ["fleet-aaaaaaaa"]
    assert world.github.deleted == []
    world.tell("fleet", guarded(config))
    eventually(lambda: world.github.deleted == ["fleet-aaaaaaaa"])


SERVER = {
    "host": "10.5.0.7",
    "port": 22,
    "rsa-fingerprint": "SHA256:" + "r" * 43,
    "ed25519-fingerprint": "SHA256:" + "e" * 43,
}


def test_no_runner_is_replaced_for_a_debug_server_that_runners_can_not_reach(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 1})
    names = world.names()
    world.reconfigure(virtual_machines=1, ssh_debug=[SERVER])
    config = world.parts.settings.config
    world.tell("fleet", ConfigChanged(config))
    left_out = {("10.5.0.7", 22): "10.5.0.7 is an address of this host"}
    world.tell("fleet", replace(guarded(config), servers=left_out))
    reconciles = _reconciles(world)
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: _reconciles(world) > reconciles)
    assert world.names() == names
    assert world.stages() == {"ready": 1}
    world.tell("fleet", guarded(config))
    eventually(lambda: world.names() != names)


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


def test_an_instance_that_ended_since_it_was_listed_is_not_taken_over(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    name = world.names()[0]
    world.settle()
    world.github.silent = True  # the other half of the reconcile takes its time
    listings = world.lxd.count("instances")
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: world.lxd.count("instances") == listings + 1)
    world.reconfigure(virtual_machines=0)
    _goes(world, name)
    eventually(lambda: name not in world.names())
    asked = world.lxd.count("instance")
    world.tell("fleet", RegistrationsListed(world.github.tickets[-1]))
    world.settle()
    assert name not in world.names()
    assert world.lxd.count("instance") == asked


def test_who_has_ended_is_asked_for_before_an_old_list_is_believed(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    (name,) = world.names()
    world.tell(name, Happened(JobStarted(Job(name="test"))))
    key = f"{PREFIX}stage"
    eventually(lambda: world.lxd.there[name].config.get(key) == "busy")
    old = world.lxd.instances()
    world.reconfigure(virtual_machines=0)
    _goes(world, name)
    eventually(lambda: world.names() == [])
    world.settle()
    monkeypatch.setattr(world.lxd, "instances", lambda: old)
    for _ in range(3):
        asked, listings = world.lxd.count("instance"), world.github.listings
        world.tell("fleet", Reconcile("a test"))
        eventually(lambda before=listings: world.github.listings > before)
        eventually(lambda before=asked: world.lxd.count("instance") > before)
        world.settle()
        assert world.names() == []


def test_who_has_ended_and_is_made_late_is_taken_over_all_the_same(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    (name,) = world.names()
    late = world.lxd.there[name]
    world.reconfigure(virtual_machines=0)
    _goes(world, name)
    eventually(lambda: world.names() == [])
    world.settle()
    world.lxd.there[name] = late
    world.tell("fleet", Reconcile("a test"))
    # It is one too many, and removed.
    eventually(lambda: world.lxd.count("delete") and name not in world.lxd.there)


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


def test_nothing_is_created_before_there_is_a_pool(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2), storage=StorageChanged(reason="no btrfs-progs"))
    why = "0 of 2 runners are there; none is created now: no btrfs-progs"
    eventually(lambda: world.shown("fleet")[1] == why)
    eventually(lambda: world.lxd.count("instances") == 1)
    world.settle()
    assert world.github.asked == []
    world.tell("fleet", StorageChanged("default"))
    eventually(lambda: world.stages() == {"booting": 2})


def test_a_pool_that_is_lost_stops_creations_and_harms_no_runner(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    world.tell("fleet", StorageChanged(reason="LXD has no storage pool default"))
    world.reconfigure(virtual_machines=2)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: "none is created now: LXD has no" in world.shown("fleet")[1])
    world.settle()
    assert world.stages() == {"booting": 1}


def test_without_a_healthy_policy_service_no_runner_is_made_and_the_reason_is_shown(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=2, policy={"mode": "builtin"}))
    said = "none is created now: the policy service has not been looked at yet"
    eventually(lambda: said in world.shown("fleet")[1])
    world.tell("fleet", PolicyChanged(healthy=False, reason="the policy service is starting"))
    eventually(lambda: "the policy service is starting" in world.shown("fleet")[1])
    world.settle()
    assert world.stages() == {}
    world.tell("fleet", PolicyChanged(healthy=True, base="http://127.0.0.1:8643"))
    eventually(lambda: world.stages() == {"booting": 2})


def test_a_policy_service_that_is_lost_stops_creations_and_harms_no_runner(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=1, policy={"mode": "builtin"}))
    well = PolicyChanged(healthy=True, base="http://127.0.0.1:8643")
    world.tell("fleet", well)
    eventually(lambda: world.stages() == {"booting": 1})
    world.tell("fleet", PolicyChanged(healthy=False, reason="it does not answer"))
    world.reconfigure(virtual_machines=3)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: "none is created now: it does not answer" in world.shown("fleet")[1])
    world.settle()
    assert world.stages() == {"booting": 1}
    assert world.github.ahead == []
    world.tell("fleet", well)
    eventually(lambda: world.stages() == {"booting": 3})


def test_more_runners_wait_until_their_pool_has_grown(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1, runner_storage="memory")
    ready = StorageChanged("fleet-memory", wanted_bytes(world.parts.settings.config))
    start(world, storage=ready)
    eventually(lambda: world.stages() == {"booting": 1})
    world.reconfigure(virtual_machines=3)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: "the storage pool is being made ready" in world.shown("fleet")[1])
    assert world.stages() == {"booting": 1}
    larger = wanted_bytes(world.parts.settings.config)
    world.tell("fleet", StorageChanged("fleet-memory", larger))
    eventually(lambda: world.stages() == {"booting": 3})
    world.reconfigure(virtual_machines=2)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: world.stages() == {"booting": 2})
    assert {r["devices"]["root"]["pool"] for r in world.lxd.requests.values()} == {"fleet-memory"}


def test_in_a_pool_of_our_own_a_busy_runner_of_older_settings_keeps_its_place(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1, runner_storage="memory")
    ready = StorageChanged("fleet-memory", wanted_bytes(world.parts.settings.config))
    start(world, storage=ready)
    eventually(lambda: world.stages() == {"booting": 1})
    (first,) = world.names()
    world.tell(first, Happened(JobStarted(Job(name="test"))))
    eventually(lambda: world.stages() == {"busy": 1})
    world.reconfigure(labels="new")
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    world.settle()
    assert world.names() == [first]
    _goes(world, first)
    eventually(lambda: world.stages() == {"booting": 1} and world.names() != [first])


def test_other_labels_and_more_runners_at_once_wait_for_no_job_in_a_pool_of_our_own(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=2, runner_storage="memory")
    ready_pool = StorageChanged("fleet-memory", wanted_bytes(world.parts.settings.config))
    start(world, storage=ready_pool)
    eventually(lambda: world.stages() == {"booting": 2})
    busy, idle = world.names()
    world.tell(busy, Happened(JobStarted(Job(name="test"))))
    world.tell(idle, Happened(GuestReady()))
    eventually(lambda: world.stages() == {"busy": 1, "ready": 1})
    world.reconfigure(labels="new", virtual_machines=4)
    config = world.parts.settings.config
    world.tell("fleet", ConfigChanged(config))
    eventually(lambda: "the storage pool is being made ready" in world.shown("fleet")[1])
    world.tell("fleet", StorageChanged("fleet-memory", wanted_bytes(config)))
    eventually(lambda: len(world.names()) == 4)

    def is_whole() -> bool:
        ready(world)
        return world.stages() == {"busy": 1, "ready": 3} and idle not in world.names()

    eventually(is_whole)
    _goes(world, busy)
    eventually(lambda: len(world.names()) == 4 and busy not in world.names())
    assert world.lxd.most_there <= 4


def test_nothing_is_created_before_the_firewall_is_in_place(make_world: MakeWorld) -> None:
    missing = FirewallChanged(in_place=False, reason="the firewall is not in place: no nft")
    world = start(make_world(virtual_machines=2), firewall=missing)
    eventually(lambda: "none is created now: the firewall is not" in world.shown("fleet")[1])
    eventually(lambda: world.lxd.count("instances") == 1)
    assert world.github.asked == []
    assert world.github.ahead == []
    world.tell("fleet", guarded(world.parts.settings.config))
    eventually(lambda: world.stages() == {"booting": 2})


def test_nothing_is_created_before_a_runner_application_is_verified(make_world: MakeWorld) -> None:
    missing = ApplicationChanged(reason="GitHub gives no SHA-256 for it")
    world = start(make_world(virtual_machines=2), upgrades=missing)
    lacks = "no verified runner application yet: GitHub gives no SHA-256 for it"
    eventually(lambda: f"none is created now: {lacks}" in world.shown("fleet")[1])
    eventually(lambda: world.lxd.count("instances") == 1)
    assert world.github.asked == []
    assert world.github.ahead == []
    world.tell("fleet", ApplicationChanged(APPLICATION))
    eventually(lambda: world.stages() == {"booting": 2})


def test_a_guest_is_given_the_application_that_is_verified_when_it_is_ordered(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    (first,) = world.names()
    world.tell("fleet", ApplicationChanged(NEWER))
    eventually(lambda: world.stages() == {"booting": 1} and first not in world.names())
    (second,) = world.names()
    given = [world.lxd.requests[name]["config"][USER_DATA] for name in (first, second)]
    assert [APPLICATION.sha256 in given[0], NEWER.sha256 in given[1]] == [True, True]


def test_idle_runners_of_a_prepared_image_are_replaced_by_ones_with_the_newer_application(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=2, max_unavailable="1"))
    eventually(lambda: world.stages() == {"booting": 2})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 2})
    before = set(world.names())
    world.tell("fleet", ApplicationChanged(NEWER))
    eventually(lambda: world.stages() == {"ready": 1, "booting": 1})
    assert len(before & set(world.names())) == 1


def test_no_runner_is_replaced_before_an_application_is_verified(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    number = str(world.github.add("fleet-aaaaaaaa", online=True))
    marks = {"installation": "fleet", "generation": _generation(world), "runner_id": number}
    world.lxd.put("fleet-aaaaaaaa", stage="ready", **marks)
    start(world, upgrades=ApplicationChanged(reason="it is being verified"))
    eventually(lambda: world.names() == ["fleet-aaaaaaaa"])
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: _reconciles(world) >= 2)
    world.tell("fleet", ApplicationChanged(APPLICATION))
    eventually(lambda: world.shown("fleet") == ("keeping", "1 of 1 runners are there"))
    assert world.github.deleted == []


def test_a_fleet_without_an_application_can_be_drained(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    number = str(world.github.add("fleet-aaaaaaaa", online=True))
    marks = {"installation": "fleet", "generation": _generation(world), "runner_id": number}
    world.lxd.put("fleet-aaaaaaaa", stage="ready", **marks)
    start(world, upgrades=ApplicationChanged(reason="GitHub offers none"))
    eventually(lambda: world.names() == ["fleet-aaaaaaaa"])
    world.parts.drain.set(world.clock.now())
    world.tell("fleet", Drain())
    eventually(lambda: world.github.deleted == ["fleet-aaaaaaaa"])


def test_nothing_is_created_before_there_is_an_image(make_world: MakeWorld) -> None:
    missing = ImageChanged(reason="there is no image to start from: the first is being built")
    world = start(make_world(virtual_machines=2), image=missing)
    eventually(lambda: f"none is created now: {missing.reason}" in world.shown("fleet")[1])
    eventually(lambda: world.lxd.count("instances") == 1)
    assert world.github.asked == []
    assert world.github.ahead == []
    world.tell("fleet", image_of(IMAGE))
    eventually(lambda: world.stages() == {"booting": 2})
    sources = [request["source"] for request in world.lxd.requests.values()]
    assert sources == [{"type": "image", "fingerprint": IMAGE}] * 2


def test_idle_runners_of_an_older_image_are_replaced_one_after_the_other_and_busy_ones_end(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=2, max_unavailable="1"))
    eventually(lambda: world.stages() == {"booting": 2})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 2})
    busy, idle = world.names()
    world.tell(busy, Happened(JobStarted(Job())))
    eventually(lambda: world.stages() == {"busy": 1, "ready": 1})
    world.tell("fleet", image_of("2b" * 32))
    # Who ends a job under other settings is one more than wanted.
    eventually(lambda: world.stages() == {"busy": 1, "booting": 2})
    assert idle not in world.names()
    for name in set(world.names()) - {busy}:
        assert world.lxd.requests[name]["source"]["fingerprint"] == "2b" * 32


def test_no_runner_is_replaced_or_made_while_there_is_no_image(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2))
    eventually(lambda: world.stages() == {"booting": 2})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 2})
    before = world.names()
    world.tell("fleet", ImageChanged(reason="it was deleted"))
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: "none is created now: it was deleted" in world.shown("fleet")[1])
    assert _reconciles(world) >= 2
    assert world.names() == before
    world.tell("fleet", image_of(IMAGE))
    eventually(lambda: world.shown("fleet") == ("keeping", "2 of 2 runners are there"))
    assert world.github.deleted == []


def test_no_runner_starts_from_an_image_for_other_instances(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2))
    eventually(lambda: world.stages() == {"booting": 2})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 2})
    before = world.names()
    world.reconfigure(virtual_machines=4, lxd={"instance-type": "container"})
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    missing = "none is created now: the image is being changed to what is configured"
    eventually(lambda: missing in world.shown("fleet")[1])
    assert world.names() == before
    world.tell("fleet", image_of("2b" * 32, "container"))
    eventually(lambda: world.stages()["booting"] >= 2)
    for name in set(world.lxd.requests) - set(before):
        assert world.lxd.requests[name]["source"]["fingerprint"] == "2b" * 32


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


def test_newer_versions_are_looked_for_when_a_job_begins_and_when_it_ends(
    make_world: MakeWorld,
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    (name,) = world.names()
    assert world.upgrade_looks == []
    world.tell(name, Happened(JobStarted(Job())))
    eventually(lambda: len(world.upgrade_looks) == 1)
    world.tell(name, Happened(JobFinished()))
    eventually(lambda: len(world.upgrade_looks) >= 2)
    assert {look.fresh_s for look in world.upgrade_looks} == {10.0}


def test_a_firewall_that_is_lost_stops_creations_and_harms_no_runner(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2))
    eventually(lambda: world.stages() == {"booting": 2})
    ready(world)
    eventually(lambda: world.stages() == {"ready": 2})
    world.tell("fleet", FirewallChanged(in_place=False, reason="nft is gone"))
    world.reconfigure(virtual_machines=3)
    world.tell("fleet", ConfigChanged(world.parts.settings.config))
    eventually(lambda: "none is created now: nft is gone" in world.shown("fleet")[1])
    assert world.stages() == {"ready": 2}
    world.tell("fleet", guarded(world.parts.settings.config))
    eventually(lambda: world.stages() == {"ready": 2, "booting": 1})


def test_each_reconcile_has_the_firewall_looked_at(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: len(world.firewall_looks) == 1)
    eventually(lambda: world.details("fleet").get("reconciles") == 1)
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: len(world.firewall_looks) == 2)


@pytest.mark.parametrize(
    "change",
    [
        {"denylist": "10.0.0.0/8"},
        {"allowlist": "10.1.2.3:443"},
        {"http_proxy": "http://proxy.example:3128"},
    ],
)
def test_no_runner_is_created_before_what_is_configured_is_in_force(
    make_world: MakeWorld, change: dict[str, str]
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    world.reconfigure(virtual_machines=2, max_unavailable="100%", **change)
    config = world.parts.settings.config
    world.tell("fleet", ConfigChanged(config))
    eventually(lambda: "being changed to what is configured" in world.shown("fleet")[1])
    assert world.lxd.count("create") == 1
    world.tell("fleet", guarded(config))
    eventually(lambda: world.stages() == {"booting": 2})


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
