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
    JobStarted,
    LimitPassed,
    Registered,
    RegistrationFound,
    RegistrationVanished,
    RemovalFailed,
    StartFailed,
    Unregistered,
    UnregistrationRefused,
)
from supervisor.lifecycle.life import AVAILABLE, ENDING, STARTING, Job, Life, Seen, Stage

_FIRST_RETIRE_DELAY = timedelta(seconds=15)
_LONGEST_RETIRE_DELAY = timedelta(minutes=10)

_ORDER = {
    stage: position
    for position, stage in enumerate(
        (Stage.REQUESTED, Stage.CREATING, Stage.BOOTING, Stage.READY, Stage.IDLE, Stage.BUSY)
    )
}


class Effect(Enum):
    """What the runner's actor shall do next.

    Those that concern the instance (create, start, record, remove) are done one after another, so
    that a removal never overtakes a creation that is under way.
    """

    REGISTER = "ask GitHub for a just-in-time configuration"
    CREATE = "create the instance"
    START = "start the instance"
    RECORD = "write stage and job into the instance's configuration, take the secrets out"
    UNREGISTER = "delete the registration on GitHub"
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
    life = Life(Stage.BOOTING, now, "taken over", seen.runner_id, seen.job)
    if not seen.running:
        return _fail(life, now, "was found stopped")
    recorded = {str(Stage.BUSY): Stage.BUSY, str(Stage.READY): Stage.READY}.get(seen.stage)
    if recorded is None:
        return Step(life)
    effects = (Effect.RECORD,) if seen.holds_secrets else ()
    return Step(replace(life, stage=recorded), effects)


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


def _move(life: Life, now: datetime, stage: Stage, reason: str, *effects: Effect) -> Step:
    return Step(replace(life, stage=stage, since=now, reason=reason), effects)


def _forward(life: Life, now: datetime, stage: Stage, reason: str, *effects: Effect) -> Step:
    """Move on to `stage`, unless the runner is there, further on, or on its way out."""
    if _ORDER.get(life.stage, len(_ORDER)) >= _ORDER[stage]:
        return Step(life)
    return _move(life, now, stage, reason, *effects)


def _fail(life: Life, now: datetime, reason: str) -> Step:
    if life.stage is Stage.FAILED:
        return Step(life)
    effects = (Effect.REMOVE,) if life.runner_id is None else (Effect.REMOVE, Effect.UNREGISTER)
    return _move(life, now, Stage.FAILED, reason, *effects)


def _retire(life: Life, now: datetime, reason: str) -> Step:
    """Let go through GitHub, which decides the race with a job: it keeps a busy runner."""
    known = replace(life, retired_from=life.stage)
    return _move(known, now, Stage.RETIRING, reason, Effect.UNREGISTER)


def _stay(life: Life, now: datetime, reason: str) -> Step:
    """Go back to where it was when it was to be let go; it is tried again ever more seldom."""
    delay = min(_FIRST_RETIRE_DELAY * 2 ** min(life.refusals, 20), _LONGEST_RETIRE_DELAY)
    known = replace(life, refusals=life.refusals + 1, retire_after=now + delay)
    return _move(known, now, life.retired_from, f"could not be retired: {reason}")


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
    return _forward(life, now, Stage.READY, reason, Effect.RECORD)


@_answer.register
def _(event: JobStarted, life: Life, now: datetime) -> Step:
    known = replace(life, job=event.job)
    if life.stage is Stage.RETIRING:
        return _move(known, now, Stage.BUSY, "took a job while being retired", Effect.RECORD)
    if life.stage is Stage.BUSY and life.job in {None, Job()}:
        return Step(known, (Effect.RECORD,))  # GitHub's list was faster than the guest's signal
    return _forward(known, now, Stage.BUSY, "runs its job", Effect.RECORD)


@_answer.register
def _(_event: JobFinished, life: Life, now: datetime) -> Step:
    if life.stage in ENDING:
        return Step(life)
    return _move(life, now, Stage.FINISHED, "its job ended; waits for the guest to power off")


@_answer.register
def _(event: GuestFinished, life: Life, now: datetime) -> Step:
    if life.stage in ENDING:
        return Step(life)
    code = f" with exit code {event.exit_code}" if event.exit_code else ""
    reason = f"the runner application ended{code}; waits for the guest to power off"
    return _move(life, now, Stage.FINISHED, reason)


@_answer.register
def _(event: Confirmed, life: Life, now: datetime) -> Step:
    if event.busy and life.stage is not Stage.RETIRING:
        reason = "GitHub says that it runs a job"
        return _forward(
            replace(life, job=life.job or Job()), now, Stage.BUSY, reason, Effect.RECORD
        )
    # One whose signal was lost has not been recorded.
    effects = () if life.stage is Stage.READY else (Effect.RECORD,)
    return _forward(life, now, Stage.IDLE, "online; waits for a job", *effects)


