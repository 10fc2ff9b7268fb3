"""One runner's life as a pure function: stage and event in, stage and effects out.

    requested → creating → booting → ready → idle → busy → finished → deleted
                   └────────┴────────┴──────┴─ retiring ──────┘ (ordered away)
    any stage before deleted → failed(reason) → deleted

The function is total: any event may come at any stage, late, twice or never. What a stage waits for
and how long stands in `Limits`; passing a limit is an event like the others. Nothing here knows of
actors, LXD or GitHub.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import singledispatch

from supervisor.causes import Cause
from supervisor.lifecycle.events import (
    Confirmed,
    DeletionOrdered,
    Event,
    Failed,
    FoundStopped,
    GuestFinished,
    GuestReady,
    InstanceCreated,
    InstanceGone,
    InstanceStarted,
    InstanceStopped,
    JobFinished,
    JobLost,
    JobRefused,
    JobStarted,
    JobUnchecked,
    LimitPassed,
    NoJobBegun,
    Registered,
    RegistrationFound,
    RegistrationVanished,
    RemovalFailed,
    StartFailed,
    Unregistered,
    UnregistrationRefused,
    WentOffline,
)
from supervisor.lifecycle.life import AVAILABLE, ENDING, STARTING, Job, Life, Stage
from supervisor.lifecycle.moves import (
    as_if_booting,
    end_by_itself,
    end_early,
    fail,
    finish,
    forward,
    move,
    remove,
    retire,
    retire_failed,
    stay,
    wait_for_number,
)
from supervisor.lifecycle.results import REFUSED
from supervisor.lifecycle.steps import Effect, Step

_LONGEST_JOB = timedelta(days=5)
"""https://docs.github.com/en/actions/reference/limits: no job on a runner of ours lasts longer."""

_ONLINE = "online; waits for a job"
_POWER_OFF = "the guest to power off"


def step(life: Life, event: Event, now: datetime) -> Step:
    """Answer an event.

    Args:
        life: what is known of the runner.
        event: what happened.
        now: when (aware, UTC).

    Returns:
        The new life and the effects to carry out. An event that has nothing to say at this stage
        changes nothing.
    """
    if life.stage is Stage.DELETED:
        return Step(life)
    return _answer(event, life, now)


@singledispatch
def _answer(event: object, life: Life, now: datetime) -> Step:
    raise TypeError(f"no answer to {type(event).__name__}")


def _was_kept(life: Life, now: datetime) -> bool:
    """Tell whether it stays after all: it could have been tried again, and nobody wants it gone."""
    return life.refusals > 0 and life.retire_after is not None and life.retire_after <= now


def _watched(life: Life) -> Life:
    """Note that it waits for a job: one that begins from now on is heard of."""
    return replace(life, unwatched_since=None)


def _surely_runs_no_job(life: Life, now: datetime) -> bool:
    """Tell whether silence proves that a runner that was to be let go runs no job.

    Not where a job may have begun while no daemon listened: then only the longest time that a job
    may take does.
    """
    return life.unwatched_since is None or now - life.unwatched_since >= _LONGEST_JOB


@_answer.register
def _(event: Registered, life: Life, now: datetime) -> Step:
    if life.stage is not Stage.REQUESTED:
        # It came too late, for a runner that is ending: let go of it.
        return Step(replace(life, runner_id=event.runner_id), (Effect.UNREGISTER,))
    known = replace(life, runner_id=event.runner_id)
    return move(known, now, Stage.CREATING, "waits for LXD to create it", Effect.CREATE)


@_answer.register
def _(_event: InstanceCreated, life: Life, now: datetime) -> Step:
    if life.stage is not Stage.CREATING:
        return Step(life)
    return Step(replace(life, reason="waits for LXD to start it"), (Effect.START,))


@_answer.register
def _(_event: InstanceStarted, life: Life, now: datetime) -> Step:
    return forward(life, now, Stage.BOOTING, "waits for the guest's ready signal")


@_answer.register
def _(_event: GuestReady, life: Life, now: datetime) -> Step:
    reason = "the guest is ready; waits for a job"
    return forward(_watched(life), now, Stage.READY, reason, Effect.RECORD)


@_answer.register
def _(event: JobStarted, life: Life, now: datetime) -> Step:
    # A look into the guest shows that there is a job, and not since when.
    began_at = life.job_began_at or (now if event.job.is_told() else None)
    known = replace(life, job=_first_told(life, event.job), job_began_at=began_at, failed_in=None)
    if life.stage is Stage.RETIRING:
        return move(known, now, Stage.BUSY, "took a job while being retired", Effect.RECORD)
    if life.stage is Stage.BUSY:
        # GitHub's list was faster than the guest's signal; or it says it again, for which no
        # number of times is worth a call to LXD.
        is_new = life.job in {None, Job()} and known != life
        return Step(known, (Effect.RECORD,)) if is_new else Step(life)
    return forward(known, now, Stage.BUSY, "runs its job", Effect.RECORD)


