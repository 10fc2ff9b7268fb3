"""What a guest tells of its job, and what is believed of that."""

from dataclasses import replace
from datetime import timedelta

import pytest

from supervisor.lifecycle import (
    Confirmed,
    Effect,
    Event,
    GuestFinished,
    InstanceStopped,
    Job,
    JobFinished,
    JobLost,
    JobRefused,
    JobStarted,
    JobUnchecked,
    Stage,
    Step,
    UnregistrationRefused,
    step,
)
from tests.unit.lifecycle.lives import JOB, NOW, life, living


@pytest.mark.parametrize("end", [JobFinished(), InstanceStopped()])
def test_no_job_can_say_at_its_end_that_it_was_another(end: Event) -> None:
    at_work = step(life(Stage.IDLE), JobStarted(JOB), NOW).life
    ended = step(at_work, end, NOW).life
    assert step(ended, JobStarted(Job("another/one", "CI", "7")), NOW).life.job == JOB


def test_what_a_job_was_is_known_though_its_end_was_told_first() -> None:
    ended = step(life(Stage.IDLE), JobFinished(), NOW).life
    ended = replace(ended, job=Job(result="Succeeded"))
    assert step(ended, JobStarted(JOB), NOW).life.job == replace(JOB, result="Succeeded")


def test_a_job_that_has_been_told_is_not_told_otherwise() -> None:
    busy = living(Stage.BUSY, job=JOB)
    assert step(busy, JobStarted(Job("another/one")), NOW) == Step(busy)
    unknown = living(Stage.BUSY, job=Job())
    assert step(unknown, JobStarted(Job()), NOW) == Step(unknown)


def test_a_job_began_when_its_guest_first_told_of_it_and_nobody_else_knows_when() -> None:
    later = NOW + timedelta(seconds=9)
    for event in (Confirmed(busy=True), JobStarted(Job())):
        at_work = step(life(Stage.IDLE), event, NOW).life
        assert (at_work.stage, at_work.job_began_at) == (Stage.BUSY, None)
        told = step(at_work, JobStarted(JOB), later).life
        assert (told.since, told.job_began_at) == (NOW, later)
        assert step(told, JobStarted(JOB), later + timedelta(seconds=9)).life == told


def test_a_job_began_when_its_guest_told_of_it_while_it_was_to_be_let_go() -> None:
    retiring = living(Stage.RETIRING, retired_from=Stage.IDLE)
    assert step(retiring, JobStarted(JOB), NOW).life.job_began_at == NOW
    assert step(retiring, UnregistrationRefused(busy=True), NOW).life.job_began_at is None


def test_a_job_that_was_none_has_not_begun() -> None:
    at_work = step(life(Stage.IDLE), JobStarted(JOB), NOW).life
    waits = step(at_work, JobLost(registered=True), NOW).life
    assert (waits.stage, waits.job_began_at) == (Stage.IDLE, None)


def test_how_a_job_ended_is_told_by_the_application_after_the_hook_told_that_it_did() -> None:
    ended = step(life(Stage.BUSY, job=JOB), JobFinished(), NOW).life
    told = step(ended, GuestFinished("0", "Failed"), NOW)
    assert told.effects == ()
    assert (told.life.stage, told.life.since) == (Stage.FINISHED, ended.since)
    assert told.life.job == replace(JOB, result="Failed")
    assert told.life.reason == "its job ended: Failed; waits for the guest to power off"
    again = step(told.life, GuestFinished("0", "Succeeded"), NOW)
    assert again == Step(told.life)


def test_a_runner_whose_job_ended_has_had_one_though_nobody_heard_of_its_beginning() -> None:
    ended = step(life(Stage.IDLE), JobFinished(), NOW).life
    assert (ended.stage, ended.job) == (Stage.FINISHED, Job())
    told = step(ended, GuestFinished("0", "Succeeded"), NOW).life
    assert told.job == Job(result="Succeeded")


def test_a_job_that_the_policy_refused_ends_with_its_reason() -> None:
    refused = step(life(Stage.BUSY, job=JOB), JobRefused("no reviews"), NOW)
    assert refused.effects == ()
    assert refused.life.stage is Stage.FINISHED
    assert refused.life.reason == (
        "its job was refused by the policy: no reviews; waits for the guest to power off"
    )
    assert refused.life.job == replace(JOB, result="Refused")
    after = refused.life
    for said in (JobFinished(), JobRefused("another"), GuestFinished("0", "Failed")):
        after = step(after, said, NOW).life
    assert after == refused.life


def test_a_refusal_tells_of_a_job_whose_start_was_not_heard_of() -> None:
    refused = step(life(Stage.IDLE), JobRefused("no reviews"), NOW).life
    assert (refused.stage, refused.job) == (Stage.FINISHED, Job(result="Refused"))
    assert refused.failed_in is None


def test_a_result_tells_of_a_job_whose_signals_were_lost() -> None:
    ended = step(life(Stage.READY), GuestFinished("0", "Succeeded"), NOW).life
    assert (ended.stage, ended.job) == (Stage.FINISHED, Job(result="Succeeded"))
    assert ended.failed_in is None


def test_one_that_is_let_go_has_had_the_job_of_whose_end_it_tells() -> None:
    retiring = life(Stage.RETIRING, failed_in=Stage.IDLE)
    for said, result in ((JobFinished(), ""), (GuestFinished("0", "Failed"), "Failed")):
        told = step(retiring, said, NOW)
        assert (told.life.stage, told.effects) == (Stage.RETIRING, ())
        assert (told.life.job, told.life.failed_in) == (Job(result=result), None)
    assert step(retiring, GuestFinished("1"), NOW) == Step(retiring)


def test_a_result_that_is_heard_after_the_end_tells_of_a_job_too() -> None:
    stopped = step(life(Stage.IDLE), InstanceStopped(), NOW).life
    assert (stopped.job, stopped.failed_in) == (None, Stage.IDLE)
    told = step(stopped, GuestFinished("0", "Succeeded"), NOW)
    assert (told.life.stage, told.effects) == (Stage.FINISHED, ())
    assert (told.life.job, told.life.failed_in) == (Job(result="Succeeded"), None)


def test_a_job_that_the_policy_has_not_let_run_is_ended_with_its_logs_kept() -> None:
    ended = step(life(Stage.BUSY, job=JOB), JobUnchecked(), NOW)
    assert (ended.life.stage, ended.life.reason) == (
        Stage.FAILED,
        "runs a job that the policy has not let run",
    )
    assert ended.effects == (Effect.SAVE_LOGS, Effect.REMOVE, Effect.UNREGISTER)


@pytest.mark.parametrize("stage", sorted(set(Stage) - {Stage.BUSY}))
def test_one_that_runs_no_job_stays_as_it_is_though_none_was_let_run(stage: Stage) -> None:
    assert step(life(stage), JobUnchecked(), NOW) == Step(life(stage))
