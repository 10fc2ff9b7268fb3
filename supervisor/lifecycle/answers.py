"""One runner's life as a pure function: stage and event in, stage and effects out.

    requested → creating → booting → ready → idle → busy → finished → deleted
                   └────────┴────────┴──────┴─ retiring ──────┘ (ordered away)
    any stage before deleted → failed(reason) → deleted

The function is total: any event may come at any stage, late, twice or never. What a stage waits for
and how long stands in `Limits`; passing a limit is an event like the others. Nothing here knows of
actors, LXD or GitHub.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
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
from supervisor.lifecycle.life import (
    AVAILABLE,
    ENDING,
    STARTING,
    UNUSED,
    Job,
    Life,
    Seen,
    Stage,
)
from supervisor.throttling.waits import doubled

_FIRST_RETIRE_DELAY = timedelta(seconds=15)
_LONGEST_RETIRE_DELAY = timedelta(minutes=10)
_LONGEST_JOB = timedelta(days=5)
"""https://docs.github.com/en/actions/reference/limits: no job on a runner of ours lasts longer."""

_REFUSED = "Refused"
_ONLINE = "online; waits for a job"
_POWER_OFF = "the guest to power off"

_ORDER = {
    stage: position
    for position, stage in enumerate(
        (Stage.REQUESTED, Stage.CREATING, Stage.BOOTING, Stage.READY, Stage.IDLE, Stage.BUSY)
    )
}


class Effect(Enum):
    """What the runner's actor shall do next.

    Those that concern the instance (create, start, record, save, remove) are done one after
    another, so that a removal never overtakes a creation that is under way.
    """

    REGISTER = "ask GitHub for a just-in-time configuration"
    CREATE = "create the instance"
    START = "start the instance"
    RECORD = "write stage and job into the instance's configuration, take the secrets out"
    INSPECT = "look into the guest for a job that has begun"
    UNREGISTER = "delete the registration on GitHub"
    SAVE_LOGS = "keep what the guest has logged"
    REMOVE = "delete the instance"
    END = "end: nothing is left to do"


@dataclass(frozen=True)
class Step:
    """The outcome of one event: the new life, and what to do, in order."""

    life: Life
    effects: tuple[Effect, ...] = ()


def request(now: datetime) -> Step:
    """Begin a new runner's life."""
    life = Life(Stage.REQUESTED, now, "waits for GitHub's just-in-time configuration")
    return Step(life, (Effect.REGISTER,))


def adopt(seen: Seen | None, now: datetime) -> Step:
    """Take over a runner that an earlier incarnation left, from what LXD shows of it.

    A half-made instance is removed, not finished: its just-in-time configuration may have been
    lost with whoever asked for it, and another runner costs a second.
    """
    if seen is None:
        return Step(Life(Stage.DELETED, now, "the instance is gone"), (Effect.END,))
    begun = min(seen.created_at or now, now)
    life = Life(Stage.BOOTING, begun, "taken over", seen.runner_id, seen.job, unwatched_since=now)
    if not seen.running and not seen.started:
        # Nothing has failed: whoever was to start it has ended, or crashed, in between.
        return _remove(life, now, "was made and never started")
    if not seen.running:
        found = _fail(life, now, "was found stopped", Cause.STOPPED)
        # Whatever ended it was before our time, and says nothing of runners made now.
        return replace(found, life=replace(found.life, failed_in=None))
    recorded = {str(Stage.BUSY): Stage.BUSY, str(Stage.READY): Stage.READY}.get(seen.stage)
    if recorded is None:
        return Step(life)
    effects = (Effect.RECORD,) if seen.holds_secrets else ()
    since = min(seen.since or now, now)
    if recorded is Stage.BUSY and seen.since and seen.job and seen.job.is_told():
        life = replace(life, job_began_at=since)
    return _move(life, since, recorded, "taken over", *effects)


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


def _move(
    life: Life,
    now: datetime,
    stage: Stage,
    reason: str,
    *effects: Effect,
    cause: Cause = Cause.UNKNOWN,
    ended_for: str = "",
) -> Step:
    ready_at = now if stage in AVAILABLE and life.ready_at is None else life.ready_at
    # A job spares it, as it would have if GitHub could have been asked at once.
    ordered_away = "" if stage is Stage.BUSY else life.ordered_away
    moved = replace(
        life,
        stage=stage,
        since=now,
        reason=reason,
        cause=cause,
        ended_for=ended_for,
        ready_at=ready_at,
        ordered_away=ordered_away,
    )
    return Step(moved, effects)


