"""What the feed is told of runners, actors, orders, reconciles, decisions and jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from supervisor.lifecycle import AVAILABLE, Life, Stage
from supervisor.observation.feed import Kind, Record
from supervisor.policy.limits import ERROR, IN_LOG
from supervisor.runners.roster import Entry
from supervisor.supervision import Change
from supervisor.text import moments


def of_beginning(entry: Entry, now: datetime, *, adopted: bool) -> Record:
    """Tell that a runner was ordered, or taken over.

    Args:
        entry: what is known of it, as it is shown.
        now: the time.
        adopted: it was there before its actor.
    """
    life = entry.life
    made_at = entry.made_at.isoformat() if entry.made_at else None
    details = _details(entry)
    details |= {"adopted": adopted, "since": life.since.isoformat(), "made_at": made_at}
    if life.job_began_at:
        details["job_s"] = _seconds(life.job_began_at, now)
    if life.stage is Stage.FAILED:
        details["failed_in"] = _failed_in(life, None)
    return Record(now, Kind.RUNNER, entry.name, str(life.stage), "", life.reason, 0.0, details)


def of_step(entry: Entry, before: Life, now: datetime) -> Record | None:
    """Tell what has changed of a runner.

    Of one whose guest tells of its job also how long it had waited for that, and at its end how
    long that took. The moments of a life are the steady clock's: what lies between two is what has
    passed.

    Returns:
        None if it is nothing that is told.
    """
    life = entry.life
    stage, came_from = life.stage, before.stage
    if stage is not came_from:
        lasted_s = max(0.0, (life.since - before.since).total_seconds())
    elif _told(life) != _told(before):
        lasted_s = 0.0
    else:
        return None
    details = _details(entry)
    if stage is Stage.FAILED:
        details["failed_in"] = _failed_in(life, before)
    elif stage is Stage.DELETED and entry.made_at:
        details["lived_s"] = max(0.0, (life.since - entry.made_at).total_seconds())
    details |= _times(life, before)
    return Record(
        now,
        Kind.RUNNER,
        entry.name,
        str(stage),
        str(came_from),
        life.reason,
        lasted_s,
        details,
    )


def of_actor(change: Change) -> Record:
    """Tell of an actor's change, as the supervision has seen it."""
    return Record(
        change.at,
        Kind.ACTOR,
        change.id,
        change.state,
        change.before,
        change.reason,
        change.lasted_s,
        {"path": change.path},
    )


def of_order(subject: str, now: datetime, reason: str = "", **details: Any) -> Record:
    """Tell that an operator has ordered something."""
    return Record(now, Kind.ORDER, subject, "ordered", reason=reason, details=details)


def of_refusal(subject: str, now: datetime, reason: str) -> Record:
    """Tell that what an operator has ordered is not done."""
    return Record(now, Kind.ORDER, subject, "refused", reason=reason)


def of_reconcile(
    installation: str,
    now: datetime,
    *,
    runners: Mapping[str, Stage],
    wanted: int,
    failed: int,
    duration_s: float,
    trouble: str,
) -> Record:
    """Tell that both sides were compared.

    Args:
        installation: whose.
        now: the time.
        runners: the stages of all that are there, by their names.
        wanted: how many there should be.
        failed: how many have, since the one before.
        duration_s: how long it took.
        trouble: what could not be listed, and why.
    """
    stages = list(runners.values())
    details = {
        "wanted": wanted,
        "idle": sum(stage in AVAILABLE for stage in stages),
        "active": stages.count(Stage.BUSY),
        "failed": failed,
        "duration_s": round(duration_s, 3),
    }
    state = "incomplete" if trouble else "done"
    return Record(
        now,
        Kind.RECONCILE,
        installation,
        state,
        reason=trouble,
        details=details,
        runners=frozenset(runners),
    )


def of_decision(said: Mapping[str, Any]) -> Record | None:
    """Tell what was decided of a job, as the decisions' log says; None if it does not say when."""
    at = moments.read(str(said["time"]))
    if at is None:
        return None
    duration_ms = said["duration_ms"]
    details = {
        "repository": said["repository"],
        "event": said["event"],
        "seconds": None if duration_ms is None else duration_ms / 1000,
        "by": said.get("by", "service"),
    }
    verdict = str(said["verdict"])
    state = verdict if verdict in IN_LOG else ERROR
    return Record(at, Kind.DECISION, said["runner"], state, reason=said["reason"], details=details)


def of_job(
    runner: str,
    repository: str,
    run_id: int,
    conclusion: str,
    now: datetime,
    *,
    queued_at: datetime,
    started_at: datetime,
    queue_s: float,
) -> Record:
    """Tell what GitHub knows of a job.

    Args:
        runner: that had it.
        repository: whose it was.
        run_id: GitHub's number of its workflow run.
        conclusion: in GitHub's word; empty where that shows no end of it.
        now: the time.
        queued_at: when it began to wait.
        started_at: when its runner took it.
        queue_s: the seconds between them.
    """
    details = {
        "repository": repository,
        "run_id": run_id,
        "queued_at": queued_at.isoformat(),
        "started_at": started_at.isoformat(),
        "queue_s": queue_s,
    }
    reason = "" if conclusion else "GitHub shows no end of it"
    return Record(now, Kind.JOB, runner, conclusion, reason=reason, details=details)


def _told(life: Life) -> tuple[object, ...]:
    # For what of LXD one waits is no more than a step on the way, and there are many such records.
    reason = "" if life.stage is Stage.CREATING else life.reason
    return life.stage, reason, life.runner_id, life.job


def _details(entry: Entry) -> dict[str, Any]:
    life, job = entry.life, entry.life.job
    details: dict[str, Any] = {
        "generation": entry.generation,
        "runner_id": life.runner_id,
        "job": dict(vars(job)) if job else None,
    }
    if life.cause:
        details["cause"] = str(life.cause)
    return details


def _times(life: Life, before: Life) -> dict[str, float]:
    """Say how long its job has run by now, where that begins or ends, and how long it had waited.

    Nothing of a job of whose beginning its guest has not told.
    """
    began_at = life.job_began_at
    if began_at is None:
        return {}
    if before.job_began_at is None:
        waited = {"waited_s": _seconds(before.ready_at, began_at)} if before.ready_at else {}
        return {"job_s": 0.0, **waited}
    if before.stage is Stage.BUSY is not life.stage:
        return {"job_s": _seconds(began_at, life.since)}
    return {}


def _seconds(begin: datetime, end: datetime) -> float:
    return max(0.0, (end - begin).total_seconds())


def _failed_in(life: Life, before: Life | None) -> str:
    """Say in which stage one has failed; empty if that is not known."""
    came_from = before.stage if before and before.stage is not Stage.FAILED else ""
    return str(life.failed_in or came_from)
