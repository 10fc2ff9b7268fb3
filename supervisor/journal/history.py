"""What is told of past runners and their jobs: each, and how long things take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from supervisor.journal.courses import Course
from supervisor.lifecycle import Job

PERCENTS = (50, 90, 99)


@dataclass(frozen=True)
class Percentiles:
    """How many seconds the middle one, nine of ten and 99 of 100 took at most; each is one of them.

    None where there are none.
    """

    p50: float | None
    p90: float | None
    p99: float | None
    count: int

    def as_json(self) -> dict[str, float | int | None]:
        """Give them as the control API does."""
        known = {"p50": self.p50, "p90": self.p90, "p99": self.p99}
        return {**{name: _round(value) for name, value in known.items()}, "count": self.count}


NOTHING = Percentiles(None, None, None, 0)


@dataclass(frozen=True)
class History:
    """What was found.

    Attributes:
        jobs: the courses of runners that had one, the newest first.
        runners: all courses likewise.
        percentiles: how long things took, of all that were chosen, also where fewer are listed.
    """

    jobs: Sequence[Course] = ()
    runners: Sequence[Course] = ()
    percentiles: Mapping[str, Percentiles] = field(
        default_factory=lambda: dict.fromkeys(("install_s", "idle_s", "job_s", "queue_s"), NOTHING)
    )

    def as_json(self) -> dict[str, Any]:
        """Give it as the control API does."""
        return {
            "jobs": [_job(course, course.job) for course in self.jobs if course.job],
            "runners": [_runner(course) for course in self.runners],
            "percentiles": {name: one.as_json() for name, one in self.percentiles.items()},
        }


def rank(percent: int, count: int) -> int:
    """Say which of so many, in order and counted from 1, that many of a hundred are at most."""
    return -(-count * percent // 100)


def _job(course: Course, job: Job) -> dict[str, Any]:
    return {
        "runner": course.name,
        "repository": job.repository,
        "workflow": job.workflow,
        "event": job.event,
        "run_id": job.run_id,
        "name": job.name,
        "result": job.result,
        "runs": course.is_at_work,
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