def _forward(life: Life, now: datetime, stage: Stage, reason: str, *effects: Effect) -> Step:
    """Move on to `stage`, unless the runner is there, further on, or on its way out."""
    if _ORDER.get(life.stage, len(_ORDER)) >= _ORDER[stage]:
        return Step(life)
    return _move(life, now, stage, reason, *effects)


def _fail(life: Life, now: datetime, reason: str, cause: Cause) -> Step:
    if life.stage is Stage.FAILED:
        return Step(life)
    # Without its configuration it has no instance yet, and so nothing to tell.
    save = () if life.stage is Stage.REQUESTED else (Effect.SAVE_LOGS,)
    leave = () if life.runner_id is None else (Effect.UNREGISTER,)
    known = replace(life, failed_in=life.failed_in or life.stage)
    return _move(known, now, Stage.FAILED, reason, *save, Effect.REMOVE, *leave, cause=cause)


def _remove(life: Life, now: datetime, reason: str) -> Step:
    """End it at once, because it was ordered: that is no failure."""
    leave = () if life.runner_id is None else (Effect.UNREGISTER,)
    known = replace(life, failed_in=None)
    return _move(known, now, Stage.FINISHED, reason, Effect.REMOVE, *leave)


def _retire(life: Life, now: datetime, reason: str) -> Step:
    """Let go through GitHub, which decides the race with a job: it keeps a busy runner."""
    known = replace(life, retired_from=life.stage, failed_in=None)
    return _move(known, now, Stage.RETIRING, reason, Effect.UNREGISTER)


def _retire_failed(life: Life, now: datetime, reason: str, cause: Cause) -> Step:
    """Let go in the same way what has failed, unless GitHub knows better."""
    retiring = _retire(life, now, reason)
    return replace(retiring, life=replace(retiring.life, failed_in=life.stage, cause=cause))


def _as_if_booting(retiring: Step) -> Step:
    """Let GitHub know of one that LXD may be starting: it may have a job before it is removed."""
    return replace(retiring, life=replace(retiring.life, retired_from=Stage.BOOTING))


def _is_early(life: Life) -> bool:
    """Tell whether an end now is one before it had a job."""
    return life.stage in UNUSED and life.job is None


def _end_early(life: Life) -> Life:
    """Note in which stage it ended, if that is before it had a job."""
    return replace(life, failed_in=life.stage) if _is_early(life) else life


def _finish(
    life: Life,
    now: datetime,
    why: str,
    *effects: Effect,
    waits_for: str = "",
    cause: Cause = Cause.UNKNOWN,
) -> Step:
    """Have it be over; what it waits for is no reason any more when it is gone."""
    reason = f"{why}; waits for {waits_for}" if waits_for else why
    return _move(life, now, Stage.FINISHED, reason, *effects, cause=cause, ended_for=why)


def _end_by_itself(
    life: Life, now: datetime, why: str, *effects: Effect, waits_for: str = ""
) -> Step:
    """Note that it has ended without an order, which before it had a job is a failure."""
    cause = Cause.STOPPED if _is_early(life) else Cause.UNKNOWN
    return _finish(_end_early(life), now, why, *effects, waits_for=waits_for, cause=cause)


def _stay(life: Life, now: datetime, reason: str) -> Step:
    """Go back to where it was when it was to be let go; it is tried again ever more seldom."""
    refusals = life.refusals + 1
    delay = doubled(_FIRST_RETIRE_DELAY, refusals, _LONGEST_RETIRE_DELAY)
    known = replace(life, refusals=refusals, retire_after=now + delay, failed_in=None)
    return _move(known, now, life.retired_from, f"could not be retired: {reason}")


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
    return _move(known, now, Stage.CREATING, "waits for LXD to create it", Effect.CREATE)


@_answer.register
def _(_event: InstanceCreated, life: Life, now: datetime) -> Step:
    if life.stage is not Stage.CREATING:
        return Step(life)
    return Step(replace(life, reason="waits for LXD to start it"), (Effect.START,))


@_answer.register
def _(_event: InstanceStarted, life: Life, now: datetime) -> Step:
    return _forward(life, now, Stage.BOOTING, "waits for the guest's ready signal")


@_answer.register
def _(_event: GuestReady, life: Life, now: datetime) -> Step:
    reason = "the guest is ready; waits for a job"
    return _forward(_watched(life), now, Stage.READY, reason, Effect.RECORD)


