"""Only jobs that the policy lets run do: from GitHub's settings to the guest and back."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ports import free_port

from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sandbox.github import Job
    from tests.e2e.conftest import MakeWorld
    from tests.e2e.world import World

DEMO = "acme/demo"
FORK = "mallory/demo"
HANGING = "acme/hanging"
ORDER = "/canonical/self-hosted-runners/run-workflows"
RAN = "code of the job has run"
COLLABORATORS = "*/collaborators"
NOT_ANSWERED = "policy service (has broken off|has not answered within|can't be reached)"


@pytest.fixture
def open_shared(
    make_world: MakeWorld, policy_image: str
) -> Callable[[], AbstractContextManager[World]]:
    """Two runners whose jobs are checked."""

    @contextmanager
    def make() -> Iterator[World]:
        with make_world() as world:
            world.daemon.config["lxd"]["image"] = policy_image
            world.daemon.config["policy"] = {"mode": "builtin", "port": free_port(world.address)}
            world.daemon.first_config = deepcopy(world.daemon.config)
            yield world

    return make


@pytest.fixture
def guarded(running: World) -> World:
    """The same, all well, and a repository that is in order."""
    running.github.faults.clear()
    running.github.set_repository(DEMO)
    running.github.protect(DEMO, "main")
    running.github.set_collaborator(DEMO, "dora", role="maintain")
    return running


def queue(world: World, **fields: Any) -> int:
    """Queue a job whose every step says that it has run, the last one whatever failed before."""
    return world.queue(f"echo {RAN}", always=f"echo always: {RAN}", **fields)


def ended(world: World, job_id: int) -> Job:
    wait_until(lambda: world.github.job(job_id).status == "completed", "the job has ended")
    return world.github.job(job_id)


def assert_runs(world: World, job_id: int) -> None:
    job = ended(world, job_id)
    assert job.conclusion == "success", job.log
    assert "policy: this job may run" in job.log
    assert RAN in job.log


def assert_refused(world: World, job_id: int, reason: str) -> None:
    """Nothing of the job has run, everybody is told why, and its instance is gone."""
    job = ended(world, job_id)
    assert job.conclusion == "failure"
    assert RAN not in job.log
    assert "policy: this job was refused: " in job.log
    assert reason in job.log
    told = "finished: its job was refused by the policy: "
    wait_until(lambda: job.runner_name in world.daemon.said(told), "the daemon tells why")
    wait_until(lambda: job.runner_name not in world.instances(), "the instance is gone")
    wait_until(lambda: decided(world, job) in (["refused"], ["error"]), "the journal tells it")


def decided(world: World, job: Job) -> list[str]:
    """Give what the journal says was decided of a job."""
    answer = world.daemon.ask(f"/v1/events?kind=decision&runner={job.runner_name}")
    return [one["state"] for one in answer["events"]]


def decisions(world: World) -> list[dict[str, Any]]:
    path = Path(world.daemon.config["state-directory"]) / "policy" / "decisions.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_job_runs_when_the_settings_of_its_repository_are_in_order_and_not_before(
    guarded: World,
) -> None:
    world, github = guarded, guarded.github
    before = len(decisions(world))
    assert_runs(world, queue(world))
    github.set_collaborator(DEMO, "oscar", role="write", affiliation="outside")
    for event in ("push", "schedule", "workflow_dispatch", "repository_dispatch"):
        assert_refused(world, queue(world, event=event), "oscar (write)")
    github.remove_collaborator(DEMO, "oscar")
    assert_runs(world, queue(world, event="schedule"))
    assert [(one["event"], one["verdict"]) for one in decisions(world)[before:]] == [
        ("push", "pass"),
        ("push", "fail"),
        ("schedule", "fail"),
        ("workflow_dispatch", "fail"),
        ("default", "fail"),
        ("schedule", "pass"),
    ]
    world.wait_sound()


@pytest.mark.parametrize("event", ["pull_request", "pull_request_target"])
def test_a_stranger_s_commit_runs_when_a_maintainer_has_said_so(guarded: World, event: str) -> None:
    world, github = guarded, guarded.github
    pull = github.open_pull(DEMO, f"{FORK}:{event}", "main")
    request = {"event": event, "pull": pull.number}
    assert_refused(world, queue(world, **request), "nobody has approved")
    github.add_comment(DEMO, pull.number, "dora", f"{ORDER} {pull.head_sha}")
    assert_runs(world, queue(world, **request))
    github.unprotect(DEMO, "main")
    assert_refused(world, queue(world, **request), "main is not protected")


def test_a_job_whose_event_can_not_be_read_does_not_run(guarded: World) -> None:
    before = decisions(guarded)
    other = '{"repository": {"full_name": "acme/other"}}'
    for payload in ("", "[1]", other, '{"a":' * 5000):
        assert_refused(guarded, queue(guarded, payload=payload), "the event is")
    assert decisions(guarded) == before


def test_no_job_runs_while_github_does_not_say_that_it_may(guarded: World) -> None:
    world = guarded
    world.github.set_repository(HANGING)
    # 20 seconds pass until it is refused: meanwhile the others are.
    world.fail(path_pattern=f"*/{HANGING}/*", delay_s=60)
    hangs = queue(world, repository=HANGING)
    world.wait_in_progress(hangs)
    for fault, reason in (
        ({"status": 500}, "has answered 500"),
        ({"status": 403}, "refused"),
        ({"drop_connection": True}, "has answered 500"),
    ):
        broken = world.fail(path_pattern=f"*/{DEMO}/collaborators", **fault)
        assert_refused(world, queue(world), reason)
        world.github.faults.remove(broken)
    assert_refused(world, hangs, "not done within 20 s")
    assert_runs(world, queue(world))


def children_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # After the name, which may hold anything: the state, and the parent.
            if path.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(path.parent.name))
    return found


def masters(world: World) -> list[int]:
    found = []
    for pid in children_of(world.daemon.pid):
        with suppress(OSError):  # one that has ended meanwhile
            if b"policy_service" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def workers(world: World) -> list[int]:
    return [worker for master in masters(world) for worker in children_of(master)]


@pytest.mark.parametrize(
    ("chosen", "number"),
    [
        (masters, signal.SIGKILL),
        (workers, signal.SIGKILL),
        (workers, signal.SIGSTOP),
    ],
    ids=["master dies", "workers die", "workers hang"],
)
def test_no_job_runs_that_a_service_in_trouble_was_asked_of(
    guarded: World, chosen: Callable[[World], list[int]], number: int
) -> None:
    world = guarded
    world.github.set_collaborator(DEMO, "oscar", role="write", affiliation="outside")
    unanswered = world.fail(path_pattern=COLLABORATORS, held=True)
    job = queue(world)
    world.hits(unanswered)
    found = chosen(world)
    assert found
    for pid in found:
        os.kill(pid, number)
    assert_refused(world, job, "the policy service ")
    log = world.github.job(job).log
    assert re.search(NOT_ANSWERED, log), log
    world.github.faults.remove(unanswered)
    world.github.remove_collaborator(DEMO, "oscar")
    world.wait_whole()
    assert_runs(world, queue(world))
