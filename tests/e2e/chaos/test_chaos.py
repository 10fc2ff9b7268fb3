"""Everything fails at once, by a seed; in the end no job is lost and nothing is left over.

`make chaos SEED=… MINUTES=…` runs longer ones. How to read a failure: docs/chaos.md.
"""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from waiting import eventually

from tests.e2e.chaos.deeds import DEEDS, LANES
from tests.e2e.chaos.scene import Scene, open_scene
from tests.e2e.chaos.schedule import PLACES, Deed, schedule
from tests.e2e.chaos.verdicts import about_job, about_log
from tests.e2e.chaos.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.e2e.conftest import MakeWorld

# By chance; processes that share the tests of a run must draw the same, as it is in a test's name.
CHANCE = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID"))  # noqa: S311 - no secret
SEEDS = [int(seed) for seed in os.environ.get("CHAOS_SEED", "").split()] or [
    CHANCE.randrange(100_000)
]
SECONDS = 60 * float(os.environ.get("CHAOS_MINUTES") or 0.5)

SETTLE_LIMIT_S = 180.0
"""For the end. It takes ten seconds; what was refused is tried again later and later, GitHub
notices the end of a runner after half a minute, and the machine may be busy with other things."""

MOST_THREADS = 60
MOST_FILES = 60
"""In the end: twice what it has after any run."""

RECONCILE_PAUSE_S = 5.0
PAUSE_S = 0.1


@pytest.mark.timeout(SECONDS + 3 * SETTLE_LIMIT_S)
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_fails_no_job_is_lost_and_nothing_is_left_over(
    make_world: MakeWorld, seed: int
) -> None:
    with make_world(virtual_machines=3) as world, open_scene(world) as scene:
        try:
            with Watcher(scene) as watcher:
                act(scene, watcher, schedule(seed, SECONDS))
                settle(scene, watcher)
            assert watcher.samples > SECONDS / 10, "LXD was hardly ever to be looked at"
            assert_all_is_right(scene)
        except AssertionError as error:
            raise AssertionError(told(scene, seed, str(error))) from error
        print(f"seed {seed}, {SECONDS:g} s:\n" + "\n".join(scene.diary))  # noqa: T201


def told(scene: Scene, seed: int, error: str) -> str:
    """Tell all that helps to understand a failure."""
    try:
        picture = scene.world.picture()
    except AssertionError as silence:
        picture = f"shown: {silence}"
    return "\n".join(
        [
            f"seed {seed}, {SECONDS:g} s: {error}",
            picture,
            f"victims: {scene.victims}",
            f"the daemon's log: {scene.world.daemon.log}",
            "This was done:",
            *scene.diary,
        ]
    )


def act(scene: Scene, watcher: Watcher, deeds: Sequence[Deed]) -> None:
    """Do all deeds at their times; stop at the first violation."""
    with ExitStack() as stack:
        lanes = {lane: stack.enter_context(ThreadPoolExecutor(1, lane)) for lane in LANES}
        for lane in lanes.values():
            stack.callback(lane.shutdown, cancel_futures=True)
        begun: list[Future[None]] = []
        for deed in deeds:
            while time.monotonic() < scene.began + deed.at_s:
                time.sleep(PAUSE_S)
                check(watcher, begun)
            begun.append(lanes[DEEDS[deed.name][0]].submit(do, scene, deed))
    check(watcher, begun)


def do(scene: Scene, deed: Deed) -> None:
    outcome = DEEDS[deed.name][1](scene, **deed.arguments)
    scene.write(f"{deed}{f': {outcome}' if outcome else ''}")


def check(watcher: Watcher, begun: list[Future[None]]) -> None:
    """Raise what a deed has raised, and what is wrong with the world."""
    for future in begun:
        if future.done() and not future.cancelled():
            future.result()
    begun[:] = [future for future in begun if not future.done()]
    assert not watcher.look(), "; ".join(watcher.look())


def settle(scene: Scene, watcher: Watcher) -> None:
    """End all trouble: all jobs come to their end, the fleet is whole, and goes when it shall."""
    world = scene.world
    scene.write("all trouble ends")
    scene.calm()
    scene.configure(virtual_machines=3, labels="", vm_memory="256MiB", path=PLACES[0])
    wait(scene, watcher, lambda: not unfinished(scene), "all jobs come to an end")
    wait(scene, watcher, world.is_whole, "the fleet is whole")
    wait(scene, watcher, lambda: not world.status()["former_places"], "nobody is elsewhere")
    wait(scene, watcher, lambda: not world.status()["problems"], "nothing is wrong any more")
    wait(scene, watcher, lambda: world.daemon.ask("/v1/firewall")["in_place"], "the firewall is up")
    replace_all(scene, watcher)
    scene.configure(virtual_machines=0)
    wait(scene, watcher, world.is_empty, "nothing is left")
    threads, files = scene.taken("task"), scene.taken("fd")
    scene.write(f"the daemon has {threads} threads and {files} open files")
    assert threads <= MOST_THREADS, f"the daemon has {threads} threads"
    assert files <= MOST_FILES, f"the daemon has {files} open files"


def replace_all(scene: Scene, watcher: Watcher) -> None:
    """Change the settings of a fleet that is whole: never more than one is missing."""
    world = scene.world
    before = world.names()
    scene.configure(labels="chaos-end", max_unavailable=1)

    def replaced() -> bool:
        names = world.names()
        assert len(names) >= len(before) - 1, f"only {names} serve while one may be missing"
        return not names & before and world.is_whole()

    wait(scene, watcher, replaced, "all are replaced")


def unfinished(scene: Scene) -> list[int]:
    return [n for n in scene.jobs if scene.world.github.job(n).status != "completed"]


def wait(scene: Scene, watcher: Watcher, holds: Callable[[], bool], what: str) -> None:
    """Wait for the end, with a reconcile now and then: the usual interval is longer."""
    began = reconciled = time.monotonic()

    def held() -> bool:
        nonlocal reconciled
        check(watcher, [])
        if time.monotonic() > reconciled + RECONCILE_PAUSE_S:
            reconciled = time.monotonic()
            do(scene, Deed(0.0, "order_reconcile"))
        return holds()

    eventually(held, what, limit_s=SETTLE_LIMIT_S)
    scene.write(f"{what} (after {time.monotonic() - began:.1f} s)")


def assert_all_is_right(scene: Scene) -> None:
    jobs = {number: scene.world.github.job(number) for number in scene.jobs}
    wrong = [
        what
        for number, tag in scene.jobs.items()
        for what in about_job(
            jobs[number], scene.roll.begun(tag), scene.roll.ended(tag), scene.victims
        )
    ]
    wrong += about_log(scene.world.daemon.log.read_text().splitlines())
    wrong += [f"a secret is where it may not be: {leak}" for leak in scene.world.leaks()]
    assert not wrong, "\n".join(wrong)
    assert any(job.conclusion == "success" for job in jobs.values()) or not jobs
