"""A world that is nothing but sets and lists, for the supervisor's decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pykka import ActorRef

from supervisor.supervision import ChildSpec, Reason, Restart, SupervisorSpec
from supervisor.supervision.core import Core
from supervisor.supervision.effects import (
    Answer,
    CancelWait,
    Discard,
    Effect,
    Finished,
    Halt,
    Launch,
    Wait,
)
from supervisor.supervision.reasons import SHUTDOWN

CRASHED = Reason.failed(RuntimeError("crashed"))


def never_called() -> ActorRef[object]:
    raise AssertionError


def child(child_id: str, restart: Restart = Restart.PERMANENT, **more: bool) -> ChildSpec:
    return ChildSpec(child_id, never_called, restart, **more)


@dataclass
class World:
    """What outside the core would be true if its effects were carried out."""

    core: Core
    now: float = 0.0
    starting: dict[str, int] = field(default_factory=dict)
    up: dict[str, int] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    waits: set[int] = field(default_factory=set)
    gone: list[tuple[str, int]] = field(default_factory=list)
    answers: dict[object, Answer] = field(default_factory=dict)
    seen: list[Effect] = field(default_factory=list)

    @property
    def living(self) -> dict[str, int]:
        return {**self.starting, **self.up}

    def apply(self, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            self._apply(effect)
        self.seen += effects
        return effects

    def _apply(self, effect: Effect) -> None:
        if isinstance(effect, Launch):
            assert effect.id not in self.living, "two incarnations at one time"
            assert (effect.id, effect.incarnation) not in self.gone, "an incarnation used twice"
            self.starting[effect.id] = effect.incarnation
        elif isinstance(effect, Halt):
            assert self.living.get(effect.id) == effect.incarnation, "told a stranger to stop"
            assert effect.id not in self.told, "told twice to stop"
            self.told.add(effect.id)
        elif isinstance(effect, Wait):
            self.waits.add(effect.token)
        elif isinstance(effect, CancelWait):
            self.waits.remove(effect.token)
        elif isinstance(effect, Answer):
            assert effect.request not in self.answers, "answered twice"
            self.answers[effect.request] = effect
        elif isinstance(effect, Discard):
            assert effect.id not in self.living, "forgot a living child"
        elif isinstance(effect, Finished):
            assert not self.living, "finished before its children"

    def begin(self) -> list[Effect]:
        return self.apply(self.core.begin())

    def comes_up(self, child_id: str) -> list[Effect]:
        incarnation = self.starting.pop(child_id)
        self.up[child_id] = incarnation
        return self.apply(self.core.started(child_id, incarnation, self.now))

    def ends(self, child_id: str, reason: Reason = CRASHED) -> list[Effect]:
        incarnation = self.living[child_id]
        self.starting.pop(child_id, None)
        self.up.pop(child_id, None)
        self.told.discard(child_id)
        self.gone.append((child_id, incarnation))
        return self.apply(self.core.ended(child_id, incarnation, reason, self.now))

    def delay_passes(self) -> list[Effect]:
        token = min(self.waits)
        self.waits.remove(token)
        return self.apply(self.core.delay_passed(token))

    def all_come_up(self) -> None:
        while self.starting or self.waits or self.told:
            if self.told:
                self.ends(min(self.told), SHUTDOWN)
            elif self.starting:
                self.comes_up(min(self.starting))
            else:
                self.delay_passes()


def world_of(*children: ChildSpec, **spec: Any) -> World:
    supervisor = SupervisorSpec(children=children, **{"intensity": 3, **spec})
    return World(Core(supervisor, random=lambda: 0.0))


def running(*children: ChildSpec, **spec: Any) -> World:
    world = world_of(*children, **spec)
    world.begin()
    world.all_come_up()
    world.seen.clear()
    return world


def stages(effects: list[Effect]) -> list[str]:
    words = {Launch: "launch", Halt: "halt"}
    return [
        f"{words[type(effect)]} {effect.id}"
        for effect in effects
        if isinstance(effect, Launch | Halt)
    ]


ABC = (child("a"), child("b"), child("c"))
LONE = child("lone", escalates=False)
