"""The ways that a life can go on: each from the life until now to the next step.

Which of them an event leads to is decided in `answers`.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from supervisor.causes import Cause
from supervisor.lifecycle.events import DeletionOrdered
from supervisor.lifecycle.life import AVAILABLE, UNUSED, Life, Stage
from supervisor.lifecycle.steps import Effect, Step
from supervisor.throttling.waits import doubled

_FIRST_RETIRE_DELAY = timedelta(seconds=15)
_LONGEST_RETIRE_DELAY = timedelta(minutes=10)

_ORDER = {
    stage: position
    for position, stage in enumerate(
        (Stage.REQUESTED, Stage.CREATING, Stage.BOOTING, Stage.READY, Stage.IDLE, Stage.BUSY)
    )
}


def move(
    life: Life,
    now: datetime,
    stage: Stage,
    reason: str,
    *effects: Effect,
    cause: Cause = Cause.UNKNOWN,
    ended_for: str = "",
) -> Step:
    """Come to another stage, or stay at the same one for another reason."""
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


def forward(life: Life, now: datetime, stage: Stage, reason: str, *effects: Effect) -> Step:
    """Move on to `stage`, unless the runner is there, further on, or on its way out."""
    if _ORDER.get(life.stage, len(_ORDER)) >= _ORDER[stage]:
        return Step(life)
    return move(life, now, stage, reason, *effects)


def fail(life: Life, now: datetime, reason: str, cause: Cause) -> Step:
    """Have it failed, once: its instance and its registration are removed."""
    if life.stage is Stage.FAILED:
        return Step(life)
    # Without its configuration it has no instance yet, and so nothing to tell.
    save = () if life.stage is Stage.REQUESTED else (Effect.SAVE_LOGS,)
    leave = () if life.runner_id is None else (Effect.UNREGISTER,)
    known = replace(life, failed_in=life.failed_in or life.stage)
    return move(known, now, Stage.FAILED, reason, *save, Effect.REMOVE, *leave, cause=cause)


def remove(life: Life, now: datetime, reason: str) -> Step:
    """End it at once, because it was ordered: that is no failure."""
    leave = () if life.runner_id is None else (Effect.UNREGISTER,)
    known = replace(life, failed_in=None)
    return move(known, now, Stage.FINISHED, reason, Effect.REMOVE, *leave)


def retire(life: Life, now: datetime, reason: str) -> Step:
    """Let go through GitHub, which decides the race with a job: it keeps a busy runner."""
    known = replace(life, retired_from=life.stage, failed_in=None)
    return move(known, now, Stage.RETIRING, reason, Effect.UNREGISTER)


def retire_failed(life: Life, now: datetime, reason: str, cause: Cause) -> Step:
    """Let go in the same way what has failed, unless GitHub knows better."""
    retiring = retire(life, now, reason)
    return replace(retiring, life=replace(retiring.life, failed_in=life.stage, cause=cause))


def as_if_booting(retiring: Step) -> Step:
    """Let GitHub know of one that LXD may be starting: it may have a job before it is removed."""
    return replace(retiring, life=replace(retiring.life, retired_from=Stage.BOOTING))


def _is_early(life: Life) -> bool:
    """Tell whether an end now is one before it had a job."""
    return life.stage in UNUSED and life.job is None


def end_early(life: Life) -> Life:
    """Note in which stage it ended, if that is before it had a job."""
    return replace(life, failed_in=life.stage) if _is_early(life) else life


def finish(
    life: Life,
    now: datetime,
    why: str,
    *effects: Effect,
    waits_for: str = "",
    cause: Cause = Cause.UNKNOWN,
) -> Step:
    """Have it be over; what it waits for is no reason any more when it is gone."""
    reason = f"{why}; waits for {waits_for}" if waits_for else why
    return move(life, now, Stage.FINISHED, reason, *effects, cause=cause, ended_for=why)


def end_by_itself(
    life: Life, now: datetime, why: str, *effects: Effect, waits_for: str = ""
) -> Step:
    """Note that it has ended without an order, which before it had a job is a failure."""
    cause = Cause.STOPPED if _is_early(life) else Cause.UNKNOWN
    return finish(end_early(life), now, why, *effects, waits_for=waits_for, cause=cause)


def stay(life: Life, now: datetime, reason: str) -> Step:
    """Go back to where it was when it was to be let go; it is tried again ever more seldom."""
    refusals = life.refusals + 1
    delay = doubled(_FIRST_RETIRE_DELAY, refusals, _LONGEST_RETIRE_DELAY)
    known = replace(life, refusals=refusals, retire_after=now + delay, failed_in=None)
    return move(known, now, life.retired_from, f"could not be retired: {reason}")


def wait_for_number(life: Life, now: datetime, order: DeletionOrdered) -> Step:
    """Let go of one that was taken over without its number when GitHub's list has shown it.

    Until then it may be at work, which only GitHub can tell.
    """
    reason = "is let go when GitHub has shown its registration"
    ordered_away = order.reason if order.stands else life.ordered_away
    later = now + _FIRST_RETIRE_DELAY
    return Step(replace(life, reason=reason, retire_after=later, ordered_away=ordered_away))