@_answer.register
def _(_event: NoJobBegun, life: Life, now: datetime) -> Step:
    if life.stage is Stage.BUSY:
        return Step(life)
    # What is known now need not wait until it may be tried again.
    return Step(replace(_watched(life), retire_after=None))


def _first_told(life: Life, told: Job) -> Job:
    """Say what its job is: the job itself, which comes second, can't make it another."""
    known = life.job or Job()
    return known if known.is_told() else replace(told, result=told.result or known.result)


def _had_job(life: Life, result: str = "") -> Life:
    """Note that it has had a job, also where the signal of its beginning was lost."""
    job = life.job or Job()
    return replace(life, job=replace(job, result=job.result or result), failed_in=None)


@_answer.register
def _(_event: JobFinished, life: Life, now: datetime) -> Step:
    if life.stage is Stage.RETIRING:
        return Step(_had_job(life))
    if life.stage in ENDING:
        return Step(life)
    return finish(_had_job(life), now, "its job ended", waits_for=_POWER_OFF)


@_answer.register
def _(event: JobRefused, life: Life, now: datetime) -> Step:
    if life.stage in ENDING:
        return Step(life)
    # Its result is set, so that what the application says of it, a failure, is not shown instead.
    known = replace(life, job=replace(life.job or Job(), result=REFUSED))
    why = f"its job was refused by the policy: {event.reason}"
    return finish(known, now, why, waits_for=_POWER_OFF)


@_answer.register
def _(_event: JobUnchecked, life: Life, now: datetime) -> Step:
    if life.stage is not Stage.BUSY:
        return Step(life)
    reason = "runs a job that the policy has not let run"
    return fail(life, now, reason, Cause.JOB_UNCHECKED)


@_answer.register
def _(event: GuestFinished, life: Life, now: datetime) -> Step:
    if life.stage is Stage.RETIRING and event.result:
        return Step(_had_job(life, event.result))
    if life.stage is Stage.FINISHED and event.result and not (life.job and life.job.result):
        # The hook before has told that the job ended, and could not tell how; or was not heard.
        why = f"its job ended: {event.result}"
        known = _had_job(life, event.result)
        return finish(known, life.since, why, waits_for=_POWER_OFF, cause=life.cause)
    if life.stage in ENDING:
        return Step(life)
    code = f" with exit code {event.exit_code}" if event.exit_code else ""
    why = f"the runner application ended{code}"
    job = replace(life.job or Job(), result=event.result) if event.result else life.job
    return end_by_itself(replace(life, job=job), now, why, waits_for=_POWER_OFF)


@_answer.register
def _(event: Confirmed, life: Life, now: datetime) -> Step:
    if event.busy and life.stage is not Stage.RETIRING:
        reason = "GitHub says that it runs a job"
        return forward(replace(life, job=life.job or Job()), now, Stage.BUSY, reason, Effect.RECORD)
    if life.stage is Stage.IDLE and _was_kept(life, now):
        settled = replace(life, refusals=0, retire_after=None, reason=_ONLINE)
        return Step(_watched(settled))
    # One whose signal was lost has not been recorded.
    effects = () if life.stage is Stage.READY else (Effect.RECORD,)
    return forward(_watched(life), now, Stage.IDLE, _ONLINE, *effects)


@_answer.register
def _(event: RegistrationFound, life: Life, now: datetime) -> Step:
    if life.runner_id is not None or life.stage in STARTING or life.stage in ENDING:
        return Step(life)
    known = replace(life, runner_id=event.runner_id, ordered_away="")
    if life.ordered_away:
        return retire(known, now, life.ordered_away)
    return Step(known)


@_answer.register
def _(_event: RegistrationVanished, life: Life, now: datetime) -> Step:
    if life.stage not in AVAILABLE:
        return Step(life)
    reason = "GitHub does not know it any more"
    # A list can miss one while its pages are turned; asked for this one, GitHub is sure.
    if life.runner_id is None:
        return fail(life, now, reason, Cause.VANISHED)
    return retire_failed(life, now, reason, Cause.VANISHED)


@_answer.register
def _(event: WentOffline, life: Life, now: datetime) -> Step:
    if life.stage not in AVAILABLE:
        return Step(life)
    return retire_failed(life, now, event.reason, Cause.OFFLINE)


@_answer.register
def _(event: JobLost, life: Life, now: datetime) -> Step:
    if life.stage is not Stage.BUSY:
        return Step(life)
    if event.registered:
        known = _watched(replace(life, job=None, job_began_at=None))
        return move(known, now, Stage.IDLE, "GitHub says that it waits for a job", Effect.RECORD)
    return finish(life, now, "GitHub says that its job is over", waits_for=_POWER_OFF)


@_answer.register
def _(_event: InstanceStopped, life: Life, now: datetime) -> Step:
    if life.stage in ENDING:
        return Step(life)
    return end_by_itself(life, now, f"stopped while {life.stage}", waits_for="LXD")


