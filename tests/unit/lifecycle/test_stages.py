"""From stage to stage: what every event answers, and what holds of all lives."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lifecycle import (
    ENDING,
    Confirmed,
    DeletionOrdered,
    Effect,
    Event,
    Failed,
    FoundStopped,
    GuestFinished,
    GuestReady,
    InstanceCreated,
    InstanceGone,
    InstanceStarted,
    InstanceStopped,
    Job,
    JobFinished,
    JobRefused,
    JobStarted,
    JobUnchecked,
    Life,
    LimitPassed,
    Limits,
    Registered,
    Seen,
    Stage,
    Step,
    adopt,
    request,
    step,
)
from tests.unit.lifecycle.lives import JOB, NOW, events, life, live_through, lives


def test_a_runner_lives_from_request_to_deletion() -> None:
    last, effects = live_through(
        Registered(5),
        InstanceCreated(),
        InstanceStarted(),
        GuestReady(),
        Confirmed(busy=False),
        JobStarted(JOB),
        JobFinished(),
        GuestFinished("0"),
        InstanceStopped(),
        InstanceGone(),
    )
    assert last.stage is Stage.DELETED
    assert last.job == JOB
    assert effects == [
        Effect.REGISTER,
        Effect.CREATE,
        Effect.START,
        Effect.RECORD,
        Effect.RECORD,
        Effect.END,
    ]


def test_a_ready_signal_may_be_faster_than_lxds_answer_to_start() -> None:
    last, _ = live_through(Registered(5), InstanceCreated(), GuestReady(), InstanceStarted())
    assert last.stage is Stage.READY


def test_a_job_may_start_and_end_before_anything_else_was_heard() -> None:
    last, effects = live_through(Registered(5), InstanceCreated(), JobStarted(JOB), JobFinished())
    assert last.stage is Stage.FINISHED
    assert Effect.REMOVE not in effects


@given(lives, events)
def test_every_event_has_an_answer_at_every_stage(before: Life, event: Event) -> None:
    after = step(before, event, NOW)
    assert isinstance(after, Step)


@given(lives, events)
def test_only_leaving_a_stage_changes_since_when_it_lasts(before: Life, event: Event) -> None:
    later = NOW + timedelta(minutes=1)
    after = step(before, event, later).life
    assert after.since == (NOW if after.stage is before.stage else later)


@given(st.none() | st.just(JOB), events)
def test_no_event_but_its_end_its_limit_the_policy_or_force_removes_a_busy_runner(
    job: Job | None, event: Event
) -> None:
    after = step(life(Stage.BUSY, job=job), event, NOW)
    forced = isinstance(event, DeletionOrdered) and event.force
    too_long = isinstance(event, LimitPassed) and event.stage is Stage.BUSY
    over = isinstance(event, (Failed, FoundStopped))  # the guest itself, or its end
    unchecked = isinstance(event, JobUnchecked)
    if not (forced or too_long or over or unchecked):
        assert Effect.REMOVE not in after.effects


@given(lives, st.lists(events, max_size=30))
def test_a_runner_ends_once_and_stays_ended(first: Life, happened: list[Event]) -> None:
    current, ends = first, 0
    for event in happened:
        taken = step(current, event, NOW)
        ends += taken.effects.count(Effect.END)
        if current.stage is Stage.DELETED:
            assert taken == Step(current)
        current = taken.life
    assert ends == (1 if current.stage is Stage.DELETED and first.stage is not current.stage else 0)


@given(st.lists(events, max_size=30))
def test_one_runner_is_created_and_started_at_most_once(happened: list[Event]) -> None:
    _, effects = live_through(*happened)
    assert effects.count(Effect.REGISTER) == 1
    assert effects.count(Effect.CREATE) <= 1


@pytest.mark.parametrize("stage", [s for s in Stage if Limits().of(s)])
def test_passing_a_limit_always_leads_out_of_the_stage_or_to_another_try(stage: Stage) -> None:
    after = step(life(stage), LimitPassed(stage), NOW)
    assert after.life.stage is not stage or after.effects == (Effect.REMOVE,)


def test_an_alarm_for_a_stage_already_left_rings_in_vain() -> None:
    idle = life(Stage.IDLE)
    assert step(idle, LimitPassed(Stage.BOOTING), NOW) == Step(idle)


def test_a_guest_that_has_not_reported_keeps_its_secrets() -> None:
    assert adopt(Seen(running=True, holds_secrets=True), NOW).effects == ()
    assert Effect.RECORD not in live_through(Registered(5), InstanceCreated(), InstanceStarted())[1]


@given(st.lists(events, max_size=30))
def test_whoever_comes_past_booting_has_been_recorded(happened: list[Event]) -> None:
    current, effects = request(NOW), []
    for event in happened:
        current = step(current.life, event, NOW)
        effects += current.effects
        if current.life.stage in {Stage.READY, Stage.IDLE, Stage.BUSY}:
            assert Effect.RECORD in effects


def test_what_was_recorded_is_not_recorded_again() -> None:
    confirmed = step(life(Stage.READY), Confirmed(busy=False), NOW)
    assert (confirmed.life.stage, confirmed.effects) == (Stage.IDLE, ())
    signal_lost = step(life(Stage.BOOTING), Confirmed(busy=False), NOW)
    assert (signal_lost.life.stage, signal_lost.effects) == (Stage.IDLE, (Effect.RECORD,))


@given(lives, events)
def test_an_ending_runner_never_becomes_available_again(before: Life, event: Event) -> None:
    if before.stage in ENDING - {Stage.RETIRING}:
        # One that does not power off is asked for on GitHub, as its job may run still.
        assert step(before, event, NOW).life.stage in ENDING


def test_a_stage_without_a_limit_lasts_for_ever() -> None:
    assert Limits().left(life(Stage.IDLE), NOW) is None


told = st.one_of(
    st.just(GuestReady()),
    st.builds(JobStarted, st.builds(Job, st.sampled_from(["", "a", "b"]))),
    st.just(JobFinished()),
    st.builds(JobRefused, st.sampled_from(["one", "other"])),
    st.builds(GuestFinished, st.sampled_from(["", "0", "7"]), st.sampled_from(["", "Failed"])),
    st.builds(Failed, st.sampled_from(["one", "other"])),
)


@given(lives, st.lists(told, max_size=12).map(lambda said: [e for e in said for _ in range(5)]))
def test_whatever_a_guest_says_and_how_often_it_costs_few_calls_and_lines(
    now: Life, said: list[Event]
) -> None:
    effects: list[Effect] = []
    shown = set()
    changes = 0
    for event in said:
        after = step(now, event, NOW)
        effects += after.effects
        changes += after.life != now
        now = after.life
        shown.add((now.stage, now.reason))
    assert effects.count(Effect.RECORD) <= 3
    assert effects.count(Effect.REMOVE) <= 1
    assert len(effects) <= 5
    assert len(shown) <= 5
    assert changes <= 8
