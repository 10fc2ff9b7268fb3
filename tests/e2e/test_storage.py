"""Runners whose disks are in a pool of the daemon's own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.lxd_daemon import remove_leftovers
from supervisor.config import parse
from supervisor.gateways.lxd import Lxd
from supervisor.host import storage
from supervisor.work.storage import PoolReady, StorageWork
from tests.e2e.daemon_process import run_cli
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.private_lxd import PrivateLxd
    from tests.e2e.conftest import MakeWorld
    from tests.e2e.world import World

    MakeStored = Callable[..., Any]


@pytest.fixture
def make_stored(make_world: MakeWorld, real_lxd: PrivateLxd) -> MakeStored:
    """Make worlds with storage of their own, of which nothing is left afterwards.

    All of it lies below LXD's directory: what cleans up after a killed run unmounts it too.
    """

    @contextmanager
    def make(runner_storage: str = "memory", **settings: Any) -> Iterator[World]:
        directory = Path(tempfile.mkdtemp(dir=real_lxd.daemon.directory, prefix="e2e-"))
        if runner_storage != "memory":
            runner_storage = str(directory)
        given = {"vm_disk": "96MiB", "runner_storage": runner_storage, **settings}
        given["state_directory"] = str(directory / "state")
        with make_world(**given) as world:
            try:
                yield world
                world.daemon.ask("/v1/version")
                world.daemon.reload(virtual_machines=0)
                world.wait_empty()
            finally:
                world.daemon.kill()
                remove(world)
        assert str(directory) not in Path("/proc/self/mountinfo").read_text()
        loops = subprocess.run(["losetup", "--all"], capture_output=True, text=True, check=True)
        assert str(directory) not in loops.stdout
        shutil.rmtree(directory)

    return make


def remove(world: World) -> None:
    """Have the pool removed, as a daemon does that is configured not to have one any more."""
    lxd = Lxd(world.lxd.endpoint)
    for name in world.instances():
        lxd.delete(name, limit_s=60)
    config = parse({**world.daemon.config, "runner-storage": "pool"}, "test")
    found = StorageWork(lxd, config).ensure()
    assert isinstance(found, PoolReady), found


def storage_warnings(world: World) -> list[str]:
    return [one for one in world.status()["warnings"] if "storage pool" in one]


def pool_of(world: World) -> str:
    return storage.pool_name(parse(world.daemon.config, "test"))


@pytest.mark.parametrize("kind", ["memory", "path"])
def test_a_job_that_fills_its_disk_costs_no_other_job_anything(
    make_stored: MakeStored, kind: str
) -> None:
    with make_stored(kind) as world:
        world.start()
        gate = world.gate()
        modest = world.queue(f"{gate.script}; dd if=/dev/zero of=ok bs=1M count=40 && sync")
        world.wait_started(modest)
        # It makes room again before it ends, or its runner could not even report its failure.
        fill = "said=$(dd if=/dev/zero of=fill bs=1M count=500 2>&1)"
        greedy = world.queue(f'if {fill}; then exit 0; fi; rm fill; echo "$said"; exit 1')
        wait_until(lambda: world.github.job(greedy).status == "completed", "its end")
        assert world.github.job(greedy).conclusion == "failure"
        assert "Disk quota exceeded" in world.github.job(greedy).log
        gate.open()
        world.wait_completed(modest)
        world.wait_whole()
        world.wait_sound()
        assert not storage_warnings(world)


def test_the_daemon_finds_its_pool_again_and_grows_it_for_more_runners(
    make_stored: MakeStored,
) -> None:
    with make_stored(virtual_machines=1) as world:
        world.start()
        gate = world.gate()
        job = world.queue(gate.script)
        name = world.wait_started(job)
        before = world.actor("storage")["details"]
        assert before["pool"] == pool_of(world)
        world.restart_after_kill()
        wait_until(lambda: world.names() == {name}, "the runner is taken over")
        wait_until(lambda: world.actor("storage")["state"] == "ready", "the pool is found")
        assert world.actor("storage")["details"]["total"] == before["total"]
        world.daemon.reload(virtual_machines=3)
        world.wait_whole()
        assert world.actor("storage")["details"]["total"] > before["total"]
        gate.open()
        world.wait_completed(job)
        world.wait_whole()


def test_after_a_start_of_the_host_the_fleet_is_whole_again(make_stored: MakeStored) -> None:
    with make_stored() as world:
        world.start()
        before = world.names()
        world.daemon.kill()
        world.lxd.daemon.kill()
        remove_leftovers(world.lxd.daemon.directory)
        world.lxd.daemon.start()
        world.start()
        assert not before & world.names()
        world.wait_sound()


def test_a_crash_of_its_actor_costs_no_runner(make_stored: MakeStored) -> None:
    with make_stored() as world:
        world.crashes_are_meant = True
        world.start()
        before = world.names()
        world.daemon.crash("storage")
        wait_until(lambda: world.actor("storage")["restarts"] == 1, "it is started again")
        wait_until(lambda: world.actor("storage")["state"] == "ready", "the pool is found")
        world.wait_whole()
        assert world.names() == before


def test_more_than_the_host_has_is_refused_while_it_runs_and_changes_nothing(
    make_stored: MakeStored,
) -> None:
    with make_stored() as world:
        world.start()
        before = world.names()
        world.daemon.reload(virtual_machines=10_000)
        refused = "configuration: the last change was refused: runner-storage: 10000 runners need"
        wait_until(
            lambda: any(p.startswith(refused) for p in world.status()["problems"]),
            "the refusal is shown",
        )
        assert world.status()["wanted"] == 2
        assert world.names() == before
        world.daemon.reload(virtual_machines=2)
        world.wait_sound()


def test_more_than_the_host_has_keeps_the_daemon_from_starting(make_stored: MakeStored) -> None:
    with make_stored(virtual_machines=0) as world:
        world.daemon.configure(virtual_machines=10_000)
        for command in ("run", "check-config"):
            refused = run_cli(command, "--config", str(world.daemon.config_path))
            assert refused.returncode == 2
            assert refused.stderr.splitlines()[-1].startswith("runner-storage: 10000 runners need")
            assert "would fit; lower virtual-machines, vm-disk or vm-memory" in refused.stderr
        assert not Path(world.daemon.config["state-directory"]).exists()
        world.daemon.configure(virtual_machines=1)
        world.start()


def test_a_pool_that_enforces_nothing_is_warned_of(world: World) -> None:
    world.start()
    (warning,) = storage_warnings(world)
    assert f"storage pool {world.lxd.pool} is of LXD's driver dir" in warning
    shown = world.daemon.cli("status")
    assert f"warning: {warning}" in shown.stdout
    assert shown.returncode == 0