@_answer.register
def _(_event: FoundStopped, life: Life, now: datetime) -> Step:
    if life.stage in STARTING or life.stage is Stage.FAILED:
        return Step(life)
    if life.stage is Stage.FINISHED:
        return Step(life, (Effect.REMOVE,))
    why = f"stopped while {life.stage}"
    return end_by_itself(life, now, why, Effect.SAVE_LOGS, Effect.REMOVE)


@_answer.register
def _(_event: InstanceGone, life: Life, now: datetime) -> Step:
    if life.stage in STARTING:
        # LXD can't have lost what it has not yet made: a message about an earlier look.
        return Step(life)
    # GitHub removes the registration of an ephemeral runner that ran its job; a failed one's was
    # removed when it failed; of others, we remove it now.
    ran_its_job = life.stage is Stage.FINISHED and life.job is not None
    settled = ran_its_job or life.stage is Stage.FAILED or life.runner_id is None
    leave = () if settled else (Effect.UNREGISTER,)
    known = end_early(life)
    reason = (life.stage is Stage.FINISHED and life.ended_for) or life.reason
    return move(known, now, Stage.DELETED, reason, *leave, Effect.END, cause=life.cause)


@_answer.register
def _(event: RemovalFailed, life: Life, now: datetime) -> Step:
    if life.stage not in ENDING:
        return Step(life)
    ended_for = life.ended_for or life.reason
    reason, cause = f"{ended_for}; removal failed: {event.reason}", Cause.REMOVAL_FAILED
    failures = life.removal_failures + 1
    known = replace(life, removal_failures=failures, ended_for=ended_for)
    if life.stage is Stage.FAILED:
        return Step(replace(known, reason=reason, cause=cause))
    return move(known, now, Stage.FAILED, reason, cause=cause, ended_for=ended_for)


@_answer.register
def _(_event: Unregistered, life: Life, now: datetime) -> Step:
    known = replace(life, runner_id=None)
    if life.stage is Stage.RETIRING:
        if life.failed_in:
            effects = (Effect.SAVE_LOGS, Effect.REMOVE)
            return move(known, now, Stage.FAILED, life.reason, *effects, cause=life.cause)
        return move(known, now, Stage.FINISHED, life.reason, Effect.REMOVE)
    if life.stage is Stage.BOOTING or life.stage in AVAILABLE:
        # The answer to an earlier wish to let it go has come late: it can't get a job any more.
        return move(known, now, Stage.FINISHED, "was let go", Effect.REMOVE)
    return Step(life)


@_answer.register
def _(event: UnregistrationRefused, life: Life, now: datetime) -> Step:
    if life.stage is not Stage.RETIRING:
        return Step(life)
    if event.busy:
        known = replace(life, job=life.job or Job(), failed_in=None)
        return move(known, now, Stage.BUSY, "GitHub says that it runs a job", Effect.RECORD)
    if event.for_good and _surely_runs_no_job(life, now):
        reason = f"was let go without GitHub, as it has reported no job: {event.reason}"
        return move(replace(life, runner_id=None), now, Stage.FINISHED, reason, Effect.REMOVE)
    staying = stay(life, now, event.reason)
    return replace(staying, effects=(Effect.INSPECT,)) if event.for_good else staying


@_answer.register
def _(event: Failed, life: Life, now: datetime) -> Step:
    if life.stage is Stage.FINISHED:
        return Step(life)
    return fail(life, now, event.reason, event.cause)


@_answer.register
def _(event: StartFailed, life: Life, now: datetime) -> Step:
    if life.stage not in STARTING:
        # It has been heard of since, from LXD or its guest: it did start.
        return Step(life)
    if event.certain or life.runner_id is None:
        return fail(life, now, event.reason, event.cause)
    return as_if_booting(retire_failed(life, now, event.reason, event.cause))


@_answer.register
def _(event: LimitPassed, life: Life, now: datetime) -> Step:
    if event.stage is not life.stage:
        return Step(life)  # an alarm that rang for a stage already left
    if life.stage is Stage.FAILED:
        return Step(life, (Effect.REMOVE,))
    if life.stage is Stage.RETIRING:
        return stay(life, now, "GitHub did not answer")
    reason = f"took too long: {life.reason or f'was {life.stage}'}"
    if life.stage is Stage.BUSY or life.runner_id is None:
        return fail(life, now, reason, Cause.TIMED_OUT)
    # Its signals may have been lost and a job may run, or its last logs may be on their way: GitHub
    # knows.
    retiring = retire_failed(life, now, reason, Cause.TIMED_OUT)
    return as_if_booting(retiring) if life.stage is Stage.CREATING else retiring


@_answer.register
def _(event: DeletionOrdered, life: Life, now: datetime) -> Step:
    if life.stage in ENDING and not (event.force and life.stage is Stage.RETIRING):
        return Step(life)
    if life.stage is Stage.BUSY and not event.force:
        return Step(life)
    if event.force or life.stage is Stage.REQUESTED:
        return remove(life, now, event.reason)
    if life.runner_id is None:
        return wait_for_number(life, now, event)
    retiring = retire(life, now, event.reason)
    return as_if_booting(retiring) if life.stage is Stage.CREATING else retiring
