"""A fleet with its runners among neighbours in memory, and what moves its runners on."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from fake_actors import APPLICATION, IMAGE, guarded
from fake_world import World
from under_way import Gate
from waiting import eventually

from supervisor.actors.fleet import FleetActor
from supervisor.lifecycle import Confirmed, GuestReady, InstanceGone
from supervisor.messages.firewall import FirewallChanged
from supervisor.messages.fleet import Resume
from supervisor.messages.image import ImageChanged
from supervisor.messages.runner import Happened
from supervisor.messages.signals import SignalsListening
from supervisor.messages.storage import StorageChanged
from supervisor.messages.upgrades import ApplicationChanged
from supervisor.runners.blueprints import blueprint_of
from supervisor.runners.roster import Entry
from supervisor.supervision import (
    INFINITY,
    Backoff,
    ChildSpec,
    Strategy,
    Supervisor,
    SupervisorSpec,
)

_POOL = StorageChanged("default")


def start(
    world: World,
    *,
    signals: bool = True,
    storage: StorageChanged = _POOL,
    firewall: FirewallChanged | None = None,
    upgrades: ApplicationChanged | None = None,
    image: ImageChanged | None = None,
    backoff: Backoff | None = None,
) -> World:
    """Run a fleet with its runners, with in-memory neighbours."""
    runners = SupervisorSpec(dynamic=True, intensity=1000, period=1, backoff=backoff)
    system, parts = world.system, world.parts
    world.run(
        world.tokens(),
        world.storage(storage),
        world.firewall(firewall or guarded(world.parts.settings.config)),
        world.upgrades(upgrades),
        world.image(image),
        ChildSpec("runners", partial(Supervisor.start, system, runners), shutdown=INFINITY),
        ChildSpec("fleet", partial(FleetActor.start, system, parts, "runners")),
        strategy=Strategy.REST_FOR_ONE,
    )
    if signals:
        world.tell("fleet", SignalsListening("http://127.0.0.1:8642"))
    return world


def ready(world: World) -> None:
    for name in world.names():
        world.system.directory.tell(name, Happened(GuestReady()))


def comes_online(world: World) -> str:
    """Wait for a new runner and let it come online."""
    eventually(lambda: world.stages() == {"booting": 1})
    (name,) = world.names()
    world.tell(name, Happened(Confirmed(busy=False)))
    eventually(lambda: world.stages() == {"idle": 1})
    return name


def generation_of(world: World) -> str:
    config = world.parts.settings.config
    return blueprint_of(config, application=APPLICATION.sha256, image=IMAGE).generation


def reconciles_done(world: World) -> int:
    """Say how many have been done; none is under way once another has been asked for and done."""
    world.settle()
    count: int = world.details("fleet")["reconciles"]
    return count


def goes(world: World, name: str) -> None:
    """Let an instance end, in the way that its runner hears of it."""
    world.lxd.power_off(name)
    world.tell(name, Happened(InstanceGone()))


def hold_fleet(world: World, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Have the fleet be in the midst of a message until the gate is set; what comes waits."""
    entered, held = threading.Event(), Gate()
    runners = world.parts.roster.all

    def when_released() -> list[Entry]:
        entered.set()
        held.wait(5)
        return runners()

    monkeypatch.setattr(world.parts.roster, "all", when_released)
    world.tell("fleet", Resume())
    assert entered.wait(5)
    return held
