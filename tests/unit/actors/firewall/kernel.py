"""The firewall's actor over a kernel in memory, and what it tells the fleet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ipaddress import ip_interface
from typing import Any

import pytest
from fake_actors import Inbox, guarded
from fake_world import World
from under_way import Gate
from waiting import LIMIT_S, eventually

from supervisor.actors.firewall import FirewallActor
from supervisor.config import Config
from supervisor.firewall.live import Counted, LiveTable
from supervisor.firewall.names import REJECTED, table_name
from supervisor.firewall.policy import Policy
from supervisor.messages.firewall import FirewallChanged
from supervisor.supervision import Backoff, ChildSpec
from supervisor.work import firewall as firewall_work
from supervisor.work.firewall import Kept, Surroundings, TableFailed, TableReady

BRIDGE = (ip_interface("10.9.0.1/24"),)
MAC = "00:16:3e:00:00:01"


class Kernel:
    """What the work finds, in its place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[Config, bool]] = []
        self.around = Surroundings(BRIDGE)
        self.ensured: list[Policy] = []
        self.applied: list[Policy] = []
        self.failure = ""
        self.differs = ""
        self.error: Exception | None = None
        self.warnings: tuple[str, ...] = ()
        self.closed: list[Policy] = []
        self.obstacle = ""
        self.gate = Gate()
        self.gate.set()
        self.asking_gate = Gate()
        self.asking_gate.set()
        monkeypatch.setattr(firewall_work, "ask", self._ask)
        monkeypatch.setattr(firewall_work, "ensure", self._ensure)
        monkeypatch.setattr(firewall_work, "close_if_gone", self._close_if_gone)

    def _ask(
        self,
        _lxd: object,
        _names: object,
        sees_ipv6: Callable[[], bool],
        config: Config,
        *,
        with_runners: bool,
    ) -> Surroundings:
        self.asked.append((config, with_runners))
        assert self.asking_gate.wait(LIMIT_S)
        return replace(self.around, filters_ipv6=sees_ipv6())

    def _ensure(
        self, _nftables: object, policy: Policy, kept: Kept | None, _before: LiveTable | None
    ) -> TableReady | TableFailed:
        self.ensured.append(policy)
        assert self.gate.wait(LIMIT_S)
        if self.error:
            error, self.error = self.error, None
            raise error
        if self.failure:
            return TableFailed(self.failure)
        differs, self.differs = self.differs, ""
        live = _table(policy)
        if kept is None or kept.policy != policy or differs:
            self.applied.append(policy)
        return TableReady(Kept(policy, live), live, differs, self.warnings, self.obstacle)

    def _close_if_gone(self, _nftables: object, policy: Policy, before: LiveTable | None) -> None:
        assert before is not None
        self.closed.append(policy)


def _table(policy: Policy) -> LiveTable:
    counts = {MAC: Counted(3, 180), "00:16:3e:00:00:02": Counted(2, 120)}
    name = table_name(policy.installation, policy.bridge)
    return LiveTable(name, {}, (), {}, {}, counts, {REJECTED: Counted(5, 300)})


def start(world: World) -> list[Any]:
    """Run the actor, and return what the fleet is told."""
    told: list[Any] = []
    world.run(
        ChildSpec("fleet", partial(Inbox.start, world.system, told)),
        ChildSpec("firewall", partial(FirewallActor.start, world.system, world.parts)),
        backoff=Backoff(minimum=0, maximum=0, factor=1, jitter=0),
    )
    return told


def started(world: World) -> list[Any]:
    """Run the actor, and return what the fleet is told when all is in place."""
    told = start(world)
    eventually(lambda: told == [in_place(world)])
    eventually(lambda: world.details("firewall").get("checks") == 1)
    return told


def in_place(world: World) -> FirewallChanged:
    return guarded(world.parts.settings.config, filters_ipv6=world.filters_ipv6)


def notify(world: World) -> None:
    """Have the kernel say that something has changed."""
    world.nftables.monitors[-1].changed()