@_answer.register
def _(event: RegistrationFound, life: Life, now: datetime) -> Step:
    if life.runner_id is not None or life.stage in STARTING or life.stage in ENDING:
        return Step(life)
    return Step(replace(life, runner_id=event.runner_id))


@_answer.register
def _(_event: RegistrationVanished, life: Life, now: datetime) -> Step:
    if life.stage not in AVAILABLE:
        return Step(life)
    reason = "GitHub does not know it any more"
    # A list can miss one while its pages are turned; asked for this one, GitHub is sure.
    return _fail(life, now, reason) if life.runner_id is None else _retire(life, now, reason)


@_answer.register
def _(event: JobLost, life: Life, now: datetime) -> Step:
    if life.stage is not Stage.BUSY:
        return Step(life)
    if event.registered:
        known = replace(life, job=None)
        return _move(known, now, Stage.IDLE, "GitHub says that it waits for a job", Effect.RECORD)
    reason = "GitHub says that its job is over; waits for the guest to power off"
    return _move(life, now, Stage.FINISHED, reason)


@_answer.register
def _(_event: InstanceStopped, life: Life, now: datetime) -> Step:
    if life.stage in ENDING:
        return Step(life)
    return _move(life, now, Stage.FINISHED, f"stopped while {life.stage}; waits for LXD")


@_answer.register
def _(_event: FoundStopped, life: Life, now: datetime) -> Step:
    if life.stage in STARTING or life.stage is Stage.FAILED:
        return Step(life)
    if life.stage is Stage.FINISHED:
        return Step(life, (Effect.REMOVE,))
    return _move(life, now, Stage.FINISHED, f"stopped while {life.stage}", Effect.REMOVE)


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
    return _move(life, now, Stage.DELETED, life.reason, *leave, Effect.END)


@_answer.register
def _(event: RemovalFailed, life: Life, now: datetime) -> Step:
    if life.stage not in ENDING:
        return Step(life)
    reason = f"{life.reason.split('; removal failed')[0]}; removal failed: {event.reason}"
    known = replace(life, removal_failures=life.removal_failures + 1)
    if life.stage is Stage.FAILED:
        return Step(replace(known, reason=reason))
    return _move(known, now, Stage.FAILED, reason)


@_answer.register
def _(_event: Unregistered, life: Life, now: datetime) -> Step:
    known = replace(life, runner_id=None)
    if life.stage is Stage.RETIRING:
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
        known = replace(life, job=life.job or Job())
        return _move(known, now, Stage.BUSY, "GitHub says that it runs a job", Effect.RECORD)
    return _stay(life, now, event.reason)


@_answer.register
def _(event: Failed, life: Life, now: datetime) -> Step:
    return Step(life) if life.stage is Stage.FINISHED else _fail(life, now, event.reason)


@_answer.register
def _(event: StartFailed, life: Life, now: datetime) -> Step:
    if life.stage in STARTING:
        return _fail(life, now, event.reason)
    # It has been heard of since, from LXD or its guest: it did start.
    return Step(life)


@_answer.register
def _(event: LimitPassed, life: Life, now: datetime) -> Step:
    if event.stage is not life.stage:
        return Step(life)  # an alarm that rang for a stage already left
    if life.stage is Stage.FAILED:
        return Step(life, (Effect.REMOVE,))
    if life.stage is Stage.RETIRING:
        return _stay(life, now, "GitHub did not answer")
    reason = f"took too long: {life.reason or f'was {life.stage}'}"
    if life.stage in {Stage.BOOTING, Stage.FINISHED} and life.runner_id is not None:
        # Its signals may have been lost and a job may run, or its last logs may be on their way:
        # GitHub knows.
        return _retire(life, now, reason)
    return _fail(life, now, reason)


@_answer.register
def _(event: DeletionOrdered, life: Life, now: datetime) -> Step:
    if life.stage in ENDING and not (event.force and life.stage is Stage.RETIRING):
        return Step(life)
    if event.force:
        return _fail(life, now, event.reason)
    if life.stage is Stage.BUSY:
        return Step(life)
    if life.stage in STARTING:
        return _fail(life, now, event.reason)
    if life.runner_id is None:
        # Taken over without its number, it may be at work: GitHub's list will tell.
        reason = "is let go when GitHub has shown its registration"
        later = now + _FIRST_RETIRE_DELAY
        return Step(replace(life, reason=reason, retire_after=later))
    return _retire(life, now, event.reason)
