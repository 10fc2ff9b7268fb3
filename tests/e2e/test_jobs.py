"""Jobs come, run each on a runner of its own, and leave nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeWorld
    from tests.e2e.world import World


def test_nine_jobs_on_three_runners_succeed_each_on_a_runner_of_its_own(
    make_world: MakeWorld,
) -> None:
    with make_world(virtual_machines=3) as world:
        world.start()
        jobs = [world.queue("echo hello; sleep 0.2", name=f"build-{n}") for n in range(9)]
        done = world.wait_completed(*jobs)
        assert len({job.runner_name for job in done}) == 9
        assert all("hello" in job.log for job in done)
        world.wait_whole()
        assert not world.names() & {job.runner_name for job in done}

        world.daemon.reload(virtual_machines=0)
        world.wait_empty()


def test_a_runner_is_replaced_at_once_without_the_help_of_the_interval(world: World) -> None:
    world.start()
    world.daemon.reload(virtual_machines=1)
    world.wait_whole()
    listings = world.watch("GET", "*/actions/runners")
    (before,) = world.names()
    job = world.queue()
    world.wait_completed(job)
    world.wait_whole()
    assert before not in world.names()
    assert world.github.faults.hits(listings) == 0


def test_a_failing_job_costs_its_runner_and_nothing_else(world: World) -> None:
    world.start()
    job = world.queue("echo broken; exit 3")
    wait_until(lambda: world.github.job(job).status == "completed", "the job has ended")
    assert world.github.job(job).conclusion == "failure"
    wait_until(lambda: world.daemon.said("finished: its job ended: Failed"), "the result is told")
    world.wait_whole()
    world.wait_sound()


def test_the_daemon_shows_what_a_runner_runs(world: World) -> None:
    world.start()
    gate = world.gate()
    job = world.queue(gate.script, repository="acme/web", workflow="nightly", name="deploy")
    name = world.wait_started(job)
    wait_until(lambda: world.runners()[name]["job"], "the runner shows its job")
    shown = world.runners()[name]["job"]
    assert (shown["repository"], shown["workflow"], shown["name"]) == (
        "acme/web", "nightly", "deploy",
    )  # fmt: skip
    wait_until(lambda: world.actor(name)["details"]["job"] == shown, "the tree shows it, too")
    gate.open()
    world.wait_completed(job)
    wait_until(lambda: world.daemon.said("finished: its job ended: Succ") == [name], "it is told")
