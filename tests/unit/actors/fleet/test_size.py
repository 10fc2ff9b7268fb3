"""How many runners there are: the wanted number, so many made at once, fewer, none in a drain."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fake_lxd import NOW
from fake_world import MakeWorld
from waiting import eventually

from supervisor.actors.runner import RunnerActor
from supervisor.lifecycle import GuestReady, Job, JobFinished, JobStarted, Stage
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.fleet import Drain, Reconcile, Resume
from supervisor.messages.runner import Happened
from supervisor.messages.signals import SignalsListening
from supervisor.status.report import current_status
from supervisor.supervision import Crash, tree
from tests.unit.actors.fleet.running import generation_of, goes, ready, start


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


def test_it_is_told_since_when_there_are_fewer_runners_than_wanted(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=2), signals=False)
    eventually(lambda: world.details("fleet").get("short_since") == NOW.isoformat())
    world.clock.advance(30)
    world.tell("fleet", Reconcile("a test"))
    eventually(lambda: world.details("fleet")["reconciles"] == 2)
    assert world.details("fleet")["short_since"] == NOW.isoformat()
    world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    eventually(lambda: world.details("fleet")["short_since"] is None)


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_that_is_set_makes_no_shortage_longer(make_world: MakeWorld, seconds: int) -> None:
    world = start(make_world(virtual_machines=2), signals=False)
    eventually(lambda: world.details("fleet").get("short_since"))
    world.clock.advance(30)
    world.clock.set_by(seconds)
    status = current_status(tree(world.system), world.parts, world.clock)
    assert status["short_since"] == (NOW + timedelta(seconds=seconds)).isoformat()
    assert not any("fewer runners" in problem for problem in status["problems"])
    world.clock.advance(600)
    status = current_status(tree(world.system), world.parts, world.clock)
    assert any("fewer runners than wanted for 10 min" in one for one in status["problems"])


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
    goes(world, busy)
    eventually(lambda: world.shown("fleet") == ("draining", f"empty; {order}"))
    world.settle()
    assert world.lxd.count("create") == 3
    world.parts.drain.clear()
    world.tell("fleet", Resume())
    eventually(lambda: world.stages() == {"booting": 3})


def test_the_generation_of_these_tests_is_the_fleets(make_world: MakeWorld) -> None:
    world = start(make_world(virtual_machines=1))
    eventually(lambda: world.stages() == {"booting": 1})
    entry = world.parts.roster.all()[0]
    assert entry.generation == generation_of(world)
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
    goes(world, first)
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
    goes(world, first)
    eventually(lambda: not world.names())
    assert world.lxd.count("create") == 1
