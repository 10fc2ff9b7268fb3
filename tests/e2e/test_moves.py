"""A fleet that moves to another place of registration, with a runner at work and one waiting."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from tests.e2e.gate import Gate
    from tests.e2e.world import World

NEW_TOKEN = "ghp_anotherTokenOfTheseTests"


class Working:
    """A fleet of two, one of them at work until a gate is opened."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.start()
        self._gate: Gate = world.gate()
        self._job = world.queue(self._gate.script)
        self.busy = world.wait_started(self._job)
        world.wait_noted_busy(self.busy)
        (self.idle,) = world.names() - {self.busy}

    def at(self, path: str) -> set[str]:
        """Return the names of the runners that are registered at a place."""
        return {r.name for r in self.world.github.runners() if r.scope.name == path}

    def has_moved(self, path: str) -> None:
        """Wait until the fleet is whole there, and a job has run there."""
        world = self.world
        wait_until(lambda: self.at("acme") == {self.busy}, "the former place keeps the busy one")
        world.wait_whole(3)
        assert self.idle not in world.instances()
        there = self.at(path)
        assert len(there) == 2
        repository = path if "/" in path else f"{path}/project"
        (done,) = world.wait_completed(world.queue(repository=repository))
        assert done.runner_name in there
        world.wait_whole(3)

    def ends_well(self) -> None:
        """See the job of before to its end, and the former place left empty."""
        world = self.world
        for _ in range(2):  # what the lists say must not harm it either
            world.reconcile()
        assert world.runners()[self.busy]["stage"] == "busy"
        self.job_ends_well()
        world.wait_whole()
        assert not self.at("acme")

    def job_ends_well(self) -> None:
        """Let the job of before go on, and wait until it has ended with success."""
        self._gate.open()
        (done,) = self.world.wait_completed(self._job)
        assert done.runner_name == self.busy


@pytest.fixture
def working(world: World) -> Working:
    world.github.add_organization("other")
    world.github.add_repository("acme/demo")
    return Working(world)


def refusals_are_soon_believed(world: World) -> None:
    """Have GitHub asked again sooner for a runner that it has refused to let go."""
    world.daemon.hurry("supervisor.lifecycle.moves._FIRST_RETIRE_DELAY", timedelta(seconds=3))


@pytest.mark.parametrize("path", ["other", "acme/demo"])
def test_a_changed_path_moves_the_idle_runner_and_lets_the_busy_one_finish(
    working: Working, path: str
) -> None:
    world = working.world
    world.daemon.reload(path=path)
    working.has_moved(path)
    shown = world.daemon.cli("status")
    assert "1 runner still at acme: 1 busy" in shown.stdout.splitlines()
    assert shown.returncode == 0
    working.ends_well()
    world.reconcile()
    wait_until(lambda: not world.status()["former_places"], "nothing is left there")


def test_path_and_token_change_together(working: Working) -> None:
    world = working.world
    world.secrets.known.add(NEW_TOKEN)
    world.github.add_token(NEW_TOKEN)
    world.daemon.reload(path="other", token=NEW_TOKEN)
    working.has_moved("other")
    working.ends_well()


def test_a_path_that_changed_while_the_daemon_was_down_moves_the_fleet_too(
    working: Working,
) -> None:
    world = working.world
    world.daemon.kill()
    world.daemon.configure(path="other")
    world.daemon.start()
    working.has_moved("other")
    world.restart_after_kill()
    wait_until(lambda: working.busy in world.runners(), "it is taken over again")
    working.ends_well()


def test_a_job_that_began_unheard_is_safe_though_nobody_may_ask_at_the_former_place(
    working: Working,
) -> None:
    """No daemon heard of it, and GitHub does not show it: only the guest itself can."""
    world = working.world
    world.daemon.kill()
    refusals_are_soon_believed(world)
    gate = world.gate()
    unheard = world.queue(gate.script)
    assert world.wait_in_progress(unheard) == working.idle
    world.fail(path_pattern="*/orgs/acme/*", status=404)
    world.daemon.configure(path="other")
    world.daemon.start()
    wait_until(lambda: working.idle in world.names(frozenset({"busy"})), "its job is seen")
    world.wait_whole(4)
    gate.open()
    (done,) = world.wait_completed(unheard)
    assert done.runner_name == working.idle
    working.job_ends_well()
    world.wait_whole()


def test_an_idle_runner_goes_though_nobody_may_ask_at_the_former_place(working: Working) -> None:
    world = working.world
    world.daemon.kill()
    refusals_are_soon_believed(world)
    world.fail(path_pattern="*/orgs/acme/*", status=404)
    world.daemon.configure(path="other")
    world.daemon.start()
    wait_until(lambda: working.idle not in world.instances(), "it has been let go")
    wait_until(lambda: len(working.at("other")) == 2, "the fleet has moved")
    problem = world.only_problem()
    assert problem.startswith("acme: could not ")
    assert world.runners()[working.busy]["stage"] == "busy"
    working.job_ends_well()


def test_a_fleet_that_comes_back_counts_the_busy_runner_as_its_own_again(
    working: Working,
) -> None:
    world = working.world
    world.daemon.reload(path="other")
    working.has_moved("other")
    world.daemon.reload(path="acme")
    wait_until(lambda: not working.at("other"), "the other place is left")
    world.wait_whole(2)
    assert working.busy in working.at("acme")
    working.job_ends_well()
    world.wait_whole()
