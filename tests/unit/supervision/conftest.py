"""A stage on which real actors play, under a clock moved by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from loguru import logger
from pykka import ActorRef
from waiting import LIMIT_S, eventually

from supervisor.supervision import (
    Actor,
    Change,
    ChildInfo,
    ChildSpec,
    FakeClock,
    StartChild,
    Supervisor,
    SupervisorSpec,
    System,
    TreeNode,
    WhichChildren,
    handles,
    tree,
)
from supervisor.supervision.cell import cell_of


@dataclass(frozen=True)
class Do:
    """Run this in the actor's thread."""

    what: Callable[[Any], Any]


class Probe(Actor):
    """An actor that does what it is told and says so."""

    def __init__(self, system: System, stage: Stage, name: str) -> None:
        super().__init__(system)
        self.stage = stage
        self.name = name
        self.got: list[Any] = []

    def on_start(self) -> None:
        self.stage.says.append(f"start {self.name}")
        self.stage.at_start.get(self.name, lambda _probe: None)(self)

    def on_stop(self) -> None:
        self.stage.at_stop.get(self.name, lambda _probe: None)(self)
        self.stage.says.append(f"stop {self.name}")

    def on_failure(self, *_: Any) -> None:
        self.stage.says.append(f"fail {self.name}")

    @handles(Do)
    def do(self, message: Do) -> Any:
        return message.what(self)

    @handles(str)
    def note(self, message: str) -> None:
        self.got.append(message)


class Stage:
    """One system and what its actors said.

    Attributes:
        says: what probes did, in order: `start a`, `stop a`, `fail a`.
        at_start: what a probe does in on_start, by name; likewise at_stop.
        logged: the log's lines, each with its `extra`.
        observed: what the system's observer was told.
    """

    Probe = Probe
    Do = Do

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.observed: list[Change] = []
        self.system = System(self.clock, random=lambda: 0.0, observer=self.observed.append)
        self.says: list[str] = []
        self.at_start: dict[str, Callable[[Probe], Any]] = {}
        self.at_stop: dict[str, Callable[[Probe], Any]] = {}
        self.logged: list[dict[str, Any]] = []
        self.gates: list[threading.Event] = []
        self.root_ends: list[Any] = []

    def spec(self, name: str, /, **options: Any) -> ChildSpec:
        return ChildSpec(name, partial(Probe.start, self.system, self, name), **options)

    def under(self, name: str, *children: ChildSpec, **options: Any) -> ChildSpec:
        """A supervisor as a child; options for the child go in `child`."""
        child = options.pop("child", {})
        spec = SupervisorSpec(children=children, **options)
        return ChildSpec(name, partial(Supervisor.start, self.system, spec), **child)

    def root(self, *children: ChildSpec | str, **options: Any) -> ActorRef[Supervisor]:
        specs = [self.spec(each) if isinstance(each, str) else each for each in children]
        spec = SupervisorSpec(children=specs, **options)
        return self.system.run_root(spec, on_end=self.root_ends.append)

    def dynamic(self, **options: Any) -> ActorRef[Supervisor]:
        return self.system.run_root(
            SupervisorSpec(dynamic=True, **options), on_end=self.root_ends.append
        )

    def alone(self, name: str = "alone") -> ActorRef[Probe]:
        return Probe.start(self.system, self, name)

    def add(self, root: ActorRef[Supervisor], name: str, /, **options: Any) -> ActorRef[Probe]:
        return root.ask(StartChild(self.spec(name, **options)), timeout=LIMIT_S)

    def ref(self, name: str) -> ActorRef[Probe]:
        return eventually(lambda: self.system.directory.ref(name), f"somebody is called {name}")

    def ask(self, name: str, what: Callable[[Any], Any]) -> Any:
        return self.ref(name).ask(Do(what), timeout=LIMIT_S)

    def crash(self, name: str, error: BaseException | None = None) -> None:
        """Have it fail, and wait until that is reported."""
        ref = self.ref(name)
        ref.tell(Do(partial(throw, error or RuntimeError("crashed"))))
        eventually(lambda: not ref.is_alive(), f"{name} ends")

    def reborn(self, name: str, before: ActorRef[Any]) -> ActorRef[Any]:
        """Wait for an incarnation after `before` that is up."""

        def up() -> ActorRef[Any] | None:
            ref = self.system.directory.ref(name)
            is_new = ref is not None and ref is not before
            return ref if is_new and cell_of(ref).snapshot.state != "starting" else None

        return eventually(up, f"{name} comes back")

    def heard(self, *lines: str) -> None:
        """Wait until the probes have said exactly this since the last time."""
        eventually(lambda: len(self.says) >= len(lines), f"{lines}", picture=lambda: self.says)
        said, self.says[:] = self.says[: len(lines)], self.says[len(lines) :]
        assert said == list(lines)

    def gate(self) -> threading.Event:
        """A gate that opens at the end of the test at the latest."""
        gate = threading.Event()
        self.gates.append(gate)
        return gate

    def block(self, name: str) -> threading.Event:
        """Have an actor hang in a message until the returned gate is opened."""
        gate, inside = self.gate(), threading.Event()
        self.ref(name).tell(Do(lambda _: (inside.set(), gate.wait(60))))
        assert inside.wait(LIMIT_S)
        return gate

    def children(self, root: ActorRef[Supervisor]) -> dict[str, ChildInfo]:
        return {each.id: each for each in root.ask(WhichChildren(), timeout=LIMIT_S)}

    def node(self, name: str) -> TreeNode:
        """Find a node of the tree by its id."""

        def find(node: TreeNode) -> TreeNode | None:
            if node.id == name:
                return node
            return next(filter(None, map(find, node.children)), None)

        top = tree(self.system)
        assert top is not None
        found = find(top)
        assert found is not None, f"{name} is not in the tree"
        return found

    def is_logged(self, text: str) -> bool:
        return any(text in line["message"] for line in self.logged)

    def close(self) -> None:
        for gate in self.gates:
            gate.set()
        self.system.stop(LIMIT_S)
        for cell in self.system.cells():
            cell.abandon("the test is over")
        eventually(lambda: not self.system.cells(), "all threads end")


def throw(error: BaseException, *_: Any) -> None:
    raise error


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    logger.remove()
    sink = logger.add(
        lambda message: made.logged.append(
            {"message": message.record["message"], "extra": message.record["extra"]}
        ),
        level="DEBUG",
    )
    try:
        yield made
    finally:
        made.close()
        logger.remove(sink)
