"""How many calls a large fleet costs: counted where they arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_world import World
from github_fleet import GitHubFleet

from sandbox.github import Fault, SandboxGitHub
from supervisor.lifecycle import InstanceGone, Job, JobFinished, JobStarted
from supervisor.messages.fleet import Reconcile
from supervisor.messages.runner import Happened

RUNNERS = 300
PAGES = 3
# One more reconcile than is counted may be under way.


class Meter:
    """Counts all requests, and what of the hourly budget they cost."""

    def __init__(self, sandbox: SandboxGitHub) -> None:
        self._sandbox = sandbox
        self._all = sandbox.faults.add(Fault(delay_s=0.00001, times=None))

    def calls(self) -> int:
        return self._sandbox.faults.hits(self._all)


@pytest.fixture
def fleet(
    make_world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[GitHubFleet, SandboxGitHub]]:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    tarball = tmp_path / "actions-runner-linux-x64-2.300.0.tar.gz"
    tarball.write_bytes(b"an application")
    lxd = {"creations-at-once": 64}
    world = make_world(virtual_machines=RUNNERS, lxd=lxd, limits={"offline": "1d"})
    with SandboxGitHub(org="acme", token="made-up", tarball=tarball) as sandbox:
        world.base.update({"github-url": sandbox.url, "token": "made-up"})
        world.reconfigure()
        yield GitHubFleet(world), sandbox
        world.system.stop(10)


def test_a_runner_costs_two_calls_at_most_and_a_reconcile_one_for_each_hundred(
    fleet: tuple[GitHubFleet, SandboxGitHub],
) -> None:
    ours, sandbox = fleet
    world = ours.world
    meter = Meter(sandbox)

    ours.fill(RUNNERS)
    reconciles = world.details("fleet")["reconciles"]
    assert len(sandbox.runners()) == RUNNERS
    assert meter.calls() <= RUNNERS + PAGES * (reconciles + 1)

    # Nothing has changed but that it is looked at: that costs calls, but nothing of the budget.
    before = meter.calls()
    look(ours)
    left = world.details("tokens")["budget"]["core"]["remaining"]
    for _ in range(4):
        look(ours)
    assert meter.calls() - before == 5 * PAGES
    assert world.details("tokens")["budget"]["core"]["remaining"] == left

    # All do a job; GitHub takes their registrations away, and others take their places.
    begun, first = meter.calls(), set(world.names())
    reconciles = world.details("fleet")["reconciles"]
    for name in first:
        finish_job(world, sandbox, name)
    ours.pass_until(lambda: not first & set(world.names()))
    ours.fill(RUNNERS)
    reconciles = world.details("fleet")["reconciles"] - reconciles
    assert meter.calls() - begun <= RUNNERS + PAGES * (reconciles + 1)

    # All are let go: that is the second call of their lives.
    begun, reconciles = meter.calls(), world.details("fleet")["reconciles"]
    ours.want(0)
    ours.pass_until(lambda: not world.names())
    reconciles = world.details("fleet")["reconciles"] - reconciles
    assert meter.calls() - begun <= RUNNERS + PAGES * (reconciles + 1)
    assert sandbox.runners() == ()


def look(ours: GitHubFleet) -> None:
    reconciles = ours.world.details("fleet")["reconciles"]
    ours.world.tell("fleet", Reconcile("a test"))
    ours.pass_until(lambda: ours.world.details("fleet")["reconciles"] > reconciles, step=0)


def finish_job(world: World, sandbox: SandboxGitHub, name: str) -> None:
    """Do what a guest and GitHub do: report, power off, forget the registration."""
    world.tell(name, Happened(JobStarted(Job(name="test"))))
    world.tell(name, Happened(JobFinished()))
    with sandbox.hub.change() as state:
        runner = next(one for one in state.runners() if one.name == name)
        state.delete_runner(runner.id)
    world.lxd.there.pop(name)
    world.tell(name, Happened(InstanceGone()))
