"""What the daemon does when it is told something by a signal."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from sandbox.github import Label
from supervisor.gateways.lxd import Lxd
from tests.e2e.daemon_process import run_cli
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from tests.e2e.world import World

PROMPTLY_S = 8.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_order_to_stop_ends_the_daemon_and_not_the_runners(
    running: World, number: signal.Signals
) -> None:
    world = running
    gate = world.gate()
    job = world.queue(gate.script)
    busy = world.wait_started(job)
    before = world.names()
    assert world.daemon.stop(number) < PROMPTLY_S
    assert not world.daemon.socket.exists()
    assert world.instances() == dict.fromkeys(before, "Running")
    world.daemon.start()
    assert world.wait_started(job) == busy
    gate.open()
    world.wait_completed(job)
    world.wait_whole()


def test_it_stops_promptly_while_lxd_hangs(running: World) -> None:
    world = running
    here = world.daemon.now()
    with world.lxd_paused():
        world.daemon.send(signal.SIGUSR1)
        # A removal and a creation hang too.
        world.queue()
        wait_until(lambda: world.daemon.said("finished", here), "a job has ended")
        assert world.daemon.stop() < PROMPTLY_S
    world.start()


def test_a_second_daemon_on_the_same_socket_is_refused(running: World) -> None:
    world = running
    before = world.names()
    config = str(world.daemon.config_path)
    refused = run_cli("run", "--log-level", "INFO", "--config", config)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert str(world.daemon.socket) in line
    assert world.daemon.answers()
    assert world.names() == before


def test_sigusr1_removes_a_registration_that_nothing_stands_behind(running: World) -> None:
    world = running
    orphan, alien = f"{world.installation}-00000000", f"{world.installation}-2-00000000"
    with world.github.hub.change() as state:
        scope = next(state.runners()).scope
        for name in (orphan, alien):
            state.register(scope, name, (Label("self-hosted"),), world.github.hub.clock())
    world.reconcile()
    world.reconcile()
    wait_until(lambda: orphan not in world.registrations(), "it is gone")
    world.reconcile()
    assert alien in {runner.name for runner in world.github.runners()}
    world.wait_whole()


def test_an_instance_deleted_behind_its_back_is_replaced(running: World) -> None:
    world = running
    victim = min(world.names())
    Lxd(world.lxd.endpoint).delete(victim, limit_s=60)
    world.wait_whole()
    assert victim not in world.names()


def test_a_registration_deleted_behind_its_back_ends_its_runner(running: World) -> None:
    world = running
    victim = min(world.names())
    with world.github.hub.change() as state:
        runner = next(runner for runner in state.runners() if runner.name == victim)
        state.delete_runner(runner.id)
    world.github.hub.wake()
    world.wait_whole()
    assert victim not in world.names()


@pytest.mark.parametrize(
    ("text", "blamed"),
    [
        ("virtual-machines: [", "config.yaml"),
        ("virtual-machines: many\npath: acme\nname: other\ntoken: t\n", "virtual-machines"),
        ("nothing of this: is known\n", "nothing of this"),
    ],
)
def test_a_bad_configuration_changes_nothing_and_is_reported(
    running: World, text: str, blamed: str
) -> None:
    world = running
    before = world.names()
    world.daemon.write(text)
    world.daemon.send(signal.SIGHUP)
    assert blamed in world.only_problem()
    shown = world.daemon.cli("status")
    assert shown.returncode == 1
    assert blamed in shown.stdout
    assert world.names() == before
    world.daemon.reload()
    world.wait_sound()
    assert world.daemon.cli("status").returncode == 0
    assert world.names() == before


def test_what_only_a_restart_can_change_is_refused_with_that_reason(running: World) -> None:
    world = running
    before, kept = world.names(), world.installation
    world.daemon.reload(name="other", path="other")
    problem = world.only_problem()
    assert "name" in problem
    assert "restart" in problem
    world.daemon.config["name"] = kept
    assert world.names() == before
    assert (world.status()["name"], world.status()["path"]) == (kept, "acme")


def test_the_fleet_grows_and_shrinks_around_a_busy_runner(running: World) -> None:
    world = running
    gate = world.gate()
    job = world.queue(gate.script)
    busy = world.wait_started(job)
    world.daemon.reload(virtual_machines=4)
    world.wait_whole()
    world.daemon.reload(virtual_machines=1)
    world.wait_whole()
    assert world.names() == {busy}
    world.daemon.reload(virtual_machines=0)
    wait_until(lambda: world.status()["wanted"] == 0, "the change is in force")
    assert world.names() == {busy}
    gate.open()
    (done,) = world.wait_completed(job)
    assert done.runner_name == busy
    world.wait_empty()


def test_sigusr2_writes_the_tree_into_the_log(running: World) -> None:
    world = running
    here = world.daemon.now()
    world.daemon.send(signal.SIGUSR2)

    def written() -> bool:
        said = [entry["message"] for entry in world.daemon.entries(here)]
        lines = [line.removeprefix("the tree: ") for line in said if "the tree: " in line]
        actors = {line.partition(": ")[0].rpartition("/")[2] for line in lines}
        wanted = {"root", "tokens", "runners", "signals", "storage", "fleet", "events", "control"}
        wanted |= world.names()
        return wanted <= actors

    wait_until(written, "the tree is in the log")


def test_it_stops_promptly_while_instances_are_being_created(world: World) -> None:
    world.daemon.config["virtual-machines"] = 6
    world.daemon.start()
    wait_until(lambda: world.daemon.said("creating"), "instances are being created")
    assert world.daemon.stop() < PROMPTLY_S
    world.daemon.config["virtual-machines"] = 2
    world.daemon.start()
    wait_until(lambda: len(world.runners()) == len(world.names()) == 2, "the fleet is back")
    world.wait_whole_again()


def test_it_stops_promptly_while_github_hangs(world: World) -> None:
    held = world.fail(delay_s=300, path_pattern="*/actions/runners*")
    world.daemon.start()
    world.hits(held)
    assert world.daemon.stop() < PROMPTLY_S


@pytest.mark.parametrize("change", [{"labels": "gpu"}, {"vm_memory": "192MiB"}])
def test_changed_settings_replace_idle_runners_and_spare_the_busy_one(
    world: World, change: dict[str, str]
) -> None:
    world.start()
    gate = world.gate()
    job = world.queue(gate.script)
    busy = world.wait_started(job)
    (idle,) = world.names() - {busy}
    world.daemon.reload(**change)
    # The busy one is no more than tolerated: it does not count as one of the two.
    wait_until(lambda: idle not in world.runners(), "the idle one is gone")
    world.wait_whole(3)
    assert busy in world.names()
    gate.open()
    (done,) = world.wait_completed(job)
    assert done.runner_name == busy
    world.wait_whole()
    if "labels" in change:
        world.wait_completed(world.queue(labels=("self-hosted", "gpu")))
