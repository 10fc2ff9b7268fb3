"""Jobs that run though nobody has let them."""

from __future__ import annotations

from typing import Any

import pytest
from fake_world import MakeWorld, World
from waiting import eventually

from supervisor.lifecycle import Job, JobUnchecked, Life, Stage
from supervisor.messages.runner import Happened
from supervisor.policy_service.decisions import Decision, DecisionLog
from supervisor.runners.roster import Entry
from tests.unit.actors.policy.service import EXTERNAL, WELL, Service, builtin, let_pass, start


def busy(world: World, name: str) -> None:
    now = world.clock.steady()
    life = Life(Stage.BUSY, now, job=Job("acme/demo"))
    world.parts.roster.put(Entry(name, "g", life, policy="builtin", made_at=now))


def test_a_job_that_the_service_has_not_allowed_is_ended_and_one_that_it_has_is_not(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    let_run: list[Any] = []
    unchecked: list[Any] = []
    told = start(world, passed=let_run, unchecked=unchecked)
    eventually(lambda: told == [WELL])
    busy(world, "passed")
    busy(world, "unchecked")
    log = DecisionLog(world.state / "policy" / "decisions.jsonl")
    log.write(Decision(world.clock.now(), "passed", "acme/demo", "push", "allowed", "", 12, 3))
    began = world.clock.monotonic()
    let_pass(world, lambda: unchecked, 1)
    assert unchecked[0] == Happened(JobUnchecked())
    assert world.clock.monotonic() - began >= 120
    assert let_run == []


@pytest.mark.parametrize("set_by_s", [-3600, 3600])
def test_a_job_that_runs_unchecked_is_ended_though_the_clock_was_set(
    make_world: MakeWorld, service: Service, set_by_s: float
) -> None:
    world = builtin(make_world)
    world.clock.set_by(set_by_s)
    unchecked: list[Any] = []
    told = start(world, unchecked=unchecked)
    eventually(lambda: told == [WELL])
    world.clock.set_by(set_by_s)
    busy(world, "unchecked")
    let_pass(world, lambda: unchecked, 1)
    assert unchecked[0] == Happened(JobUnchecked())


def test_no_job_is_ended_for_what_another_service_has_not_said(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=EXTERNAL)
    unchecked: list[Any] = []
    start(world, unchecked=unchecked)
    busy(world, "unchecked")
    before = service.examinations
    let_pass(world, lambda: service.examinations > before + 50, 5)
    assert unchecked == []
