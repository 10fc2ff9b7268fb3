"""Orders by `supervisor-cli`, with real runners: who goes, who stays, and when the command ends."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.e2e.daemon_process import CODE
from tests.e2e.waits import LIMIT_S, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.world import World


def begin(world: World, said: Path, *arguments: str) -> subprocess.Popen[str]:
    """Begin a command that takes its time, and writes into a file what it waits for."""
    with said.open("w") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "supervisor", *arguments, "--socket", str(world.daemon.socket)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=CODE,
        )


def end(command: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = command.communicate(timeout=LIMIT_S)
    return command.returncode, out


def test_a_flush_replaces_the_idle_and_spares_the_busy(running: World) -> None:
    world = running
    gate = world.gate()
    job = world.queue(gate.script)
    busy = world.wait_started(job)
    (idle,) = world.names() - {busy}
    flushed = world.daemon.cli("flush", "--wait")
    assert flushed.returncode == 0, flushed.stderr
    assert "1 runner is replaced" in flushed.stdout
    assert idle not in world.runners()
    world.wait_whole()
    assert busy in world.names()
    gate.open()
    world.wait_completed(job)
    world.wait_whole()


def test_a_flush_of_all_ends_when_the_jobs_have(running: World, tmp_path: Path) -> None:
    world = running
    before = world.names()
    gate = world.gate()
    job = world.queue(gate.script)
    world.wait_started(job)
    said = tmp_path / "said"
    command = begin(world, said, "flush", "--all", "--wait")
    wait_until(lambda: len(world.names() - before) == 1, "the idle one is replaced")
    wait_until(lambda: "1 of 2 are left: 1 busy" in said.read_text(), "it says what it waits for")
    assert command.poll() is None
    gate.open()
    code, _ = end(command)
    assert code == 0
    world.wait_completed(job)
    world.wait_whole()
    assert not world.names() & before


def test_a_drain_finishes_the_jobs_stands_over_restarts_and_is_taken_back(
    running: World, tmp_path: Path
) -> None:
    world = running
    gate = world.gate()
    job = world.queue(gate.script)
    busy = world.wait_started(job)
    command = begin(world, tmp_path / "said", "drain")
    wait_until(lambda: world.runners().keys() == {busy}, "only the busy one is left")
    assert command.poll() is None
    world.restart_after_kill()
    assert world.wait_started(job) == busy
    gate.open()
    assert end(command) == (0, "empty; `supervisor-cli resume` keeps runners again\n")
    world.wait_completed(job)
    world.wait_empty()
    waiting = world.queue()
    world.reconcile()
    assert world.runners() == {}
    shown = world.daemon.cli("status")
    assert shown.returncode == 0
    assert "draining since" in shown.stdout
    assert world.daemon.cli("resume").returncode == 0
    world.wait_completed(waiting)
    world.wait_whole()


def test_a_runner_is_deleted_by_order_and_replaced(running: World) -> None:
    world = running
    name = min(world.names())
    deleted = world.daemon.cli("delete", name, "--wait")
    assert deleted.returncode == 0, deleted.stderr
    assert name not in world.runners()
    world.wait_whole()
    again = world.daemon.cli("delete", name)
    assert again.returncode == 1
    assert again.stderr.splitlines() == [
        f"no runner is called {name}; see `supervisor-cli runners`"
    ]


def test_a_flush_by_force_ends_a_busy_runner_and_its_job_fails(world: World) -> None:
    world.start()
    before = world.names()
    job = world.queue(world.gate().script)
    world.wait_started(job)
    flushed = world.daemon.cli("flush", "--force", "--wait")
    assert flushed.returncode == 0, flushed.stderr
    assert not world.runners().keys() & before
    # GitHub believes for a while that the runner is at work; two others are there all the same.
    wait_until(lambda: len(world.names()) == 2, "others are there")


def test_a_drain_that_takes_too_long_says_what_is_left(world: World) -> None:
    world.start()
    job = world.queue(world.gate().script)
    world.wait_started(job)
    drained = world.daemon.cli("drain", "--timeout", "1")
    assert drained.returncode == 1
    assert drained.stderr.splitlines()[-1].startswith("not done within 1 s: ")


def test_a_busy_runner_is_deleted_by_force_only(world: World) -> None:
    world.start()
    job = world.queue(world.gate().script)
    busy = world.wait_started(job)
    refused = world.daemon.cli("delete", busy)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert busy in world.names()
    assert world.daemon.cli("delete", busy, "--force", "--wait").returncode == 0
    assert busy not in world.instances()


def test_a_reconcile_that_is_waited_for_ends_with_a_whole_fleet(world: World) -> None:
    world.daemon.start()
    # The daemon answers before it has one.
    wait_until(lambda: world.actor("fleet")["state"] == "keeping", "the fleet is up")
    reconciled = world.daemon.cli("reconcile", "--wait")
    assert reconciled.returncode == 0, reconciled.stderr
    assert len(world.names()) == 2
