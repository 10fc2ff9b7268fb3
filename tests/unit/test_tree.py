from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pykka import ActorRef
from waiting import LIMIT_S, eventually

from supervisor.config import parse
from supervisor.parts import Parts, make_parts, outside_of
from supervisor.roles import NEEDED, OBSERVERS
from supervisor.status.part_reports import node_of
from supervisor.status.report import current_status
from supervisor.supervision import (
    Actor,
    ChildSpec,
    ChildStartFailed,
    Crash,
    FakeClock,
    Supervisor,
    System,
    tree,
)
from supervisor.tree import core_spec, root_spec


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    settings = {"name": "f", "path": "acme", "token": "t", "state-directory": str(tmp_path)}
    config = parse(settings, "test")
    return make_parts(config, outside_of(config))


def test_the_core_starts_each_actor_after_those_it_needs(parts: Parts) -> None:
    spec = core_spec(System(), parts)
    order = [child.id for child in spec.children]
    assert order == [
        "tokens", "runners", "signals", "storage", "firewall", "upgrades", "image", "policy",
        "fleet", "events", "filters",
    ]  # fmt: skip


class StandIn(Actor):
    """Stands in for an actor, as well as a test lets it."""

    def __init__(self, system: System, faults: list[str]) -> None:
        super().__init__(system)
        self._faults = faults

    def on_start(self) -> None:
        if self._faults:
            raise RuntimeError(self._faults.pop())


@dataclass
class Tree:
    """The tree as it is described, with others in the places of its actors."""

    system: System
    clock: FakeClock
    faults: dict[str, list[str]]
    """Of each actor, with what its next starts fail."""

    def incarnation(self, name: str) -> ActorRef[Any]:
        """Wait until an actor is up, and let its backoff pass."""
        eventually(lambda: self._is_up(name))
        ref = self.system.directory.ref(name)
        assert ref is not None
        return ref

    def crash(self, name: str) -> None:
        before = self.incarnation(name)
        before.tell(Crash("for the test"))
        eventually(lambda: not before.is_alive())

    def _is_up(self, name: str) -> bool:
        node = node_of(name, tree(self.system))
        if node and node.waits_until and node.waits_until > self.clock.now():
            self.clock.advance((node.waits_until - self.clock.now()).total_seconds())
        return node is not None and node.alive and node.state == "running"

    def of_core(self) -> list[ActorRef[Any]]:
        return [self.incarnation(name) for name in ("core", "fleet")]


@pytest.fixture
def standing(parts: Parts) -> Iterator[Callable[..., Tree]]:
    clock = FakeClock()
    system = System(clock, random=lambda: 0.0)

    def stand(**faults: list[str]) -> Tree:
        def stand_in(child: ChildSpec) -> ChildSpec:
            of_child = faults.setdefault(child.id, [])
            return replace(child, start=partial(StandIn.start, system, of_child))

        core = core_spec(system, parts)
        kept = [stand_in(child) for child in core.children if child.id != "runners"]
        start_core = partial(Supervisor.start, system, replace(core, children=kept))
        root = root_spec(system, parts)
        children = [
            replace(child, start=start_core) if child.id == "core" else stand_in(child)
            for child in root.children
        ]
        system.run_root(replace(root, children=children))
        return Tree(system, clock, faults)

    yield stand
    system.stop()


BESIDE_THE_CORE = ["journal", "control", "metrics"]


def test_who_only_shows_the_fleet_stands_beside_the_core() -> None:
    assert set(BESIDE_THE_CORE) > OBSERVERS
    assert NEEDED.isdisjoint(BESIDE_THE_CORE)


@pytest.mark.parametrize("name", BESIDE_THE_CORE)
def test_one_that_shows_the_fleet_may_crash_as_often_as_it_will(
    standing: Callable[..., Tree], name: str
) -> None:
    stood = standing()
    core = stood.of_core()
    for _ in range(10):
        stood.crash(name)
    stood.incarnation(name)
    assert stood.of_core() == core
    assert all(ref.is_alive() for ref in core)


@pytest.mark.parametrize("name", BESIDE_THE_CORE)
def test_the_core_comes_up_without_one_that_shows_it_which_is_tried_again(
    standing: Callable[..., Tree], parts: Parts, name: str
) -> None:
    stood = standing(**{name: ["not yet"] * 10})
    core = stood.of_core()
    assert stood.system.directory.ref(name) is None

    def is_told() -> bool:
        status = current_status(tree(stood.system), parts, stood.clock)
        shown = (*status["problems"], *status["warnings"])
        return f"{name}: is waiting: error (RuntimeError: not yet)" in shown

    eventually(is_told)
    stood.incarnation(name)
    assert stood.faults[name] == []
    assert stood.of_core() == core


def test_a_core_that_can_not_be_kept_up_ends_the_tree_whoever_else_is_up(
    standing: Callable[..., Tree],
) -> None:
    stood = standing()
    for _ in range(4):
        stood.crash("core")
    assert stood.system.root_ended.wait(LIMIT_S)
    assert stood.system.root_reason is not None
    assert "the last was for child 'core'" in str(stood.system.root_reason)


def test_a_core_that_can_not_start_keeps_the_tree_from_starting(
    standing: Callable[..., Tree],
) -> None:
    with pytest.raises(ChildStartFailed, match="fleet"):
        standing(fleet=["never"])
