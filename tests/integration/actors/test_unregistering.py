from __future__ import annotations

from tokens_stage import NAME, Stage
from waiting import eventually

from sandbox.github import Fault, SandboxGitHub
from supervisor import lifecycle
from supervisor.messages.runner import Happened


def test_a_busy_runner_is_not_deleted(stage: Stage, sandbox: SandboxGitHub) -> None:
    sandbox.faults.add(Fault(method="DELETE", status=422))
    stage.tell(stage.deletion(5, NAME))
    event = stage.heard().event
    assert isinstance(event, lifecycle.UnregistrationRefused)
    assert event.busy
    eventually(lambda: stage.world.shown("tokens")[0] == "ready")


def test_a_runner_is_deleted_once_however_often_it_is_asked_for(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    stage.tell(stage.order())
    made = stage.heard()
    deleted = sandbox.faults.add(Fault("DELETE", delay_s=0.2, times=None))
    for _ in range(3):
        stage.tell(stage.deletion(made.runner_id, NAME))
    assert stage.heard() == Happened(lifecycle.Unregistered())
    assert sandbox.faults.hits(deleted) == 1
    assert stage.runner == []


def test_a_runner_that_can_not_be_seen_is_not_taken_for_deleted(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    """GitHub says 404, too, to a token that has lost its rights."""
    stage.tell(stage.order())
    made = stage.heard()
    sandbox.faults.add(Fault(path_pattern="*/actions/runners*", status=404, times=None))
    stage.tell(stage.deletion(made.runner_id, NAME))
    event = stage.heard().event
    assert isinstance(event, lifecycle.UnregistrationRefused)
    assert not event.busy
    assert 'needs the permission "Self-hosted runners: ' in event.reason


def test_a_runner_that_is_gone_is_as_good_as_deleted(stage: Stage) -> None:
    stage.tell(stage.deletion(4711, NAME))
    assert stage.heard() == Happened(lifecycle.Unregistered())
