"""How an instance ends, what of it is kept, and what is removed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.causes import Cause
from supervisor.lifecycle import (
    DeletionOrdered,
    Effect,
    Event,
    Failed,
    FoundStopped,
    InstanceGone,
    InstanceStopped,
    Job,
    JobStarted,
    Life,
    LimitPassed,
    Registered,
    RegistrationVanished,
    RemovalFailed,
    Seen,
    Stage,
    StartFailed,
    Step,
    Unregistered,
    UnregistrationRefused,
    WentOffline,
    adopt,
    step,
)
from tests.unit.lifecycle.lives import JOB, NOW, events, life, lives, living


@given(lives)
def test_whatever_stage_it_is_in_the_end_of_the_instance_ends_it(before: Life) -> None:
    after = step(before, InstanceGone(), NOW).life
    starting = {Stage.REQUESTED, Stage.CREATING}
    assert after.stage is (before.stage if before.stage in starting else Stage.DELETED)


def test_a_failure_removes_the_instance_and_its_registration() -> None:
    failed = step(life(Stage.BOOTING), Failed("no disk"), NOW)
    assert failed.life.stage is Stage.FAILED
    assert failed.effects == (Effect.SAVE_LOGS, Effect.REMOVE, Effect.UNREGISTER)


@given(lives, events)
def test_logs_are_saved_before_their_instance_goes_and_never_after(
    before: Life, event: Event
) -> None:
    effects = step(before, event, NOW).effects
    if Effect.SAVE_LOGS in effects:
        assert effects[effects.index(Effect.SAVE_LOGS) + 1] is Effect.REMOVE


@given(lives, st.booleans())
def test_who_was_ordered_away_or_never_had_an_instance_leaves_no_logs(
    before: Life, force: bool
) -> None:
    assert Effect.SAVE_LOGS not in step(before, DeletionOrdered("why", force), NOW).effects
    requested = replace(before, stage=Stage.REQUESTED)
    for event in (Failed("no name"), LimitPassed(Stage.REQUESTED)):
        assert Effect.SAVE_LOGS not in step(requested, event, NOW).effects


def test_a_job_that_took_too_long_has_its_guests_logs_saved() -> None:
    assert Effect.SAVE_LOGS in step(life(Stage.BUSY), LimitPassed(Stage.BUSY), NOW).effects


@pytest.mark.parametrize("stage", [Stage.CREATING, Stage.BOOTING, Stage.FINISHED])
def test_one_that_github_lets_go_after_its_limit_has_its_logs_saved(stage: Stage) -> None:
    asked = step(life(stage), LimitPassed(stage), NOW)
    gone = step(asked.life, Unregistered(), NOW)
    assert gone.effects == (Effect.SAVE_LOGS, Effect.REMOVE)


def test_one_that_was_late_once_and_then_ordered_away_leaves_no_logs() -> None:
    late = step(life(Stage.BOOTING), LimitPassed(Stage.BOOTING), NOW).life
    kept = step(late, UnregistrationRefused(busy=False), NOW).life
    ordered = step(kept, DeletionOrdered("too many"), NOW).life
    assert step(ordered, Unregistered(), NOW).effects == (Effect.REMOVE,)


def test_one_found_stopped_after_a_restart_has_its_logs_saved() -> None:
    found = adopt(Seen(running=False, runner_id=7), NOW)
    assert found.effects == (Effect.SAVE_LOGS, Effect.REMOVE, Effect.UNREGISTER)


def test_one_that_was_at_work_and_is_found_stopped_after_a_restart_has_had_its_job() -> None:
    began_at = NOW - timedelta(hours=1)
    stopped = Seen(running=False, stage="busy", runner_id=7, since=began_at, stop_noticed=True)
    found = adopt(replace(stopped, job=JOB), NOW)
    assert found.effects == (Effect.SAVE_LOGS, Effect.REMOVE, Effect.UNREGISTER)
    ended = found.life
    assert (ended.stage, ended.job) == (Stage.FINISHED, JOB)
    assert ended.reason == "stopped while busy, as nobody listened"
    # When it ended is not known, so nor is how long it took.
    assert (ended.failed_in, ended.cause, ended.job_began_at) == (None, Cause.UNKNOWN, None)
    gone = step(ended, InstanceGone(), NOW)
    assert (gone.life.reason, gone.effects) == (ended.reason, (Effect.END,))


def test_that_one_was_at_work_is_enough_where_its_job_was_not_told() -> None:
    found = adopt(Seen(running=False, stage="busy", stop_noticed=True), NOW)
    assert (found.life.stage, found.life.job) == (Stage.FINISHED, Job())
    assert found.effects == (Effect.SAVE_LOGS, Effect.REMOVE)


def test_one_that_was_at_work_and_went_down_unseen_by_lxd_has_failed_with_its_job() -> None:
    found = adopt(Seen(running=False, stage="busy", runner_id=7, job=JOB), NOW)
    assert found.effects == (Effect.SAVE_LOGS, Effect.REMOVE, Effect.UNREGISTER)
    lost = found.life
    assert (lost.stage, lost.job, lost.cause) == (Stage.FAILED, JOB, Cause.STOPPED)
    assert lost.reason == "stopped while busy, with its host or LXD down"
    # It says nothing of runners made now, and when it ended is not known.
    assert (lost.failed_in, lost.job_began_at) == (None, None)


def test_one_that_was_made_and_never_started_is_removed_and_has_not_failed() -> None:
    found = adopt(Seen(running=False, runner_id=7, started=False), NOW)
    assert found.effects == (Effect.REMOVE, Effect.UNREGISTER)
    assert (found.life.stage, found.life.reason) == (Stage.FINISHED, "was made and never started")
    gone = step(found.life, InstanceGone(), NOW).life
    assert (gone.stage, gone.failed_in, gone.cause) == (Stage.DELETED, None, Cause.UNKNOWN)


def test_one_that_runs_is_taken_over_whatever_lxd_says_of_its_start() -> None:
    assert adopt(Seen(running=True, started=False), NOW).life.stage is Stage.BOOTING


def test_a_failed_removal_is_tried_again_when_its_limit_passes() -> None:
    stuck = step(life(Stage.FAILED, reason="no disk"), RemovalFailed("busy"), NOW).life
    stuck = step(stuck, RemovalFailed("still busy"), NOW).life
    assert stuck.removal_failures == 2
    assert stuck.reason == "no disk; removal failed: still busy"
    assert stuck.cause is Cause.REMOVAL_FAILED
    assert step(stuck, LimitPassed(Stage.FAILED), NOW).effects == (Effect.REMOVE,)


def test_a_registration_that_comes_too_late_is_deleted() -> None:
    late = step(life(Stage.FAILED, runner_id=None), Registered(9), NOW)
    assert late.life.runner_id == 9
    assert late.effects == (Effect.UNREGISTER,)


def test_a_runner_that_ends_without_having_run_a_job_is_unregistered() -> None:
    gone = step(life(Stage.FINISHED, job=None), InstanceGone(), NOW)
    assert gone.effects == (Effect.UNREGISTER, Effect.END)


@pytest.mark.parametrize("stage", [Stage.BOOTING, Stage.READY, Stage.IDLE, Stage.BUSY])
def test_an_instance_found_stopped_is_removed(stage: Stage) -> None:
    found = step(life(stage), FoundStopped(), NOW)
    effects = (Effect.SAVE_LOGS, Effect.REMOVE)
    assert (found.life.stage, found.effects) == (Stage.FINISHED, effects)


@pytest.mark.parametrize("stage", [Stage.BOOTING, Stage.READY, Stage.IDLE, Stage.BUSY])
def test_a_start_that_failed_late_says_nothing_of_a_guest_that_was_heard(stage: Stage) -> None:
    assert step(living(stage), StartFailed("LXD timed out"), NOW) == Step(living(stage))


def test_a_start_that_failed_ends_a_runner_in_the_making() -> None:
    assert step(living(Stage.CREATING), StartFailed("no"), NOW).life.stage is Stage.FAILED


@pytest.mark.parametrize(
    ("before", "event"),
    [
        (Stage.BOOTING, LimitPassed(Stage.BOOTING)),
        (Stage.READY, WentOffline("GitHub has not shown it online")),
        (Stage.IDLE, RegistrationVanished()),
        (Stage.FINISHED, LimitPassed(Stage.FINISHED)),
    ],
)
def test_one_that_is_let_go_because_it_failed_has_failed_then(before: Stage, event: Event) -> None:
    retiring = step(life(before), event, NOW)
    assert (retiring.life.stage, retiring.life.failed_in) == (Stage.RETIRING, before)
    gone = step(retiring.life, Unregistered(), NOW).life
    assert (gone.stage, gone.failed_in) == (Stage.FAILED, before)


@pytest.mark.parametrize("answer", [UnregistrationRefused(busy=True), JobStarted(JOB)])
def test_one_that_was_at_work_after_all_has_not_failed(answer: Event) -> None:
    retiring = step(life(Stage.BOOTING), LimitPassed(Stage.BOOTING), NOW).life
    busy = step(retiring, answer, NOW).life
    assert (busy.stage, busy.failed_in) == (Stage.BUSY, None)


@pytest.mark.parametrize("event", [InstanceStopped(), FoundStopped(), InstanceGone()])
@pytest.mark.parametrize("stage", [Stage.BOOTING, Stage.READY, Stage.IDLE])
def test_one_whose_instance_ends_before_it_had_a_job_has_failed(stage: Stage, event: Event) -> None:
    assert step(life(stage), event, NOW).life.failed_in is stage


@pytest.mark.parametrize("event", [InstanceStopped(), FoundStopped(), InstanceGone()])
def test_one_whose_instance_ends_with_its_job_has_not_failed_to_come_up(event: Event) -> None:
    assert step(life(Stage.BUSY, job=JOB), event, NOW).life.failed_in is None


@given(lives, st.booleans())
def test_what_was_ordered_away_has_not_failed(before: Life, force: bool) -> None:
    after = step(replace(before, failed_in=None), DeletionOrdered("not wanted", force), NOW).life
    assert after.failed_in is None
