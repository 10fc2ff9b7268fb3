"""The service that the policy's actor has run, or asks elsewhere, in the work's place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from fake_actors import Inbox
from fake_world import MakeWorld, World

from supervisor.actors.policy import PolicyActor
from supervisor.gateways.decision_log import Tally
from supervisor.gateways.policy_process import Seen
from supervisor.gateways.policy_service import _Run
from supervisor.messages.policy import PolicyChanged
from supervisor.policy.token_desk import Signer
from supervisor.supervision import ChildSpec
from supervisor.work import policy as policy_work
from supervisor.work.policy import Examined, NotServed, Served

BASE = "http://127.0.0.1:8643"
URL = "https://policy.example"
EXTERNAL = {"mode": "external", "url": URL, "token": "charm"}
WELL = PolicyChanged(healthy=True, base=BASE)


class Process:
    """A process of the service, as far as the actor sees it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.alive = True
        self.killed: list[int] = []
        self.ended: Callable[[Any], object] = lambda _: None

    def look(self) -> Seen:
        return Seen(master_stopped=False, workers=2, stopped=frozenset())

    def kill(self) -> None:
        self.die()

    def kill_worker(self, pid: int) -> None:
        self.killed.append(pid)

    def end(self) -> None:
        self.alive = False

    def epitaph(self) -> str:
        return "the policy service has ended with 1: no room"

    def die(self) -> None:
        self.alive = False
        self.ended(self)


class Service:
    """What the work finds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes: list[Process] = []
        self.programs: list[tuple[str, ...]] = []
        self.failure = ""
        self.fault = ""
        self.deaf: set[int] = set()
        self.trouble = ""
        self.seen = Seen(master_stopped=False, workers=2, stopped=frozenset())
        self.stamp = "a"
        self.examinations = 0
        self.asked: list[int] = []
        self.issues = True
        self.again = False
        self.signer = Signer(b"0123456789abcdef", timedelta(days=2))
        monkeypatch.setattr(policy_work, "ensure", self._ensure)
        monkeypatch.setattr(policy_work, "examine", self._examine)
        monkeypatch.setattr(policy_work, "examine_external", self._examine_external)

    @property
    def process(self) -> Process:
        return self.processes[-1]

    def _ensure(
        self, _lxd: Any, service: Any, config: Any, now: Any, ended: Any, program: Any
    ) -> Any:
        self.programs.append(program)
        if self.failure:
            return NotServed(self.failure)
        if not self.processes or not self.process.alive or self.again:
            self.again = False
            self.processes.append(Process(1000 + len(self.processes)))
            self.process.ended = ended
            service._before = service._run
            service._run = _Run(self.process, "", b"")
        if service.process is not self.process:
            return Served(BASE, service.process.pid, self.signer, now + timedelta(days=1), "a")
        later = now + timedelta(days=1)
        return Served(BASE, self.process.pid, self.signer, later, self.stamp)

    def _examine(self, s: Any, _c: Any, _base: str, verdicts: Any, clock: Any, ticket: int) -> Any:
        self.examinations += 1
        verdicts.read(clock)
        fault = "connection refused" if s.process.pid in self.deaf else self.fault
        return Examined(ticket, fault, self.trouble, self.seen, Tally(), self.stamp)

    def _examine_external(self, _config: Any, wanted: int, ticket: int) -> Examined:
        self.examinations += 1
        self.asked.append(wanted)
        tokens = [f"t{self.examinations}-{n}" for n in range(wanted)] if self.issues else []
        return Examined(ticket, self.fault, self.trouble, tokens=tuple(tokens))


def start(world: World, **others: list[Any]) -> list[Any]:
    told: list[Any] = []
    world.run(
        ChildSpec("fleet", partial(Inbox.start, world.system, told)),
        *(ChildSpec(one, partial(Inbox.start, world.system, got)) for one, got in others.items()),
        ChildSpec("policy", partial(PolicyActor.start, world.system, world.parts)),
    )
    return told


def builtin(make_world: MakeWorld, **config: Any) -> World:
    return make_world(policy={"mode": "builtin"}, **config)


def let_pass(world: World, holds: Callable[[], object], step: float = 0.25) -> None:
    """Let time pass until something holds."""
    world.pass_until(holds, step)
