"""Metric events by the names and fields of the GitHub runner charm, for queries that know them.

https://github.com/canonical/github-runner-operator, github_runner_manager/metrics/events.py.
A field that is not known is left out, as there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from supervisor.journal.courses import FAILED, GONE, Course
from supervisor.lifecycle import Job
from supervisor.lifecycle.results import conclusion_of
from supervisor.observation.feed import Record

_REFUSALS = {"refused": 403, "error": 500}
"""What the policy service answers a guest, by what is told of the decision."""


def of_arrival(flavor: str, course: Course) -> list[dict[str, Any]]:
    """Make the metric events of a runner that can take a job; none where it never could.

    Args:
        flavor: what the charm calls so: here the installation's name.
        course: the runner's.
    """
    if not course.installed_at:
        return []
    return [
        {
            "timestamp": course.installed_at.timestamp(),
            "event": "runner_installed",
            "flavor": flavor,
            "duration": course.install_s or 0.0,
        }
    ]


def of_reconcile(flavor: str, record: Record) -> list[dict[str, Any]]:
    """Make the metric events of a reconcile.

    Args:
        flavor: what the charm calls so: here the installation's name.
        record: of the reconcile.
    """
    details = record.details
    return [
        {
            "timestamp": record.at.timestamp(),
            "event": "reconciliation",
            "flavor": flavor,
            "crashed_runners": details["failed"],
            "idle_runners": details["idle"],
            "active_runners": details["active"],
            "expected_runners": details["wanted"],
            "duration": details["duration_s"],
        }
    ]


def of_course(flavor: str, course: Course) -> list[dict[str, Any]]:
    """Make the metric events of a job, once its runner has ended; none if it has had none.

    Of one whose runner's end nobody has seen that it is over is known where it is known how.

    Args:
        flavor: what the charm calls so: here the installation's name.
        course: the runner's, as it has ended.
    """
    told = [_start(flavor, course, course.started_at)] if course.started_at else []
    had_job = course.job or course.started_at
    ended_at = course.finished_at or course.ended_at
    is_over = course.outcome != GONE or (course.job is not None and course.job.result)
    if had_job and ended_at and is_over:
        told.append(_stop(flavor, course, ended_at))
    return told


def _start(flavor: str, course: Course, at: datetime) -> dict[str, Any]:
    return {
        "timestamp": at.timestamp(),
        "event": "runner_start",
        "flavor": flavor,
        **_job(course),
        **_known("idle", course.idle_s),
        **_known("queue_duration", course.queue_s),
    }


def _stop(flavor: str, course: Course, at: datetime) -> dict[str, Any]:
    job = course.job or Job()
    event: dict[str, Any] = {
        "timestamp": at.timestamp(),
        "event": "runner_stop",
        "flavor": flavor,
        **_job(course),
        "status": "normal",
        **_known("job_duration", course.job_s),
    }
    if code := _REFUSALS.get(course.verdict):
        event |= {"status": "repo-policy-check-failure", "status_info": {"code": code}}
    elif course.outcome == FAILED:
        event["status"] = "abnormal"
    if job.result:
        event["job_conclusion"] = conclusion_of(job.result)
    return event


def _known(field: str, seconds: float | None) -> dict[str, float]:
    return {} if seconds is None else {field: seconds}


def _job(course: Course) -> dict[str, str]:
    job = course.job or Job()
    return {"workflow": job.workflow, "repo": job.repository, "github_event": job.event}
