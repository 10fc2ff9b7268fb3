"""What is told of past runners and their jobs: each, and how long things take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from supervisor.journal.courses import Course

_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass(frozen=True)
class History:
    """The courses that were asked for.

    Attributes:
        courses: of runners, the newest first.
        limit: how many runners and how many jobs are listed; the percentiles are of all.
    """

    courses: Sequence[Course]
    limit: int

    def as_json(self) -> dict[str, Any]:
        """Give it as the control API does."""
        worked = [course for course in self.courses if course.job]
        return {
            "jobs": [_job(course) for course in worked[: self.limit]],
            "runners": [_runner(course) for course in self.courses[: self.limit]],
            "percentiles": {
                "install_s": percentiles(course.install_s for course in self.courses),
                "idle_s": percentiles(course.idle_s for course in worked),
                "job_s": percentiles(course.job_s for course in worked),
                "queue_s": percentiles(course.queue_s for course in worked),
            },
        }


def percentiles(durations: Iterable[float | None]) -> dict[str, float | int | None]:
    """Say how long the middle one, nine of ten and 99 of 100 took at most.

    Each is one of the durations (nearest rank); None where there are none.
    """
    known = sorted(one for one in durations if one is not None)
    found: dict[str, float | int | None] = {
        name: _round(known[math.ceil(share * len(known)) - 1]) if known else None
        for name, share in _SHARES.items()
    }
    return {**found, "count": len(known)}


def _job(course: Course) -> dict[str, Any]:
    job = course.job
    assert job is not None  # noqa: S101 - the others are left out
    return {
        "runner": course.name,
        "repository": job.repository,
        "workflow": job.workflow,
        "event": job.event,
        "run_id": job.run_id,
        "name": job.name,
        "result": job.result,
        "started_at": _text(course.started_at),
        "ended_at": _text(course.finished_at),
        "idle_s": _round(course.idle_s),
        "job_s": _round(course.job_s),
        "queue_s": _round(course.queue_s),
    }


def _runner(course: Course) -> dict[str, Any]:
    return {
        "name": course.name,
        "created_at": _text(course.created_at),
        "ended_at": _text(course.ended_at),
        "install_s": _round(course.install_s),
        "idle_s": _round(course.idle_s),
        "job_s": _round(course.job_s),
        "outcome": course.outcome,
        "reason": course.reason,
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
