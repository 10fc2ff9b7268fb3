"""A runner is let go only when GitHub has let it go, or nobody can ask it any more."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lifecycle import (
    Confirmed,
    DeletionOrdered,
    Effect,
    Event,
    GuestReady,
    InstanceGone,
    Job,
    JobLost,
    JobStarted,
    Life,
    LimitPassed,
    NoJobBegun,
    RegistrationFound,
    RegistrationVanished,
    Seen,
    Stage,
    StartFailed,
    Step,
    Unregistered,
    UnregistrationRefused,
    adopt,
    step,
)
from tests.unit.lifecycle.lives import JOB, NOW, life, lives, living


def test_an_idle_runner_is_let_go_only_after_github_has_let_it_go() -> None:
    retiring = step(life(Stage.IDLE), DeletionOrdered("too many"), NOW)
    assert (retiring.life.stage, retiring.effects) == (Stage.RETIRING, (Effect.UNREGISTER,))
    gone = step(retiring.life, Unregistered(), NOW)
    assert (gone.life.stage, gone.effects) == (Stage.FINISHED, (Effect.REMOVE,))


def test_a_runner_that_github_calls_busy_is_not_retired() -> None:
    refused = step(life(Stage.RETIRING), UnregistrationRefused(busy=True), NOW)
    assert refused.life.stage is Stage.BUSY


@pytest.mark.parametrize("stage", [Stage.BOOTING, Stage.READY, Stage.IDLE])
@pytest.mark.parametrize(
    "answer", [UnregistrationRefused(busy=False, reason="down"), LimitPassed(Stage.RETIRING)]
)
def test_a_runner_that_could_not_be_retired_stays_what_it_was(stage: Stage, answer: Event) -> None:
    retiring = step(life(stage), DeletionOrdered("too many"), NOW).life
    assert step(retiring, answer, NOW).life.stage is stage


def test_github_is_asked_before_a_runner_that_was_not_heard_of_is_removed() -> None:
    late = step(life(Stage.BOOTING), LimitPassed(Stage.BOOTING), NOW)
    assert (late.life.stage, late.effects) == (Stage.RETIRING, (Effect.UNREGISTER,))
    busy = step(late.life, UnregistrationRefused(busy=True), NOW)
    assert busy.life.stage is Stage.BUSY


def refused_for_good(taken_over: Life, now: datetime = NOW) -> Step:
    """Let a runner go where nobody can ask GitHub any more."""
    retiring = step(taken_over, DeletionOrdered("its settings are out of date"), now).life
    return step(retiring, UnregistrationRefused(busy=False, reason="401", for_good=True), now)


def test_where_github_can_not_be_asked_any_more_a_runner_is_believed_that_it_has_no_job() -> None:
    gone = refused_for_good(life(Stage.IDLE))
    assert (gone.life.stage, gone.effects) == (Stage.FINISHED, (Effect.REMOVE,))
    assert "without GitHub" in gone.life.reason
    assert step(gone.life, InstanceGone(), NOW).effects == (Effect.END,)  # nobody to ask


def test_one_that_was_taken_over_is_looked_into_first_as_a_job_may_have_begun_unheard() -> None:
    taken_over = adopt(Seen(running=True, stage="ready", runner_id=7), NOW).life
    kept = refused_for_good(taken_over)
    assert (kept.life.stage, kept.effects) == (Stage.READY, (Effect.INSPECT,))
    at_work = step(kept.life, JobStarted(Job()), NOW)
    assert at_work.life.stage is Stage.BUSY
    idle = step(kept.life, NoJobBegun(), NOW)
    assert (idle.life.stage, idle.life.retire_after, idle.effects) == (Stage.READY, None, ())
    assert refused_for_good(idle.life).effects == (Effect.REMOVE,)


@pytest.mark.parametrize("heard", [Confirmed(busy=False), GuestReady()])
def test_one_that_was_heard_of_since_it_was_taken_over_needs_no_look(heard: Event) -> None:
    taken_over = adopt(Seen(running=True, stage="ready", runner_id=7), NOW).life
    assert refused_for_good(step(taken_over, heard, NOW).life).effects == (Effect.REMOVE,)


def test_one_that_nobody_can_look_into_stays_for_as_long_as_a_job_may_take() -> None:
    taken_over = adopt(Seen(running=True, stage="ready", runner_id=7), NOW).life
    assert Effect.REMOVE not in refused_for_good(taken_over, NOW + timedelta(days=4)).effects
    assert refused_for_good(taken_over, NOW + timedelta(days=5)).effects == (Effect.REMOVE,)


def test_github_is_asked_before_a_runner_that_may_have_been_started_is_removed() -> None:
    unsure = step(living(Stage.CREATING), StartFailed("LXD is gone", certain=False), NOW)
    assert (unsure.life.stage, unsure.effects) == (Stage.RETIRING, (Effect.UNREGISTER,))
    removed = step(unsure.life, Unregistered(), NOW)
    assert removed.life.failed_in is Stage.CREATING
    assert removed.effects == (Effect.SAVE_LOGS, Effect.REMOVE)
    busy = step(unsure.life, UnregistrationRefused(busy=True), NOW)
    assert (busy.life.stage, busy.life.failed_in) == (Stage.BUSY, None)
    unknown = step(unsure.life, UnregistrationRefused(busy=False, reason="down"), NOW)
    assert unknown.life.stage is Stage.BOOTING


@pytest.mark.parametrize(
    ("stage", "event"),
    [
        (Stage.IDLE, RegistrationVanished()),
        (Stage.READY, RegistrationVanished()),
        (Stage.BOOTING, LimitPassed(Stage.BOOTING)),
        (Stage.FINISHED, LimitPassed(Stage.FINISHED)),
    ],
)
def test_github_is_asked_before_an_instance_that_may_be_at_work_goes(
    stage: Stage, event: Event
) -> None:
    asked = step(living(stage), event, NOW)
    assert asked.life.stage is Stage.RETIRING
    assert asked.effects == (Effect.UNREGISTER,)
    kept = step(asked.life, UnregistrationRefused(busy=True), NOW)
    assert (kept.life.stage, Effect.REMOVE in kept.effects) == (Stage.BUSY, False)


def test_a_retirement_that_can_not_be_asked_for_waits_ever_longer() -> None:
    now, waits = living(Stage.IDLE), []
    for _ in range(8):
        now = step(now, DeletionOrdered("why"), NOW).life
        now = step(now, UnregistrationRefused(busy=False, reason="401"), NOW).life
        assert now.stage is Stage.IDLE
        assert now.retire_after is not None
        waits.append((now.retire_after - NOW).total_seconds())
    assert waits == [15, 30, 60, 120, 240, 480, 600, 600]


def test_one_that_could_not_be_let_go_and_is_listed_later_waits_for_a_job_as_before() -> None:
    retiring = step(living(Stage.IDLE), DeletionOrdered("why"), NOW).life
    kept = step(retiring, UnregistrationRefused(busy=False, reason="500"), NOW).life
    assert kept.reason == "could not be retired: 500"
    assert step(kept, Confirmed(busy=False), NOW).life == kept  # it may be tried again any moment
    later = step(kept, Confirmed(busy=False), NOW + timedelta(seconds=15))
    assert later.life.reason == "online; waits for a job"
    assert (later.life.stage, later.life.since, later.life.refusals) == (Stage.IDLE, NOW, 0)
    assert later.effects == ()


@pytest.mark.parametrize("stage", [Stage.BOOTING, Stage.READY, Stage.IDLE])
def test_one_whose_registration_was_deleted_late_can_not_stay(stage: Stage) -> None:
    gone = step(living(stage), Unregistered(), NOW)
    assert (gone.life.stage, gone.life.runner_id) == (Stage.FINISHED, None)
    assert gone.effects == (Effect.REMOVE,)


@pytest.mark.parametrize("stage", [Stage.BOOTING, Stage.READY, Stage.IDLE])
def test_one_taken_over_without_its_number_is_let_go_when_github_has_shown_it(
    stage: Stage,
) -> None:
    order = DeletionOrdered("its settings are out of date")
    waits = step(life(stage, runner_id=None), order, NOW)
    assert (waits.life.stage, waits.effects) == (stage, ())
    assert waits.life.retire_after
    known = step(waits.life, RegistrationFound(7), NOW).life
    assert known.runner_id == 7
    assert step(known, order, NOW).effects == (Effect.UNREGISTER,)


@pytest.mark.parametrize("stage", [Stage.BOOTING, Stage.READY, Stage.IDLE])
def test_an_order_that_nobody_repeats_stands_until_the_number_is_known(stage: Stage) -> None:
    waits = step(life(stage, runner_id=None), DeletionOrdered("flushed", stands=True), NOW).life
    # What the fleet wishes meanwhile, and what the guest says, takes nothing back.
    for event in (DeletionOrdered("its settings are out of date"), GuestReady()):
        waits = step(waits, event, NOW).life
    going = step(waits, RegistrationFound(7), NOW)
    assert (going.life.stage, going.life.runner_id) == (Stage.RETIRING, 7)
    assert (going.life.reason, going.effects) == ("flushed", (Effect.UNREGISTER,))
    stays = step(going.life, UnregistrationRefused(busy=False, reason="down"), NOW).life
    assert (stays.stage, stays.ordered_away) == (waits.stage, "")


def test_a_job_spares_a_runner_for_which_an_order_stands_also_when_that_job_was_lost() -> None:
    order = DeletionOrdered("flushed", stands=True)
    waits = step(life(Stage.IDLE, runner_id=None), order, NOW).life
    busy = step(waits, Confirmed(busy=True), NOW).life
    found = step(busy, RegistrationFound(7), NOW)
    assert (found.life.stage, found.life.runner_id, found.effects) == (Stage.BUSY, 7, ())
    assert step(busy, JobLost(registered=True), NOW).life.ordered_away == ""


@given(lives, st.integers(10, 19))
def test_a_number_that_is_known_is_not_replaced(before: Life, number: int) -> None:
    if before.runner_id is not None:
        assert step(before, RegistrationFound(number), NOW).life == before


def test_a_lost_job_leaves_a_runner_that_waits_or_one_that_is_done() -> None:
    assert step(living(Stage.BUSY, job=JOB), JobLost(registered=True), NOW).life.stage is Stage.IDLE
    done = step(living(Stage.BUSY, job=JOB), JobLost(registered=False), NOW)
    assert (done.life.stage, done.effects) == (Stage.FINISHED, ())
    assert step(living(Stage.IDLE), JobLost(registered=False), NOW) == Step(living(Stage.IDLE))


def test_what_is_ordered_away_before_it_is_registered_goes_at_once() -> None:
    after = step(life(Stage.REQUESTED, runner_id=None), DeletionOrdered("not wanted"), NOW)
    assert (after.life.stage, after.effects) == (Stage.FINISHED, (Effect.REMOVE,))


@pytest.mark.parametrize("event", [DeletionOrdered("not wanted"), LimitPassed(Stage.CREATING)])
def test_github_is_asked_before_one_goes_that_lxd_may_be_starting(event: Event) -> None:
    retiring = step(life(Stage.CREATING), event, NOW)
    assert (retiring.life.stage, retiring.effects) == (Stage.RETIRING, (Effect.UNREGISTER,))
    busy = step(retiring.life, UnregistrationRefused(busy=True), NOW).life
    assert busy.stage is Stage.BUSY
    unknown = step(retiring.life, UnregistrationRefused(busy=False, reason="down"), NOW).life
    assert unknown.stage is Stage.BOOTING
