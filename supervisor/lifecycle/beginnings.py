"""How a runner's life begins: asked for anew, or taken over from what LXD shows."""

from dataclasses import replace
from datetime import datetime

from supervisor.causes import Cause
from supervisor.lifecycle.life import Job, Life, Seen, Stage
from supervisor.lifecycle.moves import end_by_itself, fail, move, remove
from supervisor.lifecycle.steps import Effect, Step


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
    if not seen.running:
        return _end_unheard(life, seen, now)
    recorded = {str(Stage.BUSY): Stage.BUSY, str(Stage.READY): Stage.READY}.get(seen.stage)
    if recorded is None:
        return Step(life)
    effects = (Effect.RECORD,) if seen.holds_secrets else ()
    since = min(seen.since or now, now)
    if recorded is Stage.BUSY and seen.since and seen.job and seen.job.is_told():
        life = replace(life, job_began_at=since)
    return move(life, since, recorded, "taken over", *effects)


def _end_unheard(life: Life, seen: Seen, now: datetime) -> Step:
    """End one that stands still, and may have ended while nobody listened."""
    if not seen.started:
        # Nothing has failed: whoever was to start it has ended, or crashed, in between.
        return remove(life, now, "was made and never started")
    if seen.stage != Stage.BUSY:
        return _fail_unheard(life, now, "was found stopped")
    at_work = replace(life, job=seen.job or Job())
    if not seen.stop_noticed:
        return _fail_unheard(at_work, now, "stopped while busy, with its host or LXD down")
    # Most likely its job is over, as when somebody listens. How that ended, and when, its guest has
    # told nobody.
    leave = () if life.runner_id is None else (Effect.UNREGISTER,)
    effects = (Effect.SAVE_LOGS, Effect.REMOVE, *leave)
    return end_by_itself(at_work, now, "stopped while busy, as nobody listened", *effects)


def _fail_unheard(life: Life, now: datetime, reason: str) -> Step:
    """Have one failed that something ended before our time: of runners made now it says nothing."""
    failed = fail(life, now, reason, Cause.STOPPED)
    return replace(failed, life=replace(failed.life, failed_in=None))
