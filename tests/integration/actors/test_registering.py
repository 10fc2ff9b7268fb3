from __future__ import annotations

from typing import Any

import pytest
from tokens_stage import NAME, TOKEN, Stage, watch
from waiting import eventually

from sandbox.github import Fault, SandboxGitHub
from supervisor import lifecycle
from supervisor.messages.runner import Happened
from supervisor.messages.tokens import (
    ForgetAhead,
    JitConfigFailed,
    JitConfigMade,
    ListRegistrations,
)


def test_a_runner_is_registered_listed_and_deleted(stage: Stage) -> None:
    assert stage.world.shown("tokens")[0] == "waiting"
    stage.tell(stage.order())
    made = stage.heard()
    assert isinstance(made, JitConfigMade)
    assert made.encoded not in repr(made)
    stage.tell(ListRegistrations(3))
    listed = stage.listed()
    assert (listed.ticket, listed.error) == (3, "")
    assert [one.id for one in listed.registrations] == [made.runner_id]
    stage.tell(stage.deletion(made.runner_id, NAME))
    assert stage.heard() == Happened(lifecycle.Unregistered())
    eventually(lambda: stage.world.shown("tokens")[0] == "ready")
    assert stage.world.shown("tokens")[1].startswith("GitHub answers for acme; 999,99")


def test_a_name_in_use_is_a_refusal(stage: Stage, sandbox: SandboxGitHub) -> None:
    listing = f'{{"total_count": 1, "runners": [{{"id": 5, "name": "{NAME}", "status": "online",'
    sandbox.faults.add(Fault("POST", "*/generate-jitconfig", status=409))
    sandbox.faults.add(
        Fault("GET", "*/actions/runners", status=200, body=listing + ' "busy": false}]}')
    )
    stage.tell(stage.order())
    refused = stage.heard()
    assert isinstance(refused, JitConfigFailed)
    assert "a runner of that name is at work" in refused.reason


def test_a_registration_left_over_under_the_name_is_replaced(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    stage.tell(stage.order())
    first = stage.heard()
    stage.tell(stage.order())
    second = stage.heard()
    assert second.runner_id != first.runner_id
    assert [runner.id for runner in sandbox.runners()] == [second.runner_id]


@pytest.mark.parametrize(
    "fault", [{"drop_connection": True}, {"status": 502}, {"status": 200, "body": "<html>"}]
)
@pytest.mark.parametrize("after", [True, False])
def test_a_registration_of_unknown_outcome_is_looked_up_and_made_once(
    stage: Stage, sandbox: SandboxGitHub, fault: dict[str, Any], *, after: bool
) -> None:
    lost = Fault("POST", "*/generate-jitconfig", after_processing=after, **fault)
    sandbox.faults.add(lost)
    stage.tell(stage.order())
    made = stage.heard()
    assert isinstance(made, JitConfigMade)
    assert [runner.id for runner in sandbox.runners()] == [made.runner_id]
    assert sandbox.faults.hits(lost) == 1


def test_what_became_of_a_lost_registration_is_looked_up_though_all_others_fail(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(
        Fault("POST", "*/generate-jitconfig", drop_connection=True, after_processing=True)
    )
    sandbox.faults.add(Fault("GET", "*/actions/runners", status=502, times=2))
    stage.tell(stage.order())
    stage.tell(stage.order("fleet-0"))
    made = stage.heard()
    assert isinstance(made, JitConfigMade)
    stage.pass_until(lambda: [one.id for one in sandbox.runners()] == [made.runner_id])


def test_a_registration_that_nobody_waits_for_is_deleted(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    deleted = watch(sandbox, "DELETE")
    stage.tell(stage.order("fleet-bbbbbbbb"))
    eventually(lambda: sandbox.faults.hits(deleted) == 1)
    eventually(lambda: sandbox.runners() == ())


def test_a_registration_made_ahead_is_given_out_once(stage: Stage, sandbox: SandboxGitHub) -> None:
    watched = sandbox.faults.add(
        Fault(path_pattern="*/generate-jitconfig", delay_s=0.001, times=None)
    )
    stage.tell(stage.ahead(NAME))
    eventually(lambda: [runner.name for runner in sandbox.runners()] == [NAME])
    stage.tell(stage.order())
    made = stage.heard()
    assert [runner.id for runner in sandbox.runners()] == [made.runner_id]
    assert sandbox.faults.hits(watched) == 1


def test_what_could_not_be_registered_ahead_is_registered_when_asked_for(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault(path_pattern="*/generate-jitconfig", status=500, times=1))
    stage.tell(stage.ahead(NAME))
    stage.tell(stage.order())
    assert isinstance(stage.heard(), JitConfigMade)


def test_registrations_made_ahead_in_vain_are_deleted(stage: Stage, sandbox: SandboxGitHub) -> None:
    stage.tell(stage.ahead("fleet-bbbbbbbb"))
    stage.tell(stage.ahead("fleet-cccccccc"))
    eventually(lambda: len(sandbox.runners()) == 2)
    stage.tell(ForgetAhead())
    eventually(lambda: not sandbox.runners())


def test_a_registration_made_ahead_that_the_reconcile_deletes_is_not_given_out(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    stage.tell(stage.ahead(NAME))
    eventually(sandbox.runners)
    stage.tell(ListRegistrations(1))
    (orphan,) = (one.id for one in stage.listed().registrations)  # its answer has come by now
    stage.tell(stage.deletion(orphan, NAME))
    assert stage.heard() == Happened(lifecycle.Unregistered())
    stage.tell(stage.order())
    assert stage.heard().runner_id != orphan


def test_no_secret_is_logged(stage: Stage, sandbox: SandboxGitHub) -> None:
    stage.tell(stage.order())
    encoded = stage.heard().encoded
    sandbox.faults.add(Fault(drop_connection=True, times=None))
    stage.tell(stage.order())
    stage.heard()
    logged = "".join(stage.world.logged)
    assert logged
    assert TOKEN not in logged
    assert encoded not in logged