@_answer.register
def _(event: JobStarted, life: Life, now: datetime) -> Step:
    # A look into the guest shows that there is a job, and not since when.
    began_at = life.job_began_at or (now if event.job.is_told() else None)
    known = replace(life, job=event.job, job_began_at=began_at, failed_in=None)
    if life.stage is Stage.RETIRING:
        return _move(known, now, Stage.BUSY, "took a job while being retired", Effect.RECORD)
    if life.stage is Stage.BUSY:
        # GitHub's list was faster than the guest's signal; or it says it again, for which no
        # number of times is worth a call to LXD.
        is_new = life.job in {None, Job()} and known != life
        return Step(known, (Effect.RECORD,)) if is_new else Step(life)
    return _forward(known, now, Stage.BUSY, "runs its job", Effect.RECORD)


@_answer.register
def _(_event: NoJobBegun, life: Life, now: datetime) -> Step:
    if life.stage is Stage.BUSY:
        return Step(life)
    # What is known now need not wait until it may be tried again.
    return Step(replace(_watched(life), retire_after=None))


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
    return _finish(_had_job(life), now, "its job ended", waits_for=_POWER_OFF)


@_answer.register
def _(event: JobRefused, life: Life, now: datetime) -> Step:
    if life.stage in ENDING:
        return Step(life)
    # Its result is set, so that what the application says of it, a failure, is not shown instead.
    known = replace(life, job=replace(life.job or Job(), result=_REFUSED))
    why = f"its job was refused by the policy: {event.reason}"
    return _finish(known, now, why, waits_for=_POWER_OFF)


@_answer.register
def _(_event: JobUnchecked, life: Life, now: datetime) -> Step:
    if life.stage is not Stage.BUSY:
        return Step(life)
    reason = "runs a job that the policy has not let run"
    return _fail(life, now, reason, Cause.JOB_UNCHECKED)


@_answer.register
def _(event: GuestFinished, life: Life, now: datetime) -> Step:
    if life.stage is Stage.RETIRING and event.result:
        return Step(_had_job(life, event.result))
    if life.stage is Stage.FINISHED and event.result and not (life.job and life.job.result):
        # The hook before has told that the job ended, and could not tell how; or was not heard.
        why = f"its job ended: {event.result}"
        known = _had_job(life, event.result)
        return _finish(known, life.since, why, waits_for=_POWER_OFF, cause=life.cause)
    if life.stage in ENDING:
        return Step(life)
    code = f" with exit code {event.exit_code}" if event.exit_code else ""
    why = f"the runner application ended{code}"
    job = replace(life.job or Job(), result=event.result) if event.result else life.job
    return _end_by_itself(replace(life, job=job), now, why, waits_for=_POWER_OFF)


@_answer.register
def _(event: Confirmed, life: Life, now: datetime) -> Step:
    if event.busy and life.stage is not Stage.RETIRING:
        reason = "GitHub says that it runs a job"
        return _forward(
            replace(life, job=life.job or Job()), now, Stage.BUSY, reason, Effect.RECORD
        )
    if life.stage is Stage.IDLE and _was_kept(life, now):
        settled = replace(life, refusals=0, retire_after=None, reason=_ONLINE)
        return Step(_watched(settled))
    # One whose signal was lost has not been recorded.
    effects = () if life.stage is Stage.READY else (Effect.RECORD,)
    return _forward(_watched(life), now, Stage.IDLE, _ONLINE, *effects)


@_answer.register
def _(event: RegistrationFound, life: Life, now: datetime) -> Step:
    if life.runner_id is not None or life.stage in STARTING or life.stage in ENDING:
        return Step(life)
    known = replace(life, runner_id=event.runner_id, ordered_away="")
    if life.ordered_away:
        return _retire(known, now, life.ordered_away)
    return Step(known)


@_answer.register
def _(_event: RegistrationVanished, life: Life, now: datetime) -> Step:
    if life.stage not in AVAILABLE:
        return Step(life)
    reason = "GitHub does not know it any more"
    # A list can miss one while its pages are turned; asked for this one, GitHub is sure.
    if life.runner_id is None:
        return _fail(life, now, reason, Cause.VANISHED)
    return _retire_failed(life, now, reason, Cause.VANISHED)


@_answer.register
def _(event: WentOffline, life: Life, now: datetime) -> Step:
    if life.stage not in AVAILABLE:
        return Step(life)
    return _retire_failed(life, now, event.reason, Cause.OFFLINE)


@_answer.register
def _(event: JobLost, life: Life, now: datetime) -> Step:
    if life.stage is not Stage.BUSY:
        return Step(life)
    if event.registered:
        known = _watched(replace(life, job=None, job_began_at=None))
        return _move(known, now, Stage.IDLE, "GitHub says that it waits for a job", Effect.RECORD)
    return _finish(life, now, "GitHub says that its job is over", waits_for=_POWER_OFF)


