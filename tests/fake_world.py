"""A world for actors that is all in memory: the daemon's parts, with fakes of what lies outside."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import waiting
from fake_actors import (
    APPLICATION,
    IMAGE,
    FakeFirewall,
    FakeImage,
    FakeStorage,
    FakeUpgrades,
    guarded,
    image_of,
)
from fake_github import FakeGitHub, FakeTokens
from fake_host import FakeHost, FakeNftables
from fake_lxd import FakeLxd
from feeds import gathered
from loguru import logger
from under_way import CountedMailbox, CountedWorkers, is_at_rest, is_held, progress, until_at_rest
from waiting import LIMIT_S, Wait, eventually

from supervisor.config import parse
from supervisor.gateways.names import look_up
from supervisor.gateways.policy_service import PolicyService
from supervisor.messages.firewall import CheckFirewall, FirewallChanged
from supervisor.messages.image import ImageChanged
from supervisor.messages.storage import StorageChanged
from supervisor.messages.upgrades import ApplicationChanged, CheckUpgrades
from supervisor.observation import log
from supervisor.observation.feed import Record
from supervisor.parts import Outside, make_parts
from supervisor.supervision import Actor, ChildSpec, FakeClock, SupervisorSpec, System

_INSTANT_S = 0.002


class SettlingClock(FakeClock):
    """A clock that moves only when nothing is under way, and until nothing is."""

    def __init__(self, settle: Callable[[], None]) -> None:
        super().__init__()
        self._settle = settle

    def advance(self, seconds: float) -> None:
        self._settle()
        super().advance(seconds)
        self._settle()


class World:
    """A system with its clock, parts, and what surrounds them.

    What it tells of its actors, and what it does with their clock, waits until nothing is under
    way.
    """

    is_all_in_memory: ClassVar[bool] = False
    """Whether nothing outside, of which nothing is known here, has to do with it."""

    def __init__(self, state: Path, clock: Any = None, **config: Any) -> None:
        self.state = state
        self.clock = clock or SettlingClock(self.settle)
        self.system = System(self.clock, random=lambda: 0.5)
        self.lxd = FakeLxd()
        self.github = FakeGitHub()
        self.nftables = FakeNftables()
        self.host = FakeHost()
        self.filters_ipv6 = True
        self.firewall_looks: list[CheckFirewall] = []
        self.upgrade_looks: list[CheckUpgrades] = []
        self.is_guarded = False
        """Whether what a changed configuration wants of the firewall is in place at once."""
        self.logged: list[str] = []
        self.base = {"name": "fleet", "path": "acme", "token": "secret", "denylist": ""}
        self.base |= {"state-directory": str(state), "policy": {"mode": "off"}, **config}
        self.base["lxd"] = {"image": "github-runner", **config.get("lxd", {})}
        outside = Outside(
            clock=self.clock,
            workers=CountedWorkers,
            lxd=self.lxd,  # type: ignore[arg-type]
            nftables=self.nftables,  # type: ignore[arg-type]
            look_up=look_up,
            sees_ipv6=lambda: self.filters_ipv6,
            host=self.host,  # type: ignore[arg-type]
            policy=PolicyService(),
        )
        self.parts = make_parts(parse(self.base, "test"), outside)
        self.feed = self.parts.feed
        self._told = gathered(self.feed)

    @property
    def told(self) -> list[Record]:
        """Each record that the feed was told."""
        return self._told()

    def reconfigure(self, **changes: Any) -> None:
        given = {key.replace("_", "-"): value for key, value in changes.items()}
        given["lxd"] = {**self.base["lxd"], **given.get("lxd", {})}
        config = parse({**self.base, **given}, "test")
        self.parts.settings.accept(config)
        if self.is_guarded:
            self.system.directory.tell("fleet", guarded(config))

    def run(self, *children: ChildSpec, **options: Any) -> None:
        spec = SupervisorSpec(children=children, intensity=100, period=1, **options)
        self.system.run_root(spec)

    def tokens(self) -> ChildSpec:
        return ChildSpec("tokens", lambda: FakeTokens.start(self.system, self.github))

    def storage(self, says: StorageChanged) -> ChildSpec:
        return ChildSpec("storage", lambda: FakeStorage.start(self.system, says))

    def firewall(self, says: FirewallChanged) -> ChildSpec:
        return ChildSpec(
            "firewall", lambda: FakeFirewall.start(self.system, says, self.firewall_looks)
        )

    def upgrades(self, says: ApplicationChanged | None = None) -> ChildSpec:
        says = says or ApplicationChanged(APPLICATION)
        return ChildSpec(
            "upgrades", lambda: FakeUpgrades.start(self.system, says, self.upgrade_looks)
        )

    def image(self, says: ImageChanged | None = None) -> ChildSpec:
        kind = self.parts.settings.config.lxd.instance_type
        says = says or image_of(IMAGE, kind)
        return ChildSpec("image", lambda: FakeImage.start(self.system, says))

    def tell(self, name: str, message: object) -> None:
        assert self.system.directory.tell(name, message), f"nobody is called {name}"

    def settle(self) -> None:
        """Wait until all that was told and done so far has had all its consequences.

        Where time passes by itself there is always something under way: nothing is waited for.
        """
        if isinstance(self.clock, SettlingClock):
            until_at_rest(self.busy)

    def pass_until(self, holds: Callable[[], object], step_s: float = 0.05) -> None:
        """Let time pass until something holds: a step for each look, and an instant outside.

        How long it takes the actors to act does not count.
        """
        wait = Wait(holds)
        while not wait.look():
            wait.leave_out(partial(self.clock.advance, step_s))
            time.sleep(_INSTANT_S)

    def busy(self) -> str:
        """Say who has yet to do something, or nothing if nobody has."""
        before = progress.count
        pools = [each for each in vars(self.parts).values() if isinstance(each, CountedWorkers)]
        busy = [cell.path for cell in self.system.cells() if not is_at_rest(cell)]
        busy += [pool.name for pool in pools if not pool.is_at_rest]
        busy += [
            thread.name
            for thread in threading.enumerate()
            if thread.name == "events" and not is_held(thread.ident)
        ]
        # Somebody who had been looked at may have been given something by one who was not yet.
        return ", ".join(busy) or ("messages" if progress.count != before else "")

    def stages(self) -> Counter[str]:
        self.settle()
        return Counter(str(entry.life.stage) for entry in self.parts.roster.all())

    def names(self) -> list[str]:
        self.settle()
        return sorted(entry.name for entry in self.parts.roster.all())

    def shown(self, name: str) -> tuple[str, str]:
        """Return state and reason that an actor has published."""
        self.settle()
        for cell in self.system.cells():
            if cell.id == name:
                return cell.snapshot.state, cell.snapshot.reason
        return "", ""

    def waiting(self, name: str) -> int:
        """Return how many messages wait for an actor, the one it is in included."""
        cell = next(cell for cell in self.system.cells() if cell.id == name)
        mailbox = cell.mailbox

        def count() -> int:
            return mailbox.depth() + (cell.handling is not None)

        if not count():
            # One that has just been taken out stands in neither. It has been handled when what is
            # put there after it is taken out, too.
            mailbox.wake_up()
            eventually(lambda: not mailbox.depth() or cell.handling or cell.ended)
        return 0 if cell.ended else count()

    def details(self, name: str) -> Mapping[str, Any]:
        """Return the details that an actor has published."""
        self.settle()
        return next(cell.snapshot.details for cell in self.system.cells() if cell.id == name)


MakeWorld = Callable[..., World]
"""What makes a world of a configuration's keys."""


@pytest.fixture(autouse=True)
def all_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it known that worlds have nothing outside; for all tests beside where this is named."""
    monkeypatch.setattr(World, "is_all_in_memory", True)


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWorld]:
    monkeypatch.setattr(Actor, "_create_actor_inbox", staticmethod(CountedMailbox))
    worlds: list[World] = []
    logged: list[str] = []
    monkeypatch.setattr(log, "_gate", log._Gate())  # so that all come by loguru
    sink = logger.add(logged.append, level="DEBUG", format="{message}")

    def make(**config: Any) -> World:
        given = {key.replace("_", "-"): value for key, value in config.items()}
        worlds.append(World(tmp_path / f"state-{len(worlds)}", **given))
        worlds[-1].logged = logged
        return worlds[-1]

    def come_to_rest() -> None:
        for world in worlds:
            if world.is_all_in_memory:
                until_at_rest(world.busy)

    with waiting.first(come_to_rest):
        yield make
    for world in worlds:
        for gate in world.lxd.gates.values():
            gate.set()
        world.system.stop(LIMIT_S)
        world.parts.journal_writer.stop(LIMIT_S)
        world.parts.policy.close()
        for stream in world.lxd.streams:
            stream.close()
    logger.remove(sink)
