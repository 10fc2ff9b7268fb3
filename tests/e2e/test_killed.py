"""The daemon is killed at every stage of a runner's life, and another one takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.gateways.lxd import Lxd
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from tests.e2e.world import World

REGISTER = {"method": "POST", "path_pattern": "*/generate-jitconfig"}
DELETE = {"method": "DELETE", "path_pattern": "*/actions/runners/*"}
LONGER_THAN_THE_TEST_S = 300


def test_killed_while_it_waits_for_a_registration_that_github_has_not_made(world: World) -> None:
    held = world.fail(**REGISTER, delay_s=LONGER_THAN_THE_TEST_S)
    world.daemon.start()
    world.hits(held)
    world.daemon.kill()
    world.github.faults.clear()
    world.start()


def test_killed_while_it_waits_for_a_registration_that_github_has_made(world: World) -> None:
    held = world.fail(**REGISTER, delay_s=LONGER_THAN_THE_TEST_S, after_processing=True)
    world.daemon.start()
    world.hits(held)
    wait_until(world.registrations, "GitHub has made the registration")
    (orphan,) = world.registrations()
    world.daemon.kill()
    world.github.faults.clear()
    world.daemon.start()
    world.wait_whole_again()
    assert orphan not in world.names()


def test_killed_while_lxd_has_the_order_to_create_an_instance(world: World) -> None:
    held = world.fail(**REGISTER, held=True)
    world.daemon.start()
    world.hits(held)
    with world.lxd_paused():
        world.github.faults.clear()
        said = "creating: waits for LXD to create it"
        wait_until(lambda: world.daemon.said(said), "an instance is ordered")
        world.daemon.kill()
    world.daemon.start()
    world.wait_whole_again()


def test_killed_when_an_instance_is_made_and_not_started(world: World) -> None:
    world.daemon.module = "tests.e2e.held_starts"
    world.daemon.start()
    said = "creating: waits for LXD to start it"
    wait_until(lambda: world.daemon.said(said), "one is made")
    world.daemon.kill()
    assert set(world.instances().values()) == {"Stopped"}
    world.daemon.module = "supervisor"
    world.daemon.start()
    world.wait_whole_again()


def test_killed_while_an_instance_is_being_started(world: World) -> None:
    world.daemon.launch()
    said = "creating: waits for LXD to start it"
    wait_until(lambda: world.daemon.log.exists() and world.daemon.said(said), "one is started")
    with world.lxd_paused():
        world.daemon.kill()
    world.daemon.start()
    world.wait_whole_again()


def test_killed_while_guests_boot_it_keeps_them(world: World) -> None:
    with world.dhcp_paused():
        world.daemon.start()
        wait_until(lambda: len(world.names(frozenset({"booting"}))) == 2, "both boot")
        before = world.runners().keys()
        world.restart_after_kill()
        wait_until(lambda: world.runners().keys() == before, "both are taken over")
    world.wait_whole()
    assert world.names() == before


def test_guests_that_became_ready_while_it_was_dead_are_kept(world: World) -> None:
    with world.dhcp_paused():
        world.daemon.start()
        wait_until(lambda: len(world.names(frozenset({"booting"}))) == 2, "both boot")
        before = world.runners().keys()
        world.daemon.kill()
    wait_until(lambda: all(world.registrations().values()), "both are online")
    world.start()
    assert world.names() == before
    # What was missed has been learnt from GitHub: a job is not cut off by the limit for booting.
    wait_until(lambda: world.names(frozenset({"idle"})) == before, "both are known to be idle")


def test_killed_after_a_removal_has_failed(world: World) -> None:
    world.daemon.config["lxd"]["timeout"] = "1s"
    world.start()
    held = world.fail(**DELETE, held=True)
    world.daemon.reload(virtual_machines=1)
    world.hits(held)
    with world.lxd_paused():
        world.github.faults.clear()
        wait_until(
            lambda: any("removal failed" in problem for problem in world.status()["problems"]),
            "a removal has failed",
        )
        world.daemon.kill()
    world.start()


def test_killed_while_runners_are_idle_it_keeps_them(running: World) -> None:
    world = running
    before = world.names()
    world.restart_after_kill()
    world.wait_whole()
    assert world.names() == before
    world.wait_completed(world.queue(), world.queue())
    world.wait_whole()


def test_killed_while_a_job_runs_it_knows_the_job_and_lets_it_end(running: World) -> None:
    world = running
    gate = world.gate()
    job = world.queue(gate.script, workflow="nightly")
    name = world.wait_started(job)
    wait_until(lambda: "nightly" in str(world.configurations()[name]), "the job is recorded")
    world.restart_after_kill()
    assert world.wait_started(job) == name
    assert world.runners()[name]["job"]["workflow"] == "nightly"
    gate.open()
    (done,) = world.wait_completed(job)
    assert done.runner_name == name
    world.wait_whole()


def test_a_job_that_began_while_it_was_dead_is_left_to_end(running: World) -> None:
    world = running
    world.daemon.kill()
    gate = world.gate()
    job = world.queue(gate.script)
    name = world.wait_in_progress(job)
    world.daemon.start()
    assert world.wait_started(job) == name
    # Neither a smaller fleet nor other settings end it.
    world.daemon.reload(virtual_machines=0, vm_memory="192MiB")
    wait_until(lambda: world.runners().keys() == {name}, "only the busy one is left")
    gate.open()
    world.wait_completed(job)
    world.wait_empty()


def test_a_job_that_began_and_ended_while_it_was_dead_has_cost_its_runner_only(
    running: World,
) -> None:
    world = running
    before = world.names()
    world.daemon.kill()
    job = world.queue()
    (done,) = world.wait_completed(job)
    wait_until(lambda: len(world.instances()) == 1, "its instance is gone")
    world.start()
    assert world.names() & before == before - {done.runner_name}


def test_how_a_job_ended_while_it_was_dead_is_heard_from_its_guest(running: World) -> None:
    world = running
    gate = world.gate()
    job = world.queue(gate.script)
    name = world.wait_started(job)
    world.daemon.kill()
    gate.open()
    world.wait_completed(job)
    here = world.daemon.now()
    world.daemon.start()
    said = "finished: the runner application ended"
    wait_until(lambda: name in world.daemon.said(said, here), "its guest has told of its end")

    def told() -> bool:
        jobs = world.daemon.ask("/v1/history?limit=50")["jobs"]
        return [one["result"] for one in jobs if one["runner"] == name] == ["Succeeded"]

    wait_until(told, "its result is known")
    world.wait_whole()
    assert name not in world.names()


def test_killed_while_a_guest_powers_off(running: World) -> None:
    world = running
    here = world.daemon.now()
    job = world.queue()
    wait_until(lambda: world.daemon.said("finished: its job ended", here), "the job has ended")
    with world.lxd_paused():
        world.wait_completed(job)
        world.daemon.kill()
    world.start()


def test_killed_while_github_is_asked_to_let_a_runner_go(running: World) -> None:
    world = running
    held = world.fail(**DELETE, delay_s=LONGER_THAN_THE_TEST_S)
    world.daemon.reload(virtual_machines=1)
    world.hits(held)
    world.daemon.kill()
    world.github.faults.clear()
    world.start()


def test_killed_after_github_let_a_runner_go_and_before_it_knew(running: World) -> None:
    world = running
    held = world.fail(**DELETE, delay_s=LONGER_THAN_THE_TEST_S, after_processing=True)
    world.daemon.reload(virtual_machines=1)
    world.hits(held)
    wait_until(lambda: len(world.registrations()) == 1, "GitHub has deleted it")
    world.daemon.kill()
    world.github.faults.clear()
    world.start()


def test_killed_while_lxd_has_the_order_to_delete_an_instance(running: World) -> None:
    world = running
    here = world.daemon.now()
    held = world.fail(**DELETE, held=True)
    world.daemon.reload(virtual_machines=1)
    world.hits(held)
    with world.lxd_paused():
        world.github.faults.clear()
        said = "finished: more runners than the 1 wanted"
        wait_until(lambda: world.daemon.said(said, here), "an instance is to be deleted")
        world.daemon.kill()
    world.start()


def test_everything_vanished_while_it_was_dead(running: World) -> None:
    world = running
    before = world.names()
    world.daemon.kill()
    for name in world.instances():
        Lxd(world.lxd.endpoint).delete(name, limit_s=60)
    with world.github.hub.change() as state:
        for runner in list(state.runners()):
            state.delete_runner(runner.id)
    world.start()
    assert not world.names() & before


def test_instances_vanished_while_it_was_dead_and_their_registrations_did_not(
    running: World,
) -> None:
    world = running
    before = world.names()
    world.daemon.kill()
    for name in world.instances():
        Lxd(world.lxd.endpoint).delete(name, limit_s=60)
    assert world.registrations().keys() == before
    world.daemon.start()
    world.wait_whole_again()
    assert not world.names() & before