@_answer.register
def _(_event: InstanceStopped, life: Life, now: datetime) -> Step:
    if life.stage in ENDING:
        return Step(life)
    return _end_by_itself(life, now, f"stopped while {life.stage}", waits_for="LXD")


@_answer.register
def _(_event: FoundStopped, life: Life, now: datetime) -> Step:
    if life.stage in STARTING or life.stage is Stage.FAILED:
        return Step(life)
    if life.stage is Stage.FINISHED:
        return Step(life, (Effect.REMOVE,))
    why = f"stopped while {life.stage}"
    return _end_by_itself(life, now, why, Effect.SAVE_LOGS, Effect.REMOVE)


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
    known = _end_early(life)
    reason = (life.stage is Stage.FINISHED and life.ended_for) or life.reason
    return _move(known, now, Stage.DELETED, reason, *leave, Effect.END, cause=life.cause)


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
    return _move(known, now, Stage.FAILED, reason, cause=cause, ended_for=ended_for)


@_answer.register
def _(_event: Unregistered, life: Life, now: datetime) -> Step:
    known = replace(life, runner_id=None)
    if life.stage is Stage.RETIRING:
        if life.failed_in:
            effects = (Effect.SAVE_LOGS, Effect.REMOVE)
            return _move(known, now, Stage.FAILED, life.reason, *effects, cause=life.cause)
        return _move(known, now, Stage.FINISHED, life.reason, Effect.REMOVE)
    if life.stage is Stage.BOOTING or life.stage in AVAILABLE:
        # The answer to an earlier wish to let it go has come late: it can't get a job any more.
        return _move(known, now, Stage.FINISHED, "was let go", Effect.REMOVE)
    return Step(life)


@_answer.register
def _(event: UnregistrationRefused, life: Life, now: datetime) -> Step:
    if life.stage is not Stage.RETIRING:
        return Step(life)
    if event.busy:
        known = replace(life, job=life.job or Job(), failed_in=None)
        return _move(known, now, Stage.BUSY, "GitHub says that it runs a job", Effect.RECORD)
    if event.for_good and _surely_runs_no_job(life, now):
        reason = f"was let go without GitHub, as it has reported no job: {event.reason}"
        return _move(replace(life, runner_id=None), now, Stage.FINISHED, reason, Effect.REMOVE)
    staying = _stay(life, now, event.reason)
    return replace(staying, effects=(Effect.INSPECT,)) if event.for_good else staying


@_answer.register
def _(event: Failed, life: Life, now: datetime) -> Step:
    if life.stage is Stage.FINISHED:
        return Step(life)
    return _fail(life, now, event.reason, event.cause)


@_answer.register
def _(event: StartFailed, life: Life, now: datetime) -> Step:
    if life.stage not in STARTING:
        # It has been heard of since, from LXD or its guest: it did start.
        return Step(life)
    if event.certain or life.runner_id is None:
        return _fail(life, now, event.reason, event.cause)
    return _as_if_booting(_retire_failed(life, now, event.reason, event.cause))


@_answer.register
def _(event: LimitPassed, life: Life, now: datetime) -> Step:
    if event.stage is not life.stage:
        return Step(life)  # an alarm that rang for a stage already left
    if life.stage is Stage.FAILED:
        return Step(life, (Effect.REMOVE,))
    if life.stage is Stage.RETIRING:
        return _stay(life, now, "GitHub did not answer")
    reason = f"took too long: {life.reason or f'was {life.stage}'}"
    if life.stage is Stage.BUSY or life.runner_id is None:
        return _fail(life, now, reason, Cause.TIMED_OUT)
    # Its signals may have been lost and a job may run, or its last logs may be on their way: GitHub
    # knows.
    retiring = _retire_failed(life, now, reason, Cause.TIMED_OUT)
    return _as_if_booting(retiring) if life.stage is Stage.CREATING else retiring


@_answer.register
def _(event: DeletionOrdered, life: Life, now: datetime) -> Step:
    if life.stage in ENDING and not (event.force and life.stage is Stage.RETIRING):
        return Step(life)
    if life.stage is Stage.BUSY and not event.force:
        return Step(life)
    if event.force or life.stage is Stage.REQUESTED:
        return _remove(life, now, event.reason)
    if life.runner_id is None:
        # Taken over without its number, it may be at work: GitHub's list will tell.
        reason = "is let go when GitHub has shown its registration"
        later = now + _FIRST_RETIRE_DELAY
        ordered_away = event.reason if event.stands else life.ordered_away
        waiting = replace(life, reason=reason, retire_after=later, ordered_away=ordered_away)
        return Step(waiting)
    retiring = _retire(life, now, event.reason)
    return _as_if_booting(retiring) if life.stage is Stage.CREATING else retiring
