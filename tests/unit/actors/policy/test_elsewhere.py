"""A service elsewhere, which is asked for tokens in advance."""

from __future__ import annotations

import pytest
from fake_world import MakeWorld
from waiting import eventually

from supervisor.messages.policy import AnnouncePolicy, PolicyChanged
from tests.unit.actors.policy.service import EXTERNAL, URL, Service, let_pass, start


def test_a_service_elsewhere_is_asked_for_tokens_in_advance(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=EXTERNAL, virtual_machines=6)
    told = start(world)
    eventually(lambda: told == [PolicyChanged(healthy=True, base=URL)])
    assert (service.asked[0], world.parts.tokens.stocked(world.clock.now())) == (6, 6)
    for mark in "abc":
        world.parts.tokens.token("fleet-a", mark, "10.0.0.7", world.clock.now())
    eventually(lambda: world.parts.tokens.stocked(world.clock.now()) == 6)
    assert service.asked[-1] == 3


@pytest.mark.parametrize(("runners", "tokens"), [(0, 2), (300, 20)])
def test_how_many_it_has_in_advance_is_limited(
    make_world: MakeWorld, service: Service, runners: int, tokens: int
) -> None:
    world = make_world(policy=EXTERNAL, virtual_machines=runners)
    start(world)
    eventually(lambda: service.asked)
    assert service.asked[0] == tokens


def test_a_service_elsewhere_that_fails_is_told_and_asked_again(
    make_world: MakeWorld, service: Service
) -> None:
    service.fault = "it refuses the token of policy.token (401)"
    world = make_world(policy=EXTERNAL)
    told = start(world)
    reason = f"{URL}: {service.fault}"
    eventually(lambda: told == [PolicyChanged(healthy=False, reason=reason, base=URL)])
    service.fault = ""
    let_pass(world, lambda: told[-1] == PolicyChanged(healthy=True, base=URL))


def test_guests_who_take_tokens_do_not_hurry_a_service_elsewhere_that_fails(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=EXTERNAL, virtual_machines=4)
    told = start(world)
    eventually(lambda: told == [PolicyChanged(healthy=True, base=URL)])
    service.fault = "no answer within 3 s"
    let_pass(world, lambda: not told[-1].healthy, 1)
    eventually(lambda: world.waiting("policy") == 0)
    before = service.examinations
    for mark in ("a", "b", "c", "d", "e"):  # one more than there are
        world.parts.tokens.token("fleet-a", mark, "10.0.0.7", world.clock.now())
        eventually(lambda: world.waiting("policy") == 0)
    world.tell("policy", AnnouncePolicy())
    eventually(lambda: told[-1] == told[-2])
    assert service.examinations == before
