from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fake_actors import Inbox
from fake_world import World
from waiting import eventually

from supervisor.actors.storage import StorageActor
from supervisor.causes import Cause
from supervisor.config import Config
from supervisor.host import storage
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.storage import AnnounceStorage, StorageChanged
from supervisor.supervision import ChildSpec, Crash
from supervisor.work.storage import PoolFailed, PoolReady, StorageWork

MakeWorld = Callable[..., World]
_GIB = 2**30


class Pool:
    """What the work finds, in its place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks: list[Config] = []
        self.failure: PoolFailed | None = None
        self.error: Exception | None = None
        self.warnings: tuple[str, ...] = ()
        monkeypatch.setattr(StorageWork, "ensure", lambda work: self._ensure(work.config))

    def _ensure(self, config: Config) -> PoolReady | PoolFailed:
        self.looks.append(config)
        if self.error:
            error, self.error = self.error, None
            raise error
        ready = PoolReady(
            storage.pool_name(config), storage.wanted_bytes(config), (_GIB, 4 * _GIB), self.warnings
        )
        return self.failure or ready


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    return Pool(monkeypatch)


def start(world: World) -> list[Any]:
    """Run the actor, and return what the fleet is told."""
    told: list[Any] = []
    world.run(
        ChildSpec("fleet", partial(Inbox.start, world.system, told)),
        ChildSpec("storage", partial(StorageActor.start, world.system, world.parts)),
    )
    return told


def test_the_fleet_is_told_when_the_pool_is_there(make_world: MakeWorld, pool: Pool) -> None:
    world = make_world(runner_storage="memory")
    told = start(world)
    wanted = storage.wanted_bytes(world.parts.settings.config)
    eventually(lambda: told == [StorageChanged("fleet-memory", wanted)])
    shown = ("ready", "pool fleet-memory: 1 GiB of 4 GiB are used")
    eventually(lambda: world.shown("storage") == shown)
    assert pool.looks == [world.parts.settings.config]


def test_it_says_so_again_to_a_fleet_that_asks(make_world: MakeWorld, pool: Pool) -> None:
    world = make_world()
    told = start(world)
    eventually(lambda: told == [StorageChanged("default")])
    world.tell("storage", AnnounceStorage())
    eventually(lambda: told == [StorageChanged("default")] * 2)
    assert len(pool.looks) == 1


def test_a_failure_is_told_and_tried_again(make_world: MakeWorld, pool: Pool) -> None:
    pool.failure = PoolFailed("there is no program mkfs.btrfs; install btrfs-progs")
    world = make_world(runner_storage="memory")
    told = start(world)
    eventually(lambda: told == [StorageChanged(reason=pool.failure.reason)])  # type: ignore[union-attr]
    eventually(lambda: world.shown("storage") == ("failing", pool.failure.reason))  # type: ignore[union-attr]
    pool.failure = None
    world.clock.advance(2.1)
    eventually(lambda: told[-1].pool == "fleet-memory")
    assert world.shown("storage")[0] == "ready"


def test_what_another_was_asked_for_is_waited_for_and_then_a_failure(
    make_world: MakeWorld, pool: Pool
) -> None:
    pool.failure = PoolFailed("waits for another", asked=True)
    world = make_world(runner_storage="memory")
    told = start(world)
    for looks in range(1, 5):
        eventually(lambda looks=looks: len(pool.looks) == looks)  # type: ignore[misc]
        eventually(lambda: world.shown("storage") == ("waiting", "waits for another"))
        world.clock.advance(61)
    eventually(lambda: world.shown("storage") == ("failing", "waits for another"))
    assert told == [StorageChanged(reason="waits for another")]


def test_while_lxd_is_away_a_pool_that_was_there_counts_as_there(
    make_world: MakeWorld, pool: Pool
) -> None:
    world = make_world()
    told = start(world)
    eventually(lambda: told == [StorageChanged("default")])
    pool.failure = PoolFailed("LXD is not running", outage=True)
    world.clock.advance(61)
    eventually(lambda: len(pool.looks) == 2)
    world.clock.advance(2.1)
    eventually(lambda: len(pool.looks) == 3)
    assert world.shown("storage")[0] == "ready"
    assert len(told) == 1


def test_before_the_first_look_succeeds_an_outage_is_a_failure(
    make_world: MakeWorld, pool: Pool
) -> None:
    pool.failure = PoolFailed("LXD is not running", Cause.LXD_UNAVAILABLE, outage=True)
    world = make_world()
    told = start(world)
    eventually(lambda: told == [StorageChanged(reason="LXD is not running")])
    assert world.details("storage")["cause"] == "lxd-unavailable"


def test_another_configuration_has_it_look_at_once(make_world: MakeWorld, pool: Pool) -> None:
    world = make_world(runner_storage="memory", virtual_machines=1)
    told = start(world)
    eventually(lambda: len(told) == 1)
    world.reconfigure(runner_storage="memory", virtual_machines=5)
    world.tell("storage", ConfigChanged(world.parts.settings.config))
    wanted = storage.wanted_bytes(world.parts.settings.config)
    eventually(lambda: told[-1] == StorageChanged("fleet-memory", wanted))


def test_a_pool_that_is_lost_is_noticed_by_itself(make_world: MakeWorld, pool: Pool) -> None:
    world = make_world()
    told = start(world)
    eventually(lambda: len(told) == 1)
    pool.failure = PoolFailed("LXD has no storage pool default")
    world.clock.advance(61)
    eventually(lambda: told[-1] == StorageChanged(reason="LXD has no storage pool default"))


def test_warnings_are_published(make_world: MakeWorld, pool: Pool) -> None:
    pool.warnings = ("vm-disk is not enforced",)
    world = make_world()
    start(world)
    eventually(lambda: world.shown("storage")[0] == "ready")
    assert world.details("storage")["warnings"] == pool.warnings


def test_a_fault_of_ours_has_the_actor_start_again(make_world: MakeWorld, pool: Pool) -> None:
    pool.error = RuntimeError("a bug")
    world = make_world()
    told = start(world)
    eventually(lambda: told == [StorageChanged("default")])
    assert len(pool.looks) == 2


def test_a_crash_makes_nothing_twice_and_the_fleet_hears_again(
    make_world: MakeWorld, pool: Pool
) -> None:
    world = make_world()
    told = start(world)
    eventually(lambda: len(told) == 1)
    world.tell("storage", Crash("a test"))
    eventually(lambda: told == [StorageChanged("default")] * 2)
    assert len(pool.looks) == 2
