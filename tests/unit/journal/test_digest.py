"""What is made of records, without a disk."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_records import JOB, NAME, at, reconcile, step, waited

from supervisor.journal.courses import Course
from supervisor.journal.digest import Change, Digest, unseen_end
from supervisor.lifecycle import Job
from supervisor.observation.awaited_jobs import PATIENCE_S, UNSEEN_PATIENCE_S
from supervisor.observation.feed import Kind, Record

WORK: dict[str, Any] = {"job": asdict(JOB)}
LIFE = [
    step(0, "", "requested"),
    step(3, "requested", "booting"),
    step(30, "booting", "ready"),
    step(35, "ready", "idle"),
    step(90, "idle", "busy", **WORK),
    Record(at(91), Kind.DECISION, NAME, "refused"),
    step(150, "busy", "finished", **WORK),
    step(155, "finished", "deleted", **WORK),
]
FAILURE = [
    *LIFE[:2],
    step(60, "booting", "failed", "did not start"),
    step(61, "failed", "deleted", "is gone"),
]
MISTAKEN = [*LIFE[:6], step(100, "busy", "idle"), step(200, "idle", "deleted")]


def digested(digest: Digest, *records: Record, elapsed_s: float = 0.0) -> list[str]:
    """Name the metric events of records."""
    told = [digest.metric_events(digest.take(record), elapsed_s) for record in records]
    return names(event for events in told for event in events)


def names(events: Any) -> list[str]:
    return [event["event"] for event in events]


def test_a_record_says_which_courses_it_has_changed() -> None:
    digest = Digest("fleet")
    (course,) = digest.take(LIFE[0]).courses
    assert (course.name, course.created_at) == (NAME, at(0))
    assert digest.take(reconcile(1, runners=[NAME])).courses == []


def test_a_jobs_events_come_with_what_github_tells_of_it() -> None:
    digest = Digest("fleet")
    assert digested(digest, *LIFE) == ["runner_installed"]
    start, stop = digest.metric_events(digest.take(waited(160, 12.0)), 0.0)
    assert (start["event"], start["queue_duration"]) == ("runner_start", 12.0)
    assert stop["event"] == "runner_stop"
    assert digest.rest() == []


def test_a_jobs_events_come_without_where_github_takes_too_long() -> None:
    digest = Digest("fleet")
    digested(digest, *LIFE, elapsed_s=7.0)
    assert digest.overdue(7.0 + PATIENCE_S - 0.001) == []
    assert names(digest.overdue(7.0 + PATIENCE_S)) == ["runner_start", "runner_stop"]
    assert digest.rest() == []


def left_at_work(digest: Digest) -> None:
    """Have an earlier daemon have left one at work whose end two reconciles do not find."""
    digest.recall([Course(NAME, stage="busy", started_at=at(0), job=JOB)], [])
    assert digested(digest, reconcile(40), reconcile(50)) == ["reconciliation"] * 2


def test_of_an_end_that_nobody_saw_a_stop_is_told_once_with_what_github_tells_of_it() -> None:
    digest = Digest("fleet")
    left_at_work(digest)
    assert names(digest.overdue(UNSEEN_PATIENCE_S - 1)) == []
    start, stop = digest.metric_events(digest.take(waited(60, 12.0)), 0.0)
    assert (start["event"], start["queue_duration"]) == ("runner_start", 12.0)
    assert (stop["event"], stop["job_conclusion"]) == ("runner_stop", "success")
    assert stop["timestamp"] == at(50).timestamp()  # when it was missed
    assert "job_duration" not in stop
    assert digested(digest, waited(61, 12.0), reconcile(70)) == ["reconciliation"]
    assert digest.rest() == []


@pytest.mark.parametrize("does_answer", [True, False])
def test_of_an_end_that_nobody_saw_and_github_does_not_tell_no_stop_is_told(
    does_answer: bool,
) -> None:
    digest = Digest("fleet")
    left_at_work(digest)
    if does_answer:
        told = digest.metric_events(digest.take(waited(60, 12.0)._replace(state="")), 0.0)
    else:
        told = digest.overdue(UNSEEN_PATIENCE_S)
    assert names(told) == ["runner_start"]
    assert digest.rest() == []


@pytest.mark.parametrize("result", ["", "Succeeded"])
def test_an_end_that_is_found_once_what_was_left_can_be_read_has_its_events_too(
    result: str,
) -> None:
    digest = Digest("fleet")
    early = [reconcile(40), reconcile(50)]
    digested(digest, *early)
    known = Course(NAME, stage="busy", started_at=at(0), job=replace(JOB, result=result))
    digest.recall([known], early)
    assert digest.overdue(0.0) == digest.overdue(UNSEEN_PATIENCE_S - 1) == []
    start, stop = digest.metric_events(digest.take(waited(60, 12.0)), 0.0)
    assert (start["queue_duration"], stop["job_conclusion"]) == (12.0, "success")
    assert stop["timestamp"] == at(50).timestamp()
    assert digest.rest() == []


def test_an_end_that_is_found_late_has_its_events_though_github_answers_at_once() -> None:
    digest = Digest("fleet")
    early = [reconcile(40), reconcile(50)]
    digest.recall([Course(NAME, stage="busy", started_at=at(0), job=JOB)], early)
    assert digested(digest, waited(60, 12.0)) == ["runner_start", "runner_stop"]
    digest.recall([Course(NAME, stage="busy", started_at=at(0), job=JOB)], early)
    assert names(digest.rest()) == ["runner_start"]


def test_an_end_that_is_found_late_is_waited_for_as_long_as_others() -> None:
    digest = Digest("fleet")
    early = [reconcile(40), reconcile(50)]
    digest.recall([Course(NAME, stage="busy", started_at=at(0), job=JOB)], early)
    assert digest.overdue(7.0) == digest.overdue(7.0 + UNSEEN_PATIENCE_S - 1) == []
    assert names(digest.overdue(7.0 + UNSEEN_PATIENCE_S)) == ["runner_start"]


def test_an_end_that_was_found_before_what_was_left_could_be_read_has_its_events_once() -> None:
    digest = Digest("fleet")
    early = [step(30, "", "busy", adopted=True, **WORK), reconcile(40), reconcile(50)]
    digested(digest, *early)
    digest.recall([Course(NAME, stage="busy", started_at=at(0), job=JOB)], early)
    assert digested(digest, waited(60, 12.0)) == ["runner_stop"]
    assert digest.rest() == []


def test_how_a_job_ended_that_its_guest_did_not_tell_is_as_github_tells() -> None:
    digest = Digest("fleet")
    digested(digest, *LIFE)
    events = digest.metric_events(digest.take(waited(160, 12.0)._replace(state="failure")), 0.0)
    assert events[-1]["job_conclusion"] == "failure"


@pytest.mark.parametrize("lacking", ["run_id", "repository"])
def test_a_job_that_github_can_not_know_is_waited_for_in_vain_by_nobody(lacking: str) -> None:
    unnumbered = {"job": {**asdict(JOB), lacking: ""}}
    life = [record if record.kind is Kind.DECISION else record._replace(
        details={**record.details, **unnumbered} if record.details["job"] else record.details
    ) for record in LIFE]  # fmt: skip
    told = digested(Digest("fleet"), *life)
    assert told == ["runner_installed", "runner_start", "runner_stop"]


def test_at_the_end_all_are_told_of() -> None:
    digest = Digest("fleet")
    digested(digest, *LIFE)
    assert names(digest.rest()) == ["runner_start", "runner_stop"]


def test_where_no_metric_events_are_wanted_there_are_none() -> None:
    digest = Digest(None)
    assert digested(digest, *LIFE, waited(160, 12.0), reconcile(161)) == []
    assert digest.overdue(1e9) == digest.rest() == []


def test_what_could_not_be_summed_up_spoils_no_recall() -> None:
    broken = step(0, "", "requested", job="no job")._replace(subject="broken")
    changes = Digest(None).recall([], [broken, LIFE[0]])
    assert [change.record for change in changes] == [broken, LIFE[0]]
    assert [course.name for course in changed(changes)] == [NAME]


def test_what_is_known_counts_for_more_than_another_file_which_is_gone_on_with() -> None:
    digest = Digest(None)
    lived(digest, LIFE[:3])
    known = [Course(NAME, stage="requested"), Course("theirs", stage="idle")]
    found = {one.name: one.stage for one in digest.go_on_with(known)}
    assert found == {NAME: "ready", "theirs": "idle"}
    digest.take(reconcile(40, runners=[NAME]))
    (gone,) = digest.take(reconcile(50, runners=[NAME])).courses
    assert (gone.name, gone.outcome) == ("theirs", "gone")


@pytest.mark.parametrize(("stage", "job"), [("busy", JOB), ("idle", None), ("failed", JOB)])
def test_an_end_that_nobody_has_told_of_is_told_of_with_what_is_known(
    stage: str, job: Job | None
) -> None:
    digest = Digest(None)
    digest.recall([Course(NAME, stage=stage, job=job)], [])
    assert digest.take(reconcile(40)).unseen == []
    details = {"job": asdict(job) if job else None}
    (course,) = digest.take(reconcile(50)).unseen
    assert unseen_end(course, at(50)) == Record(
        at(50), Kind.RUNNER, NAME, "gone", stage, "its end was not seen", 0.0, details
    )
    assert digest.take(reconcile(60)).unseen == []


def test_an_end_that_is_told_of_is_not_told_of_twice() -> None:
    digest = Digest(None)
    records = [*LIFE, *FAILURE, reconcile(200), reconcile(300)]
    assert [end for record in records for end in digest.take(record).unseen] == []


def test_what_was_lost_is_found_in_what_was_told_before_it_was_known() -> None:
    early = [reconcile(40), reconcile(50)]
    digest = Digest(None)
    assert [digest.take(record).unseen for record in early] == [[], []]
    changes = digest.recall([Course(NAME, stage="busy", job=JOB)], early)
    ends = [[(one.name, one.stage) for one in change.unseen] for change in changes]
    assert ends == [[], [(NAME, "busy")]]


@given(
    st.sampled_from([LIFE, FAILURE, MISTAKEN]), st.integers(1, 7), st.integers(0, 8), st.booleans()
)
def test_what_an_earlier_daemon_has_left_is_worth_as_much_however_late_it_is_read(
    life: list[Record], left: int, read: int, is_told_since: bool
) -> None:
    left = min(left, len(life) - 1)
    (known,) = lived(Digest(None), life[:left])
    stage = next(one for one in reversed(life[:left]) if one.kind is Kind.RUNNER)
    since = stage.at if is_told_since else life[left].at
    details = {**stage.details, "adopted": True, "since": since.isoformat()}
    if "job_s" in details:
        details["job_s"] = (life[left].at - since).total_seconds()
    adopted = stage._replace(before="", at=life[left].at, details=details)
    later = [adopted, *life[left:]]

    first, late = Digest(None), Digest(None)
    assert first.recall([replace(known)], []) == []
    expected = lived(first, later)
    lived(late, later[:read])
    recalled = changed(late.recall([known], later[:read]))
    assert (lived(late, later[read:]) or recalled) == expected


def lived(digest: Digest, records: list[Record]) -> list[Course]:
    """Give the course as these records leave it; none where there are none."""
    return changed([digest.take(record) for record in records])


def changed(changes: list[Change]) -> list[Course]:
    """Give the courses that changes have left."""
    return list({one.name: one for change in changes for one in change.courses}.values())
