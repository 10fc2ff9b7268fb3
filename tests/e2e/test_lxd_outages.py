"""LXD's daemon dies, or guests die that it should have told of."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from supervisor.gateways.lxd import Lxd
from tests.e2e.world import wait_until

if TYPE_CHECKING:
    from tests.e2e.world import World


def lxd_is_missed(world: World) -> bool:
    return any("events" in problem for problem in world.status()["problems"])


def test_lxd_killed_and_back_costs_neither_runners_nor_jobs(world: World) -> None:
    world.start()
    gate = world.gate()
    job = world.queue(gate.script)
    world.wait_started(job)
    before = world.names()
    world.lxd.daemon.kill()
    wait_until(lambda: lxd_is_missed(world), "the loss is shown")
    world.lxd.daemon.start()
    wait_until(lambda: world.actor("events")["state"] == "listening", "events arrive again")
    world.wait_whole()
    assert world.names() == before
    gate.open()
    world.wait_completed(job)
    world.wait_whole()
    assert not world.status()["problems"]


def test_a_job_that_ends_while_lxd_is_dead_succeeds_and_its_runner_is_replaced(
    world: World,
) -> None:
    world.start()
    gate = world.gate()
    job = world.queue(gate.script)
    name = world.wait_started(job)
    world.lxd.daemon.kill()
    gate.open()
    world.wait_completed(job)
    wait_until(lambda: world.runners()[name]["stage"] == "finished", "the guest has said so")
    world.lxd.daemon.start()
    world.wait_whole()
    assert name not in world.names()


def test_a_guest_that_dies_while_lxd_is_dead_is_removed_and_replaced(world: World) -> None:
    world.start()
    victim = min(world.names())
    pid = world.guest_pid(victim)
    world.lxd.daemon.kill()
    world.kill_process(pid)
    world.lxd.daemon.start()
    world.wait_whole()
    assert victim not in world.names()


def test_a_guest_that_dies_while_lxd_and_the_daemon_are_dead_is_removed_and_replaced(
    world: World,
) -> None:
    world.start()
    victim = min(world.names())
    pid = world.guest_pid(victim)
    world.daemon.kill()
    world.lxd.daemon.kill()
    world.kill_process(pid)
    world.lxd.daemon.start()
    assert world.instances().get(victim) != "Running"
    world.start()
    assert victim not in world.names()


def test_an_instance_deleted_while_nobody_heard_is_replaced(world: World) -> None:
    world.start()
    victim = min(world.names())
    world.daemon.send(signal.SIGSTOP)
    world.lxd.daemon.kill()
    world.lxd.daemon.start()
    Lxd(world.lxd.endpoint).delete(victim, limit_s=60)
    world.daemon.send(signal.SIGCONT)
    world.wait_whole()
    assert victim not in world.names()


def test_a_guest_that_dies_is_replaced(world: World) -> None:
    world.start()
    victim = min(world.names())
    world.kill_process(world.guest_pid(victim))
    world.wait_whole()
    assert victim not in world.names()


def test_a_guest_that_dies_with_its_job_is_replaced(world: World) -> None:
    world.start()
    job = world.queue(world.gate().script)
    victim = world.wait_started(job)
    world.kill_process(world.guest_pid(victim))
    wait_until(lambda: victim not in world.runners(), "it is gone")
    # GitHub knows nothing of its end for a while: its registration is busy, and no orphan's.
    wait_until(lambda: len(world.names()) == 2, "it is replaced")
    assert victim not in world.instances()


def test_the_daemon_comes_up_before_lxd_does(world: World) -> None:
    world.lxd.daemon.kill()
    world.daemon.start()
    wait_until(lambda: lxd_is_missed(world), "the lack is shown")
    world.lxd.daemon.start()
    world.wait_whole()
    assert not world.status()["problems"]
