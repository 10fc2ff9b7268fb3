from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.causes import Cause
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
    JobLost,
    JobRefused,
    JobStarted,
    JobUnchecked,
    Life,
    LimitPassed,
    Limits,
    NoJobBegun,
    Registered,
    RegistrationFound,
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
    request,
    step,
)

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
JOB = Job("acme/web", "build", "7", "push", "test")

events = st.one_of(
    st.builds(Registered, st.integers(1, 9)),
    st.just(InstanceCreated()),
    st.just(InstanceStarted()),
    st.just(GuestReady()),
    st.builds(JobStarted, st.just(JOB)),
    st.just(JobFinished()),
    st.builds(JobRefused, st.sampled_from(["one", "other"])),
    st.builds(JobUnchecked),
    st.builds(GuestFinished, st.sampled_from(["", "0", "7"]), st.sampled_from(["", "Failed"])),
    st.builds(Confirmed, st.booleans()),
    st.builds(RegistrationFound, st.integers(1, 9)),
    st.just(RegistrationVanished()),
    st.builds(WentOffline, st.just("offline")),
    st.just(InstanceStopped()),
    st.just(FoundStopped()),
    st.just(InstanceGone()),
    st.builds(RemovalFailed, st.just("disk on fire")),
    st.just(Unregistered()),
    st.builds(UnregistrationRefused, st.booleans(), st.just("no"), st.booleans()),
    st.just(NoJobBegun()),
    st.builds(Failed, st.just("broken")),
    st.builds(StartFailed, st.just("late"), st.booleans()),
    st.builds(JobLost, st.booleans()),
    st.builds(LimitPassed, st.sampled_from(Stage)),
    st.builds(DeletionOrdered, st.just("not wanted"), st.booleans(), st.booleans()),
)
lives = st.builds(
    Life,
    st.sampled_from(Stage),
    st.just(NOW),
    st.sampled_from(["", "some reason"]),
    st.none() | st.integers(1, 9),
    st.none() | st.just(JOB),
    st.integers(0, 3),
    ordered_away=st.sampled_from(["", "flushed by order"]),
)


def life(stage: Stage, **given: object) -> Life:
    return replace(Life(stage, NOW, runner_id=5), **given)


def live_through(*happened: Event) -> tuple[Life, list[Effect]]:
    current = request(NOW)
    effects = list(current.effects)
    for event in happened:
        current = step(current.life, event, NOW)
        effects += current.effects
    return current.life, effects


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


@given(lives)
def test_whatever_stage_it_is_in_the_end_of_the_instance_ends_it(before: Life) -> None:
    after = step(before, InstanceGone(), NOW).life
    starting = {Stage.REQUESTED, Stage.CREATING}
    assert after.stage is (before.stage if before.stage in starting else Stage.DELETED)


@pytest.mark.parametrize("stage", [s for s in Stage if Limits().of(s)])
def test_passing_a_limit_always_leads_out_of_the_stage_or_to_another_try(stage: Stage) -> None:
    after = step(life(stage), LimitPassed(stage), NOW)
    assert after.life.stage is not stage or after.effects == (Effect.REMOVE,)


def test_an_alarm_for_a_stage_already_left_rings_in_vain() -> None:
    idle = life(Stage.IDLE)
    assert step(idle, LimitPassed(Stage.BOOTING), NOW) == Step(idle)


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


@pytest.mark.parametrize(
    ("seen", "stage"),
    [
        (Seen(running=True), Stage.BOOTING),
        (Seen(running=True, stage="ready"), Stage.READY),
        (Seen(running=True, stage="busy", job=JOB), Stage.BUSY),
        (Seen(running=True, stage="nonsense"), Stage.BOOTING),
        (Seen(running=False, stage="busy"), Stage.FAILED),
        (None, Stage.DELETED),
    ],
)
def test_a_runner_is_taken_over_where_it_stands(seen: Seen | None, stage: Stage) -> None:
    assert adopt(seen, NOW).life.stage is stage


@pytest.mark.parametrize("stage", ["ready", "busy"])
def test_secrets_that_an_earlier_daemon_left_in_an_instance_are_taken_out(stage: str) -> None:
    seen = Seen(running=True, stage=stage)
    assert adopt(seen, NOW).effects == ()
    assert adopt(replace(seen, holds_secrets=True), NOW).effects == (Effect.RECORD,)


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


@given(lives, events)
def test_an_ending_runner_never_becomes_available_again(before: Life, event: Event) -> None:
    if before.stage in ENDING - {Stage.RETIRING}:
        # One that does not power off is asked for on GitHub, as its job may run still.
        assert step(before, event, NOW).life.stage in ENDING


def living(stage: Stage, **more: Any) -> Life:
    return replace(Life(stage, NOW, runner_id=7), **more)


@pytest.mark.parametrize("stage", [Stage.BOOTING, Stage.READY, Stage.IDLE, Stage.BUSY])
def test_a_start_that_failed_late_says_nothing_of_a_guest_that_was_heard(stage: Stage) -> None:
    assert step(living(stage), StartFailed("LXD timed out"), NOW) == Step(living(stage))


def test_a_start_that_failed_ends_a_runner_in_the_making() -> None:
    assert step(living(Stage.CREATING), StartFailed("no"), NOW).life.stage is Stage.FAILED


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


def test_a_taken_over_runner_has_the_rest_of_its_time() -> None:
    limits = Limits(busy=timedelta(hours=2), booting=timedelta(minutes=10))
    busy = Seen(running=True, stage="busy", since=NOW - timedelta(hours=1), created_at=NOW)
    taken_over = adopt(busy, NOW).life
    assert taken_over.since == NOW - timedelta(hours=1)
    assert limits.left(taken_over, NOW) == timedelta(hours=1)
    booting = adopt(Seen(running=True, created_at=NOW - timedelta(minutes=4)), NOW).life
    assert limits.left(booting, NOW) == timedelta(minutes=6)


def test_one_taken_over_past_its_time_is_given_a_moment_to_be_heard_of() -> None:
    limits = Limits(booting=timedelta(minutes=10))
    booting = adopt(Seen(running=True, created_at=NOW - timedelta(days=4)), NOW).life
    assert limits.left(booting, NOW) == Limits.GRACE
    assert Limits(booting=timedelta(seconds=5)).left(booting, NOW) == timedelta(seconds=5)


def test_a_clock_that_went_back_gives_nobody_more_than_the_limit() -> None:
    found = Seen(running=True, stage="busy", since=NOW + timedelta(days=9), created_at=NOW)
    assert Limits().left(adopt(found, NOW).life, NOW) == Limits.busy


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
