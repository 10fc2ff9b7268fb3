"""Records of one runner and of reconciles, for tests of the journal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from supervisor.lifecycle import Job
from supervisor.observation.feed import Kind, Record

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
JOB = Job("acme/demo", "CI", "7", "push", "build", "")
NAME = "fleet-a"


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def step(seconds: float, before: str, state: str, reason: str = "", **details: Any) -> Record:
    """Have the runner come to a stage; where that is `busy` its guest tells of it then."""
    if state == "busy" and before:
        details = {"job_s": 0.0, **details}
    return Record(
        at(seconds), Kind.RUNNER, NAME, state, before, reason, details={"job": None, **details}
    )


def waited(seconds: float, queue_s: float) -> Record:
    return Record(at(seconds), Kind.JOB, NAME, "success", details={"queue_s": queue_s})


def reconcile(seconds: float, reason: str = "", *, runners: Iterable[str] = ()) -> Record:
    """Have one done that has found these runners."""
    details = {
        "wanted": 1, "idle": 1, "active": 0, "failed": 0, "duration_s": 0.1,
    }  # fmt: skip
    return Record(
        at(seconds),
        Kind.RECONCILE,
        "fleet",
        "done",
        reason=reason,
        details=details,
        runners=frozenset(runners),
    )
