"""The daemon as its unit runs it: not root, with one capability and a read-only file system."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from unprivileged import USER, command, unit_directory

from sandbox.private_lxd import PrivateLxd
from supervisor.config import parse
from supervisor.gateways.lxd import Lxd
from supervisor.host import storage
from supervisor.work.storage import PoolReady, StorageWork
from tests.e2e.daemon_process import DaemonProcess, run_cli
from tests.e2e.waits import wait_until
from tests.e2e.world import World, walk

MakeWorld = Callable[..., Any]
_UNIT = "github-runner-supervisor-storage.service"


class UnprivilegedDaemon(DaemonProcess):
    """The daemon in what stands in for its unit."""

    def __init__(self, directory: Path, config: dict[str, Any], python: Path) -> None:
        super().__init__(directory, config)
        self.config_path.touch(mode=0o600)
        os.chown(self.config_path, USER, USER)
        self._python = python

    def _program(self) -> list[str]:
        lxd = Path(self.config["lxd"]["socket"]).parent
        return command(self._python, "from supervisor.cli import main; main()", lxd)


@pytest.fixture
def directory(real_lxd: PrivateLxd) -> Iterator[Path]:
    with unit_directory(real_lxd.daemon.directory) as made:
        yield made


@pytest.fixture
def world(
    make_world: MakeWorld, policy_image: str, directory: Path, python_for_all: Path
) -> Iterator[World]:
    """A daemon that wants one runner on a pool in memory, whose jobs the policy must let run."""
    settings = {
        "virtual_machines": 1,
        "vm_disk": "96MiB",
        "runner_storage": "memory",
        "state_directory": str(directory / "state"),
        "control": {"socket": str(directory / "run" / "control.sock"), "debug": True},
    }
    with make_world(**settings) as made:
        config = made.daemon.config
        config["lxd"]["image"] = policy_image
        config["policy"] = {"mode": "builtin", "port": free_port(made.address)}
        made.daemon = UnprivilegedDaemon(directory, config, python_for_all)
        made.github.set_repository("acme/demo")
        made.github.protect("acme/demo", "main")
        made.github.set_collaborator("acme/demo", "dora", role="maintain")
        try:
            yield made
        finally:
            made.daemon.kill()
            remove_pools(made)


def remove_pools(world: World) -> None:
    """Have root remove the pool, as for a daemon that is configured not to have one any more."""
    lxd = Lxd(world.lxd.endpoint)
    for name in world.instances():
        lxd.delete(name, limit_s=60)
    config = parse({**world.daemon.config, "runner-storage": "pool"}, "test")
    found = StorageWork(lxd, config).prepare()
    assert isinstance(found, PoolReady), found
    assert not storage.homes(config).exists()


def storage_shown(world: World) -> list[tuple[str, str]]:
    """Return how the storage's actor shows itself; nothing before it is there."""
    nodes = walk(world.daemon.ask("/v1/tree"))
    return [(node["state"], node["reason"]) for node in nodes if node["id"] == "storage"]


def meet_request(world: World, wish: str) -> None:
    """Do what systemd does when the daemon asks for something of its storage pool."""
    config = parse(world.daemon.config, "test")
    request, wish = storage.request(config), f"{wish} storage pool {storage.pool_name(config)}"
    shown = ("waiting", f"waits for {_UNIT} to {wish}")
    wait_until(lambda: shown in storage_shown(world), f"the daemon waits for who will {wish}")
    assert request.read_text() == f"{wish}\n"
    done = run_cli("prepare-storage", "--config", str(world.daemon.config_path))
    assert done.returncode == 0, done.stderr
    assert f"storage pool {storage.pool_name(config)} is ready" in done.stdout


def policy_service(world: World) -> set[str]:
    """Return the numbers of the policy service's processes, which the daemon's log names."""
    messages = [entry["message"] for entry in world.daemon.entries()]
    found = re.search(r"the policy service is process (\d+)", "\n".join(messages))
    assert found
    workers = Path(f"/proc/{found[1]}/task/{found[1]}/children").read_text().split()
    assert workers
    return {found[1], *workers}


def test_a_daemon_that_is_not_root_keeps_its_fleet(world: World) -> None:
    world.daemon.start()
    meet_request(world, "make")
    world.wait_whole()
    ids = Path(f"/proc/{world.daemon.pid}/status").read_text()
    assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}" in ids
    assert "CapEff:\t0000000000001000" in ids
    for child in policy_service(world):
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{child}/status").read_text()
    assert world.daemon.cli("status").returncode == 0, world.daemon.cli("status").stdout
    assert world.daemon.cli("firewall").returncode == 0
    job = world.queue("echo hello")
    world.wait_completed(job)
    assert "policy: this job may run" in world.github.job(job).log
    world.wait_whole()
    world.daemon.reload(virtual_machines=2)
    meet_request(world, "enlarge")
    world.wait_whole()
    names = world.names()
    world.daemon.stop(signal.SIGTERM)
    world.daemon.start()
    wait_until(lambda: world.names() == names, "the runners are taken over")
    world.wait_whole()
    world.wait_sound()
