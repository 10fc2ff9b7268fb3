"""A package of pip's: which version serves, is proven, and is given back."""

from __future__ import annotations

from functools import partial
from typing import Any

from fake_actors import Inbox
from fake_world import MakeWorld, World
from waiting import eventually

from supervisor.actors.policy import PolicyActor
from supervisor.messages.policy import PolicyChanged
from supervisor.messages.upgrades import (
    AnnouncePolicyPackage,
    PolicyPackageChanged,
    PolicyPackageFailed,
    PolicyPackageProven,
)
from supervisor.supervision import ChildSpec
from tests.unit.actors.policy.service import WELL, Service, let_pass

PACKAGE = {"mode": "package", "package": "demo"}
ONE, TWO = (PolicyPackageChanged(f"/e/{n}", f"demo {n}.0", unproven=n > 1) for n in (1, 2))


def hosted(world: World) -> tuple[list[Any], list[Any]]:
    told: list[Any] = []
    upgrades: list[Any] = []
    world.run(
        ChildSpec("fleet", partial(Inbox.start, world.system, told)),
        ChildSpec("upgrades", partial(Inbox.start, world.system, upgrades)),
        ChildSpec("policy", partial(PolicyActor.start, world.system, world.parts)),
    )
    eventually(lambda: upgrades == [AnnouncePolicyPackage()])
    return told, upgrades


def test_no_package_means_no_runner_and_says_why(make_world: MakeWorld, service: Service) -> None:
    world = make_world(policy=PACKAGE)
    told, _ = hosted(world)
    assert world.shown("policy") == ("waiting", "the policy package has not been looked at yet")
    world.tell("policy", PolicyPackageChanged(reason="pip: no such thing"))
    reason = "policy.package: pip: no such thing"
    eventually(lambda: told == [PolicyChanged(healthy=False, reason=reason)])
    assert service.processes == []
    world.tell("policy", ONE)
    eventually(lambda: told[-1] == WELL)
    assert service.programs[-1][0] == "/e/1/bin/python"
    assert world.details("policy")["version"] == "demo 1.0"


def serving_the_second(world: World, service: Service) -> tuple[list[Any], list[Any]]:
    """Have a new version take the place of one that serves well."""
    told, upgrades = hosted(world)
    world.tell("policy", ONE)
    eventually(lambda: told[-1:] == [WELL])
    service.again = True
    world.tell("policy", TWO)
    eventually(lambda: len(service.processes) == 2)
    let_pass(world, lambda: world.details("policy")["version"] == "demo 2.0")
    upgrades.clear()
    return told, upgrades


def test_another_version_whose_process_fails_is_given_back(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=PACKAGE)
    _, upgrades = serving_the_second(world, service)
    let_pass(world, lambda: not world.parts.policy.predecessor, 1)
    failed = PolicyPackageFailed("/e/2", "the policy service has ended with 1: no room")
    service.process.die()
    let_pass(world, lambda: upgrades == [failed], 1)
    let_pass(world, lambda: world.shown("policy")[0] == "ready", 1)
    service.process.die()  # it was not given back
    let_pass(world, lambda: upgrades == [failed, failed], 1)


def test_whose_fault_the_trouble_of_another_version_is_others_find_out_ever_more_seldom(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=PACKAGE)
    _, upgrades = serving_the_second(world, service)
    service.trouble = "GitHub is away"
    failed = PolicyPackageFailed("/e/2", "GitHub is away", trouble=True)
    let_pass(world, lambda: upgrades == [failed], 1)
    began = world.clock.monotonic()
    let_pass(world, lambda: world.clock.monotonic() - began >= 175, 5)
    assert upgrades == [failed] * 2


def test_another_version_is_proven_when_it_is_well_after_its_time(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=PACKAGE)
    told, upgrades = serving_the_second(world, service)
    let_pass(world, lambda: upgrades, 5)
    assert upgrades == [PolicyPackageProven("/e/2")]
    service.trouble = "GitHub is away"
    let_pass(world, lambda: not told[-1].healthy, 1)
    service.process.die()
    let_pass(world, lambda: len(service.processes) == 3, 1)
    assert upgrades == [PolicyPackageProven("/e/2")]


def test_a_version_that_was_not_proven_is_given_back_after_a_start_too(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=PACKAGE)
    told, upgrades = hosted(world)
    world.tell("policy", TWO)
    eventually(lambda: told[-1:] == [WELL])
    service.process.die()
    let_pass(world, lambda: len(upgrades) == 2, 1)
    assert upgrades[1].environment == "/e/2"


def test_one_that_has_served_well_or_has_none_before_it_is_kept(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=PACKAGE)
    told, upgrades = hosted(world)
    service.trouble = "GitHub is away"
    world.tell("policy", ONE)
    eventually(lambda: told and not told[-1].healthy)
    service.process.die()
    let_pass(world, lambda: len(service.processes) == 2, 1)
    assert upgrades == [AnnouncePolicyPackage()]


def test_a_package_that_is_gone_leaves_what_runs(make_world: MakeWorld, service: Service) -> None:
    world = make_world(policy=PACKAGE)
    told, _ = hosted(world)
    world.tell("policy", ONE)
    eventually(lambda: told == [WELL])
    world.tell("policy", PolicyPackageChanged(reason="it is being installed"))
    warning = "policy.package: it is being installed"
    let_pass(world, lambda: world.details("policy")["warnings"] == (warning,))
    assert told == [WELL]
