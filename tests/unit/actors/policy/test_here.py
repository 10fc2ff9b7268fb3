"""The service that the daemon runs itself: started, watched, ended, handed over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fake_world import MakeWorld, World
from waiting import eventually

from supervisor.gateways.policy_process import Seen
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.policy import AnnouncePolicy, PolicyChanged
from supervisor.policy.token_desk import Signer
from supervisor.supervision import Crash
from supervisor.work import policy as policy_work
from tests.unit.actors.policy.service import BASE, WELL, Service, builtin, let_pass, start


def test_off_is_a_standing_warning_and_keeps_nobody_waiting(make_world: MakeWorld) -> None:
    world = make_world(policy={"mode": "off"})
    told = start(world)
    eventually(lambda: told == [PolicyChanged(healthy=True)])
    assert world.shown("policy") == ("ready", "policy.mode: off: no job is checked")
    (warning,) = world.details("policy")["warnings"]
    assert warning.startswith("policy.mode: off: every job runs, whoever wrote it: set builtin")


def test_the_fleet_is_told_when_it_answers_and_again_when_it_asks(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    world.tell("policy", AnnouncePolicy())
    eventually(lambda: told == [WELL, WELL])
    assert world.parts.tokens.signs


def test_one_that_can_not_be_started_is_tried_again_ever_more_seldom(
    make_world: MakeWorld, service: Service
) -> None:
    service.failure = "can't listen at 127.0.0.1:8643: Address already in use"
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [PolicyChanged(healthy=False, reason=service.failure)])
    assert world.shown("policy") == ("failing", service.failure)
    service.failure = ""
    world.clock.advance(0.6)
    eventually(lambda: told[-1] == WELL)


def test_the_end_of_the_process_is_told_and_another_is_started_at_once(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.process.die()
    ended = PolicyChanged(healthy=False, reason="the policy service has ended with 1: no room")
    let_pass(world, lambda: told == [WELL, ended, WELL], 0.01)
    assert len(service.processes) == 2


def test_one_that_ends_again_and_again_is_started_ever_more_seldom(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    for count in range(1, 7):
        let_pass(world, lambda: len(service.processes) == count and told[-1:] == [WELL])  # noqa: B023
        service.process.die()
        eventually(lambda: told[-1] != WELL)
    world.clock.advance(7)
    eventually(lambda: world.waiting("policy") == 0)
    assert len(service.processes) == 6
    let_pass(world, lambda: len(service.processes) == 7)


def test_one_that_does_not_answer_is_told_at_once_and_ended_at_the_third_time(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.fault = "no answer within 3 s"
    reason = "the policy service does not answer as it should: no answer within 3 s"
    let_pass(world, lambda: told[-1] == PolicyChanged(healthy=False, reason=reason))
    assert service.process.alive
    let_pass(world, lambda: len(service.processes) == 2)
    assert told[-1].reason == reason  # and not that it was killed
    service.fault = ""
    let_pass(world, lambda: told[-1] == WELL)


def test_one_silence_is_no_reason_to_end_it(make_world: MakeWorld, service: Service) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.fault = "no answer within 3 s"
    let_pass(world, lambda: told[-1] != WELL)
    service.fault = ""
    let_pass(world, lambda: told[-1] == WELL)
    assert len(service.processes) == 1


def test_while_it_starts_its_silence_is_no_fault_for_a_while(
    make_world: MakeWorld, service: Service
) -> None:
    service.fault = "connection refused"
    world = builtin(make_world)
    told = start(world)
    let_pass(world, lambda: service.examinations > 20)
    assert (told, len(service.processes)) == ([], 1)
    assert world.shown("policy") == ("waiting", "the policy service is starting")
    let_pass(world, lambda: len(service.processes) == 2, 1)
    assert not told[-1].healthy


def test_a_service_that_can_not_ask_github_is_not_started_anew(
    make_world: MakeWorld, service: Service
) -> None:
    service.trouble = "GitHub refuses the credential"
    world = builtin(make_world)
    told = start(world)
    reason = "the policy service can't check jobs: GitHub refuses the credential"
    eventually(lambda: told == [PolicyChanged(healthy=False, reason=reason, base=BASE)])
    before = service.examinations
    let_pass(world, lambda: service.examinations > before + 3)
    assert len(service.processes) == 1
    service.trouble = ""
    let_pass(world, lambda: told[-1] == WELL)


def test_a_first_process_that_is_seen_stopped_twice_is_ended(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.seen = Seen(master_stopped=True, workers=2, stopped=frozenset())
    let_pass(world, lambda: len(service.processes) == 2)
    assert any("its first process is stopped" in change.reason for change in told)


def test_a_worker_that_is_seen_stopped_twice_is_ended_alone(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.seen = Seen(master_stopped=False, workers=2, stopped=frozenset({7}))
    let_pass(world, lambda: 7 in service.process.killed)
    assert (told, len(service.processes)) == ([WELL], 1)


def test_settings_that_can_not_be_used_leave_it_as_it_was(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.failure = "policy.document: /p: can't be read"
    world.tell("policy", ConfigChanged(world.parts.settings.config))
    let_pass(world, lambda: world.details("policy")["warnings"] == (service.failure,))
    service.failure = ""
    let_pass(world, lambda: world.details("policy")["warnings"] == ())
    assert told == [WELL]


def test_a_hand_over_is_no_outage_and_its_secret_signs_when_it_answers(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.signer = Signer(b"another-secret-x", timedelta(days=2))
    service.again, service.fault = True, "connection refused"
    world.tell("policy", ConfigChanged(world.parts.settings.config))
    eventually(lambda: len(service.processes) == 2)
    let_pass(world, lambda: service.examinations > 5)
    assert world.parts.tokens._signer != service.signer
    assert [process.alive for process in service.processes] == [True, True]
    service.fault = ""
    let_pass(world, lambda: world.parts.tokens._signer == service.signer)
    eventually(lambda: [process.alive for process in service.processes] == [False, True])
    assert told == [WELL]


def hand_over(world: World, service: Service) -> list[Any]:
    """Have another process started, which does not answer."""
    told = start(world)
    eventually(lambda: told == [WELL])
    service.signer = Signer(b"another-secret-x", timedelta(days=2))
    service.again, service.deaf = True, {1001}
    world.tell("policy", ConfigChanged(world.parts.settings.config))
    eventually(lambda: len(service.processes) == 2 and world.waiting("policy") == 0)
    let_pass(world, lambda: service.examinations > 5)
    return told


def test_one_stays_if_its_successor_ends_before_it_has_answered(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = hand_over(world, service)
    service.process.die()
    ended = "the policy service has ended with 1: no room"
    eventually(lambda: world.details("policy")["warnings"] == (ended,))
    assert world.parts.policy.process is service.processes[0]
    assert service.processes[0].alive
    assert world.parts.tokens._signer != service.signer
    assert told == [WELL]


def test_one_stays_if_its_successor_never_answers(make_world: MakeWorld, service: Service) -> None:
    world = builtin(make_world)
    told = hand_over(world, service)
    let_pass(world, lambda: not service.process.alive, 1)
    eventually(lambda: world.parts.policy.process is service.processes[0])
    assert service.processes[0].alive
    assert told == [WELL]


def test_the_end_of_one_whose_successor_has_not_answered_is_told(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = hand_over(world, service)
    service.processes[0].die()
    ended = PolicyChanged(healthy=False, reason="the policy service has ended with 1: no room")
    eventually(lambda: told == [WELL, ended])
    service.deaf = set()
    let_pass(world, lambda: told == [WELL, ended, WELL])
    assert len(service.processes) == 2


def test_another_credential_has_it_started_anew(make_world: MakeWorld, service: Service) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.stamp, service.again = "b", True
    let_pass(world, lambda: len(service.processes) == 2)


def test_a_crash_of_the_actor_ends_nothing(make_world: MakeWorld, service: Service) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    world.tell("policy", Crash("a test"))
    eventually(lambda: told == [WELL, WELL])
    assert [process.alive for process in service.processes] == [True]


def test_an_examination_that_does_not_end_is_told(
    make_world: MakeWorld, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    gate = world.lxd.hold("an examination")
    examine = service._examine

    def hang(*given: Any) -> Any:
        world.lxd._enter("an examination")
        return examine(*given)

    monkeypatch.setattr(policy_work, "examine", hang)
    let_pass(world, lambda: told[-1].reason == "the policy service takes too long to answer", 1)
    gate.set()
    let_pass(world, lambda: told[-1] == WELL)
