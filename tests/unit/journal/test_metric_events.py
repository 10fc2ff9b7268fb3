"""Metric events have the names and fields that others query."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from journal_records import JOB, NOW, at, step

from supervisor.journal.courses import Course
from supervisor.journal.digest import Digest
from supervisor.journal.metric_events import of_course, of_reconcile
from supervisor.observation.feed import Kind, Record

Steps = list[tuple[float, str, dict[str, Any]]]
WORK: dict[str, Any] = {"job": asdict(JOB)}
LIFE: Steps = [
    (0, "requested", {}), (3, "booting", {}), (30, "ready", {}), (35, "idle", {}),
    (90, "busy", WORK), (150, "finished", WORK), (155, "deleted", WORK),
]  # fmt: skip


def told(steps: Steps, *, verdict: str = "") -> list[dict[str, Any]]:
    digest, before, events = Digest("fleet"), "", []
    for seconds, state, details in steps:
        records = [step(seconds, before, state, **details)]
        if verdict and state == "busy":
            records.append(Record(at(seconds), Kind.DECISION, records[0].subject, verdict))
        for record in records:
            events += digest.metric_events(digest.take(record), 0.0)
        before = state
    return events + digest.rest()


def test_a_runner_is_installed_starts_its_job_and_stops() -> None:
    start = NOW.timestamp()
    assert told(LIFE) == [
        {"timestamp": start + 30, "event": "runner_installed", "flavor": "fleet", "duration": 30.0},
        {
            "timestamp": start + 90, "event": "runner_start", "flavor": "fleet", "workflow": "CI",
            "repo": "acme/demo", "github_event": "push", "idle": 60.0,
        },
        {
            "timestamp": start + 150, "event": "runner_stop", "flavor": "fleet", "workflow": "CI",
            "repo": "acme/demo", "github_event": "push", "status": "normal", "job_duration": 60.0,
        },
    ]  # fmt: skip


def test_a_jobs_result_is_told_in_githubs_words() -> None:
    for result, conclusion in (("Succeeded", "success"), ("Failed", "failure"), ("Odd", "odd")):
        ended = {"job": asdict(replace(JOB, result=result))}
        (stop,) = told([*LIFE[:-1], (155, "deleted", ended)])[-1:]
        assert (stop["event"], stop["job_conclusion"]) == ("runner_stop", conclusion)


def test_a_job_that_the_policy_refused_says_so() -> None:
    stop = told(LIFE, verdict="refused")[-1]
    assert (stop["status"], stop["status_info"]) == ("repo-policy-check-failure", {"code": 403})
    assert told(LIFE, verdict="error")[-1]["status_info"] == {"code": 500}
    assert told(LIFE, verdict="allowed")[-1]["status"] == "normal"


def test_a_runner_that_failed_at_work_stops_abnormally() -> None:
    steps = [*LIFE[:-2], (150, "failed", WORK), (155, "deleted", WORK)]
    assert told(steps)[-1]["status"] == "abnormal"


def test_a_runner_without_a_job_is_only_installed() -> None:
    steps: Steps = [*LIFE[:4], (90, "retiring", {}), (95, "deleted", {})]
    assert [event["event"] for event in told(steps)] == ["runner_installed"]


def test_a_start_says_how_long_the_job_had_waited_once_that_is_known() -> None:
    start = NOW.timestamp()
    moments = {"started_at": at(90), "ended_at": at(155)}
    (event, _) = of_course("fleet", Course("a", **moments, outcome="done", queue_s=2.5))
    assert (event["event"], event["timestamp"]) == ("runner_start", start + 90)
    assert event["queue_duration"] == 2.5


def test_of_a_runner_that_ended_unseen_only_the_start_of_its_job_is_known() -> None:
    course = Course("a", started_at=at(90), ended_at=at(155), outcome="gone")
    assert [event["event"] for event in of_course("fleet", course)] == ["runner_start"]


def test_of_a_runner_that_ended_unseen_a_stop_is_told_where_it_is_known_how_its_job_ended() -> None:
    course = Course("a", ended_at=at(155), outcome="gone", job=replace(JOB, result="Failed"))
    (stop,) = of_course("fleet", course)
    assert stop == {
        "timestamp": NOW.timestamp() + 155, "event": "runner_stop", "flavor": "fleet",
        "workflow": "CI", "repo": "acme/demo", "github_event": "push", "status": "normal",
        "job_conclusion": "failure",
    }  # fmt: skip


def test_of_a_job_whose_beginning_is_not_known_no_beginning_and_no_duration_is_told() -> None:
    unheard = {**WORK, "job_s": None}
    told_of = told([*LIFE[:4], (90, "busy", unheard), *LIFE[5:]])
    assert [event["event"] for event in told_of] == ["runner_installed", "runner_stop"]
    assert told_of[-1] == {
        "timestamp": NOW.timestamp() + 150, "event": "runner_stop", "flavor": "fleet",
        "workflow": "CI", "repo": "acme/demo", "github_event": "push", "status": "normal",
    }  # fmt: skip


def test_how_long_one_had_waited_is_left_out_where_its_ready_signal_was_lost() -> None:
    start, stop = told([*LIFE[:2], *LIFE[4:]])
    assert (start["event"], "idle" in start) == ("runner_start", False)
    assert stop["job_duration"] == 60.0


def test_what_an_earlier_daemon_has_told_is_not_told_again() -> None:
    seen = {"adopted": True, "since": at(0).isoformat(), **WORK}
    assert told([(10, "busy", seen), (60, "finished", WORK)]) == []


def test_a_reconciliation_is_told_with_its_numbers() -> None:
    details = {"wanted": 5, "idle": 2, "active": 1, "failed": 3, "duration_s": 0.25}
    record = Record(NOW, Kind.RECONCILE, "fleet", "done", details=details)
    assert of_reconcile("fleet", record) == [
        {
            "timestamp": NOW.timestamp(), "event": "reconciliation", "flavor": "fleet",
            "crashed_runners": 3, "idle_runners": 2, "active_runners": 1, "expected_runners": 5,
            "duration": 0.25,
        }
    ]  # fmt: skip
