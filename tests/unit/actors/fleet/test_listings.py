"""What LXD's list means to the fleet: what is taken over, asked for by name, and gone."""

from __future__ import annotations

from typing import Any

import pytest
from fake_lxd import FakeLxd
from fake_world import MakeWorld
from waiting import eventually

from supervisor.actors.survey import list_instances
from supervisor.control import make_app
from supervisor.gateways.lxd import LxdUnavailable
from supervisor.lifecycle import Job, JobStarted
from supervisor.messages.fleet import InstanceAppeared, Reconcile
from supervisor.messages.runner import Happened
from supervisor.messages.tokens import RegistrationsListed
from supervisor.observation.feed import Kind
from supervisor.runners.marks import PREFIX
from supervisor.runners.naming import new_runner_name, runner_name
from supervisor.runners.roster import Entry
from tests.unit.actors.fleet.running import generation_of, goes, start


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


def test_the_roster_is_complete_when_those_that_lxd_shows_are_in_it(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    roster = world.parts.roster
    world.lxd.put("fleet-aaaaaaaa", installation="fleet", generation=generation_of(world))
    world.lxd.fail("instances", LxdUnavailable("LXD is not running"))
    start(world)
    eventually(lambda: world.shown("fleet")[0] == "degraded")
    assert (world.names(), roster.is_complete) == ([], False)
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: roster.is_complete)
    assert roster.get("fleet-aaaaaaaa")


def test_after_a_start_what_lxd_shows_is_taken_over_before_github_has_answered(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1)
    world.github.silent = True
    world.lxd.put("fleet-aaaaaaaa", installation="fleet", generation="1", stage="busy")
    start(world)
    eventually(lambda: world.stages() == {"busy": 1})
    assert not world.parts.roster.is_complete  # GitHub may show one that LXD's list lacks
    world.clock.advance(61)
    eventually(lambda: world.parts.roster.is_complete)
    # The next follows at once: now there is somebody to hear what GitHub says of it.
    eventually(lambda: world.github.listings == 2)


def test_those_taken_over_with_other_settings_go_no_faster_than_they_may(
    make_world: MakeWorld,
) -> None:
    """None of them counts as starting, for which nobody would wait, until its actor has spoken."""
    world = make_world(virtual_machines=40, max_unavailable="1")
    world.github.silent = True
    for number in range(40):
        marks = {"generation": "other", "stage": "ready", "runner_id": str(number)}
        world.lxd.put(new_runner_name("fleet"), installation="fleet", **marks)
    start(world)
    eventually(lambda: len(world.lxd.there) < 40)
    world.settle()
    assert world.stages() == {"ready": 39}


def test_the_first_reconcile_after_a_start_tells_what_those_taken_over_do(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=2)
    for stage in ("busy", "ready"):
        name = new_runner_name("fleet")
        world.lxd.put(name, installation="fleet", generation=generation_of(world), stage=stage)
    start(world)
    eventually(lambda: world.details("fleet").get("reconciles"))
    told = [record for record in world.told if record.kind is Kind.RECONCILE]
    assert (told[0].details["active"], told[0].details["idle"]) == (1, 1)


def test_github_being_down_does_not_hide_what_lxd_has(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=1)
    world.github.down = "GitHub can't be reached"
    generation = generation_of(world)
    world.lxd.put("fleet-aaaaaaaa", installation="fleet", generation=generation, stage="ready")
    start(world)
    eventually(lambda: world.stages() == {"ready": 1})
    eventually(lambda: world.shown("fleet") == ("degraded", "GitHub can't be reached"))


def test_what_an_earlier_daemon_left_is_taken_over(make_world: MakeWorld) -> None:
    world = make_world(virtual_machines=2)
    generation = generation_of(world)
    for name, stage in (("fleet-aaaaaaaa", "busy"), ("fleet-bbbbbbbb", "ready")):
        world.lxd.put(name, installation="fleet", generation=generation, stage=stage)
    world.lxd.put("fleet-2-aaaaaaaa", installation="fleet-2")
    world.lxd.put("somebody-elses")
    start(world)
    eventually(lambda: world.stages() == {"busy": 1, "ready": 1})
    assert world.github.asked == []
    assert world.lxd.count("delete") == 0


def test_what_only_github_shows_is_asked_for_by_name_and_taken_over(
    make_world: MakeWorld,
) -> None:
    world = make_world(virtual_machines=1)
    name = runner_name("fleet", "aaaaaaaaaa")
    number = str(world.github.add(name, online=True))
    marks = {"generation": generation_of(world), "runner_id": number, "stage": "ready"}
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
    world.lxd.put(names[2], installation="fleet", generation=generation_of(world), stage="ready")
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


def test_an_instance_that_appears_is_taken_over_soon(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=0))
    eventually(lambda: world.github.listings == 1)
    world.settle()
    number = str(world.github.add("fleet-aaaaaaaa"))
    marks = {"generation": generation_of(world), "runner_id": number}
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
    world.lxd.put(name, installation="fleet", generation=generation_of(world), stage="ready")
    start(world)
    eventually(lambda: world.stages() == {"ready": 1})
    client = make_app(world.system, world.parts, debug=False).test_client()
    assert client.post("/v1/flush").json == {"runners": [name], "missed": []}
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
    goes(world, name)
    eventually(lambda: name not in world.names())
    asked = world.lxd.count("instance")
    world.tell("fleet", RegistrationsListed(world.github.tickets[-1]))
    world.settle()
    assert name not in world.names()
    assert world.lxd.count("instance") == asked


@pytest.mark.parametrize("is_complete", [True, False])
def test_who_has_ended_is_asked_for_before_an_old_list_is_believed(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, *, is_complete: bool
) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    (name,) = world.names()
    world.tell(name, Happened(JobStarted(Job(name="test"))))
    key = f"{PREFIX}stage"
    eventually(lambda: world.lxd.there[name].config.get(key) == "busy")
    old = world.lxd.instances()
    world.reconfigure(virtual_machines=0)
    goes(world, name)
    eventually(lambda: world.names() == [])
    world.settle()
    monkeypatch.setattr(world.lxd, "instances", lambda: old)
    entered: list[Entry] = []
    monkeypatch.setattr(world.parts.roster, "put", entered.append)
    for _ in range(3):
        # It is not after a start, until a survey has succeeded.
        world.parts.roster.is_complete = is_complete
        asked, listings = world.lxd.count("instance"), world.github.listings
        world.tell("fleet", Reconcile("a test"))
        eventually(lambda before=listings: world.github.listings > before)
        eventually(lambda before=asked: world.lxd.count("instance") > before)
        world.settle()
        assert entered == world.names() == []


def test_who_has_ended_and_is_made_late_is_taken_over_all_the_same(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    (name,) = world.names()
    late = world.lxd.there[name]
    world.reconfigure(virtual_machines=0)
    goes(world, name)
    eventually(lambda: world.names() == [])
    world.settle()
    world.lxd.there[name] = late
    world.tell("fleet", Reconcile("a test"))
    # It is one too many, and removed.
    eventually(lambda: world.lxd.count("delete") and name not in world.lxd.there)
