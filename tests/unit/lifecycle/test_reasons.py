"""The reason and the cause of an end."""

import pytest

from supervisor.causes import Cause
from supervisor.lifecycle import (
    DeletionOrdered,
    Event,
    Failed,
    FoundStopped,
    GuestFinished,
    InstanceGone,
    InstanceStopped,
    JobFinished,
    JobLost,
    JobRefused,
    JobStarted,
    JobUnchecked,
    LimitPassed,
    RegistrationVanished,
    RemovalFailed,
    Stage,
    StartFailed,
    Unregistered,
    UnregistrationRefused,
    WentOffline,
    step,
)
from tests.unit.lifecycle.lives import JOB, NOW, life


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ([JobFinished()], "its job ended"),
        ([JobFinished(), GuestFinished("0", "Failed")], "its job ended: Failed"),
        ([JobRefused("no reviews")], "its job was refused by the policy: no reviews"),
        ([GuestFinished("2")], "the runner application ended with exit code 2"),
        ([InstanceStopped()], "stopped while busy"),
        ([JobLost(registered=False)], "GitHub says that its job is over"),
    ],
)
def test_one_that_is_gone_waits_for_nothing_any_more(told: list[Event], why: str) -> None:
    finished = life(Stage.BUSY, job=JOB)
    for event in told:
        finished = step(finished, event, NOW).life
    assert finished.reason.startswith(f"{why}; waits for ")
    assert step(finished, InstanceGone(), NOW).life.reason == why
    failed = step(finished, RemovalFailed("LXD is away"), NOW).life
    assert failed.reason == f"{why}; removal failed: LXD is away"
    assert step(failed, InstanceGone(), NOW).life.reason == failed.reason


def test_one_that_did_not_power_off_in_time_is_gone_for_that() -> None:
    finished = step(life(Stage.BUSY, job=JOB, runner_id=7), JobFinished(), NOW).life
    retiring = step(finished, LimitPassed(Stage.FINISHED), NOW).life
    why = "took too long: its job ended; waits for the guest to power off"
    failed = step(retiring, Unregistered(), NOW).life
    assert (failed.stage, failed.reason) == (Stage.FAILED, why)
    assert step(failed, InstanceGone(), NOW).life.reason == why


@pytest.mark.parametrize(
    ("before", "happened", "cause"),
    [
        (Stage.CREATING, Failed("no room", Cause.NO_SPACE), Cause.NO_SPACE),
        (Stage.CREATING, StartFailed("no", cause=Cause.LXD_FAILED), Cause.LXD_FAILED),
        (Stage.BOOTING, Failed("the guest says: no"), Cause.UNKNOWN),
        (Stage.BOOTING, LimitPassed(Stage.BOOTING), Cause.TIMED_OUT),
        (Stage.BUSY, LimitPassed(Stage.BUSY), Cause.TIMED_OUT),
        (Stage.READY, RegistrationVanished(), Cause.VANISHED),
        (Stage.IDLE, WentOffline("for long"), Cause.OFFLINE),
        (Stage.BOOTING, InstanceStopped(), Cause.STOPPED),
        (Stage.BOOTING, FoundStopped(), Cause.STOPPED),
        (Stage.READY, GuestFinished("2"), Cause.STOPPED),
        (Stage.BUSY, JobUnchecked(), Cause.JOB_UNCHECKED),
        (Stage.BUSY, InstanceStopped(), Cause.UNKNOWN),
        (Stage.BUSY, JobFinished(), Cause.UNKNOWN),
        (Stage.IDLE, DeletionOrdered("too many"), Cause.UNKNOWN),
    ],
)
def test_the_cause_of_an_end_stands_beside_its_reason(
    before: Stage, happened: Event, cause: Cause
) -> None:
    ending = step(life(before), happened, NOW).life
    assert ending.cause is cause
    assert step(ending, Unregistered(), NOW).life.cause is cause


def test_one_that_is_kept_after_all_has_no_cause_any_more() -> None:
    late = step(life(Stage.BOOTING), LimitPassed(Stage.BOOTING), NOW).life
    assert step(late, UnregistrationRefused(busy=True), NOW).life.cause is Cause.UNKNOWN
    assert step(late, UnregistrationRefused(busy=False), NOW).life.cause is Cause.UNKNOWN
    assert step(late, JobStarted(JOB), NOW).life.cause is Cause.UNKNOWN


def test_words_of_a_guest_do_not_cut_the_reason_short() -> None:
    said = "the guest says: x; removal failed: y"
    stuck = step(life(Stage.FAILED, reason=said), RemovalFailed("busy"), NOW).life
    assert stuck.reason == f"{said}; removal failed: busy"
