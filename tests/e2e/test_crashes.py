"""Each actor is made to crash: it is started again, and nobody outside notices."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.e2e.conftest import Kept, MakeWorld
    from tests.e2e.world import World

# Of each group one daemon is made to crash. All in one would be too many: the core gives up at more
# than ten in a minute.
GROUPS = (
    ("control", "core", "tokens", "runners", "signals"),
    ("storage", "firewall", "upgrades", "image"),
    ("policy", "fleet", "events", "filters"),
)
FIXED = [(group, name) for group in GROUPS for name in group]


@pytest.fixture
def open_shared(make_world: MakeWorld) -> Callable[[], AbstractContextManager[World]]:
    @contextmanager
    def make() -> Iterator[World]:
        with make_world() as world:
            world.crashes_are_meant = True
            yield world

    return make


@pytest.mark.parametrize(("group", "name"), FIXED, ids=[name for _, name in FIXED])
def test_an_actor_that_crashes_is_restarted_and_the_job_goes_on(
    kept: Kept,
    open_shared: Callable[[], AbstractContextManager[World]],
    group: tuple[str, ...],
    name: str,
) -> None:
    world: World = kept.get(group, open_shared)
    world.bring_back()
    gate = world.gate()
    job = world.queue(gate.script)
    busy = world.wait_started(job)
    crash(world, name)
    world.wait_whole()
    assert world.wait_started(job) == busy
    gate.open()
    (done,) = world.wait_completed(job)
    assert done.runner_name == busy
    # It works as before: signals come in, instances' ends are heard, runners are registered.
    world.wait_whole()
    world.wait_completed(world.queue())
    world.wait_whole()
    world.wait_sound()


def test_a_runners_actor_that_crashes_finds_its_idle_runner_again(running: World) -> None:
    before = running.names()
    name = min(before)
    # Whether it is recorded already how far it is or not: without that GitHub is asked soon.
    crash(running, name)
    running.wait_whole()
    assert running.names() == before


def test_a_runners_actor_that_crashes_finds_its_job_again(running: World) -> None:
    gate = running.gate()
    job = running.queue(gate.script, workflow="nightly")
    name = running.wait_started(job)
    crash(running, name)
    assert running.wait_started(job) == name
    wait_until(lambda: running.runners()[name]["job"], "it shows its job")
    assert running.runners()[name]["job"]["workflow"] == "nightly"
    gate.open()
    (done,) = running.wait_completed(job)
    assert done.runner_name == name
    running.wait_whole()


def test_a_runners_actor_that_crashes_while_its_instance_is_created_leaves_no_trace(
    running: World,
) -> None:
    here = running.daemon.now()
    held = running.fail(method="POST", path_pattern="*/generate-jitconfig", held=True)
    running.daemon.reload(virtual_machines=3)
    running.hits(held)
    with running.lxd_paused():
        running.github.faults.clear()
        said = "creating: waits for LXD to create it"
        wait_until(lambda: running.daemon.said(said, here), "an instance is ordered")
        (name,) = running.daemon.said(said, here)
        running.daemon.crash(name)
    running.reconcile()
    running.wait_whole_again()


def test_a_daemon_whose_tree_is_beyond_repair_ends_and_the_next_one_goes_on(
    make_world: MakeWorld,
) -> None:
    with make_world() as world:
        world.crashes_are_meant = True
        world.start()
        gate = world.gate()
        job = world.queue(gate.script)
        busy = world.wait_started(job)
        for _ in range(3):
            crash(world, "core")
        world.daemon.crash("core")
        assert world.daemon.ended() == 1
        assert world.instances()[busy] == "Running"
        world.start()
        assert world.wait_started(job) == busy
        gate.open()
        world.wait_completed(job)
        world.wait_whole()


def crash(world: World, name: str) -> None:
    """Make an actor crash and wait until another incarnation lives."""
    restarts = world.actor(name)["restarts"]

    def is_restarted() -> bool:
        node = world.actor(name)
        return bool(node["restarts"] > restarts and node["alive"])

    world.daemon.crash(name)
    wait_until(is_restarted, f"{name} is restarted")
