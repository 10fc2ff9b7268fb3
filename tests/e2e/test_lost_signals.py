"""What guests report is lost: the fleet is right all the same, within one reconcile.

The daemon listens at an address of its own on the bridge. While that is taken away, guests' reports
go to nobody, as if a firewall swallowed them; the daemon notices nothing.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING

import pytest
from ports import free_port

from supervisor.gateways.lxd import Lxd
from supervisor.runners.instances import USER_DATA
from tests.e2e.waits import wait_until
from tests.e2e.world import AVAILABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.private_lxd import PrivateLxd
    from tests.e2e.conftest import MakeWorld
    from tests.e2e.world import World

BOOTING, IDLE, BUSY = (frozenset({stage}) for stage in ("booting", "idle", "busy"))


@dataclass(frozen=True)
class Line:
    """An address on the bridge, in its network, that can be taken away."""

    address: IPv4Interface
    bridge: str

    def connect(self) -> None:
        self._change("replace")

    def cut(self) -> None:
        self._change("del")

    @contextmanager
    def is_cut(self) -> Iterator[None]:
        self.cut()
        try:
            yield
        finally:
            self.connect()

    def _change(self, how: str) -> None:
        command = ["ip", "address", how, str(self.address), "dev", self.bridge]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def line(real_lxd: PrivateLxd) -> Iterator[Line]:
    bridge = Lxd(real_lxd.endpoint).bridge_address(real_lxd.network)
    # Outside of what DHCP hands out: while it is away, a guest could be given it.
    last = bridge.network.broadcast_address - 1
    made = Line(IPv4Interface((last, bridge.network.prefixlen)), real_lxd.network)
    made.connect()
    yield made
    made.cut()


@pytest.fixture
def world(make_world: MakeWorld, line: Line) -> Iterator[World]:
    address = str(line.address.ip)
    signals = {"address": address, "port": free_port(address)}
    with make_world(signals=signals) as made:
        made.daemon.module = "tests.e2e.impatient_guests"
        yield made


def begin_unheard(world: World) -> None:
    """Have two runners come up of which the daemon hears nothing but from LXD."""
    world.daemon.reload(virtual_machines=2)
    wait_until(lambda: len(world.names(BOOTING)) == 2, "two are started")

    def online() -> bool:
        registered = world.registrations()
        return len(registered) == 2 and all(registered.values())

    wait_until(online, "two are online")
    assert len(world.names(BOOTING)) == 2


def start_empty(world: World) -> None:
    world.daemon.config["virtual-machines"] = 0
    world.daemon.start()
    wait_until(lambda: world.actor("signals")["state"] == "listening", "guests can report")


def test_runners_whose_ready_was_lost_are_known_and_hold_no_secrets(
    world: World, line: Line
) -> None:
    start_empty(world)
    with line.is_cut():
        begin_unheard(world)
        before = world.runners().keys()
        world.reconcile()
        wait_until(lambda: world.names(IDLE) == before, "both are known to wait for a job")

    def hold_none() -> bool:
        return not any(USER_DATA in config for config in world.configurations().values())

    wait_until(hold_none, "their secrets are gone")
    world.wait_completed(world.queue(), world.queue())
    world.wait_whole()


def test_a_job_whose_start_was_lost_is_known(world: World, line: Line) -> None:
    world.start()
    gate = world.gate()
    with line.is_cut():
        job = world.queue(gate.script)
        name = world.wait_in_progress(job)
        assert name in world.names(AVAILABLE)
        world.reconcile()
        wait_until(lambda: world.names(BUSY) == {name}, "it is known to run a job")
    gate.open()
    (done,) = world.wait_completed(job)
    assert done.runner_name == name
    world.wait_whole()
    assert name not in world.names()


def test_a_job_whose_start_was_lost_survives_that_its_runner_is_not_wanted(
    world: World, line: Line
) -> None:
    world.start()
    gate = world.gate()
    with line.is_cut():
        job = world.queue(gate.script)
        name = world.wait_in_progress(job)
        assert name in world.names(AVAILABLE)
        world.daemon.reload(virtual_machines=0)
        wait_until(lambda: world.runners().keys() == {name}, "only the busy one is left")
        wait_until(lambda: world.names(BUSY) == {name}, "GitHub has told that it is busy")
    gate.open()
    world.wait_completed(job)
    world.wait_empty()


def test_a_runner_whose_end_of_job_was_lost_is_replaced(world: World, line: Line) -> None:
    world.start()
    gate = world.gate()
    job = world.queue(gate.script)
    name = world.wait_started(job)
    with line.is_cut():
        gate.open()
        world.wait_completed(job)
        # LXD tells of the end of the instance, and needs no reconcile for that.
        wait_until(lambda: name not in world.runners(), "it is gone")
    world.reconcile()
    world.wait_whole()
    assert name not in world.names()


def test_a_runner_whose_every_signal_was_lost_has_done_its_job_and_is_replaced(
    world: World, line: Line
) -> None:
    start_empty(world)
    with line.is_cut():
        begin_unheard(world)
        before = set(world.runners())
        job = world.queue()
        (done,) = world.wait_completed(job)
        wait_until(lambda: done.runner_name not in world.runners(), "it is gone")
    # For all that the daemon knows, one could not even boot, and the other has not yet: it makes
    # no more until a reconcile has told it better.
    world.reconcile()
    world.wait_whole()
    assert world.names() & before == before - {done.runner_name}
    world.wait_completed(world.queue(), world.queue())
    world.wait_whole()
