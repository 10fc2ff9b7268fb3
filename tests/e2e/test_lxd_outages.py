"""LXD's daemon dies, hangs or finds no space, or guests die that it should have told of."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.lxd_daemon import processes_of
from supervisor.gateways.lxd import Lxd
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sandbox.private_lxd import PrivateLxd
    from tests.e2e.world import World


def lxd_is_missed(world: World) -> bool:
    return any("events" in problem for problem in world.status()["problems"])


def test_lxd_killed_and_back_costs_neither_runners_nor_jobs(running: World) -> None:
    world = running
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
    world.wait_sound()


def test_a_job_that_ends_while_lxd_is_dead_succeeds_and_its_runner_is_replaced(
    running: World,
) -> None:
    world = running
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


def test_a_guest_that_dies_while_lxd_is_dead_is_removed_and_replaced(running: World) -> None:
    world = running
    victim = min(world.names())
    pid = world.guest_pid(victim)
    world.lxd.daemon.kill()
    world.kill_process(pid)
    world.lxd.daemon.start()
    wait_until(lambda: victim not in world.names(), "it is gone")
    world.wait_whole()
    assert victim not in world.names()


def test_a_guest_that_dies_while_lxd_and_the_daemon_are_dead_is_removed_and_replaced(
    running: World,
) -> None:
    world = running
    victim = min(world.names())
    pid = world.guest_pid(victim)
    world.daemon.kill()
    world.lxd.daemon.kill()
    world.kill_process(pid)
    world.lxd.daemon.start()
    wait_until(lambda: world.instances().get(victim) != "Running", "LXD has seen it")
    world.start()
    assert victim not in world.names()


def test_an_instance_deleted_while_nobody_heard_is_replaced(running: World) -> None:
    world = running
    victim = min(world.names())
    world.daemon.send(signal.SIGSTOP)
    world.lxd.daemon.kill()
    world.lxd.daemon.start()
    Lxd(world.lxd.endpoint).delete(victim, limit_s=60)
    world.daemon.send(signal.SIGCONT)
    world.wait_whole()
    assert victim not in world.names()


def test_a_guest_that_dies_is_replaced(running: World) -> None:
    world = running
    victim = min(world.names())
    world.kill_process(world.guest_pid(victim))
    wait_until(lambda: victim not in world.names(), "it is gone")
    world.wait_whole()


def test_lxd_restarted_in_order_as_by_an_upgrade_costs_neither_runners_nor_jobs(
    running: World,
) -> None:
    world = running
    gate = world.gate()
    job = world.queue(gate.script)
    world.wait_started(job)
    before = world.names()
    world.lxd.daemon.terminate()
    world.lxd.daemon.start()
    wait_until(lambda: world.actor("events")["state"] == "listening", "events arrive again")
    world.wait_whole()
    assert world.names() == before
    gate.open()
    world.wait_completed(job)
    world.wait_whole()


def test_after_the_hosts_orderly_restart_the_fleet_is_whole(running: World) -> None:
    world = running
    before = world.names()
    world.daemon.stop()
    world.lxd.daemon.shut_down(instances_limit_s=5)
    world.lxd.daemon.start()
    wait_until(lambda: not world.instances(), "LXD has deleted them")
    world.start()
    assert not world.names() & before
    world.wait_sound()


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
    world.wait_sound()


def test_after_a_power_failure_the_fleet_is_whole_and_no_guest_runs_a_second_time(
    world: World,
) -> None:
    world.start()
    done = world.queue()
    world.wait_completed(done)
    world.wait_whole()
    at_work = world.wait_started(world.queue(world.gate().script))
    world.wait_noted_busy(at_work)
    before = world.names()
    world.daemon.kill()
    world.lxd.daemon.kill()
    lose_power(world.lxd.daemon.directory)
    world.lxd.daemon.start()
    assert world.instances() == dict.fromkeys(before, "Stopped")
    world.daemon.start()
    # GitHub takes the one that died in its job for busy for a while, so it lists it still.
    wait_until(lambda: len(world.names()) == 2, "the fleet is there again")
    wait_until(
        lambda: world.instances() == dict.fromkeys(world.names(), "Running"), "nothing else is left"
    )
    assert not world.names() & before
    assert world.github.job(done).requeues == 0
    # Its instance is gone before it is told that it has ended.
    wait_until(lambda: course(world, at_work)["ended_at"], "the journal tells its end")
    ended = course(world, at_work)
    assert ended["outcome"] == "failed"
    assert ended["reason"] == "stopped while busy, with its host or LXD down"
    world.wait_sound()


def test_jobs_start_and_end_while_lxd_hangs_for_longer_than_its_time_limit(world: World) -> None:
    world.daemon.config["lxd"]["timeout"] = "2s"
    # What LXD did not list is listed again before long, and then nothing is wrong any more.
    world.daemon.hurry("supervisor.actors.fleet._LISTING_AGAIN_S", 3.0)
    world.start()
    gate = world.gate()
    first = world.queue(gate.script)
    world.wait_started(first)
    before = world.names()
    with world.lxd_paused():
        second = world.queue(gate.script)
        world.wait_started(second)
        gate.open()
        world.wait_completed(first, second)
        world.daemon.send(signal.SIGUSR1)
        wait_until(lambda: problem(world, "no answer within 2 s; LXD hangs"), "the reason is shown")
    world.wait_whole()
    assert not world.names() & before
    world.wait_sound()


def test_a_full_disk_is_shown_and_the_fleet_is_whole_when_there_is_space_again(
    real_lxd: PrivateLxd,
    make_world: Callable[..., AbstractContextManager[World]],
    tmp_path: Path,
) -> None:
    with small_pool(real_lxd, tmp_path / "disk") as pool, make_world() as world:
        world.daemon.config["lxd"]["pool"] = pool
        world.start()
        gate = world.gate()
        held = world.queue(gate.script)
        world.wait_started(held)
        before = world.names()
        rubbish = tmp_path / "disk" / "rubbish"
        fill(rubbish)
        world.daemon.reload(virtual_machines=3)
        again = "3 runners in a row have failed to be created"
        wait_until(lambda: problem(world, again), "that it fails again and again is told")
        assert problem(world, "Unable to unpack image, run out of disk space")
        rubbish.unlink()
        world.wait_whole()
        assert before < world.names()
        gate.open()
        world.wait_completed(held)
        world.wait_whole()


def problem(world: World, words: str) -> bool:
    """Tell whether the operator reads something of what is wrong."""
    return any(words.lower() in problem.lower() for problem in world.status()["problems"])


def course(world: World, name: str) -> dict[str, Any]:
    """Return what the journal has of a runner."""
    told = world.daemon.ask("/v1/history?limit=50")["runners"]
    (found,) = [one for one in told if one["name"] == name]
    return dict(found)


def lose_power(directory: Path) -> None:
    """Kill all guests, and what watches over them for LXD, at once."""
    guests = [pid for pid in processes_of(directory) if not is_dhcp_server(pid)]
    for pid in sorted(guests):  # a guest's monitor first: it would tell LXD when that is back
        with suppress(ProcessLookupError):  # it went with its monitor
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not set(guests) & set(processes_of(directory)), "the guests are dead")


def is_dhcp_server(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "dnsmasq"
    except OSError:  # it has ended since it was found
        return False


@contextmanager
def small_pool(lxd: PrivateLxd, directory: Path) -> Iterator[str]:
    """Make a storage pool on a disk of its own, of 48 MiB."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48M,mode=711", "small", str(directory)]
    subprocess.run(mount, check=True)
    try:
        Lxd(lxd.endpoint).ensure_pool("small", "dir", {"source": str(directory)})
        yield "small"
        Lxd(lxd.endpoint).delete_pool("small")
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def fill(rubbish: Path) -> None:
    """Fill the disk that a file is on."""
    disk = os.statvfs(rubbish.parent)
    with rubbish.open("ab") as file, suppress(OSError):
        if disk.f_bfree:
            os.posix_fallocate(file.fileno(), file.tell(), disk.f_bfree * disk.f_bsize)
