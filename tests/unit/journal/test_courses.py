"""The course of a runner's life, from the records of it."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_records import JOB, NAME, NOW, at, reconcile, step, waited

from supervisor.journal.courses import Course, Courses
from supervisor.lifecycle import Job
from supervisor.observation.feed import Kind, Record
from supervisor.supervision import FakeClock


def life(*steps: tuple[float, str], job: Job | None = JOB) -> Course:
    """Live through stages, from the order at 0 on; the job is known from `busy` on."""
    courses, before, last = Courses(), "", None
    known: dict[str, Any] = {"job": None}
    for seconds, state in ((0, "requested"), *steps):
        if state == "busy":
            known = {"job": asdict(job) if job else None}
        (last,) = courses.take(step(seconds, before, state, f"is {state}", **known))
        before = state
    assert last is not None
    return last


def test_a_whole_life_says_how_long_each_part_of_it_took() -> None:
    course = life(
        (1, "creating"), (3, "booting"), (30, "ready"), (35, "idle"), (90, "busy"),
        (150, "finished"), (155, "deleted"),
    )  # fmt: skip
    assert (course.install_s, course.idle_s, course.job_s) == (30.0, 60.0, 60.0)
    assert (course.outcome, course.ended_at, course.job) == ("done", at(155), JOB)


STEPS = ("creating", "booting", "ready", "idle", "busy", "finished", "deleted")


@given(
    st.lists(st.floats(1, 1e6), min_size=7, max_size=7),
    st.lists(st.integers(-(10**6), 10**6), min_size=7, max_size=7),
)
def test_each_part_of_a_life_took_what_it_took_however_the_time_of_day_was_set(
    lasted_s: list[float], set_by_s: list[int]
) -> None:
    clock, courses, before = FakeClock(NOW), Courses(), "requested"
    courses.take(step(0, "", before))
    course = None
    for seconds, hours, state in zip(lasted_s, set_by_s, STEPS, strict=True):
        clock.advance(seconds)
        clock.set_by(hours)
        record = Record(
            clock.now(), Kind.RUNNER, NAME, state, before, "", seconds,
            {"job": asdict(JOB), "job_s": 0.0 if state == "busy" else None},
        )  # fmt: skip
        (course,) = courses.take(record)
        before = state
    assert course is not None
    # A step of less than a second is none.
    near = partial(pytest.approx, abs=1.0 * len(STEPS))
    assert course.install_s == near(sum(lasted_s[:3]))
    assert course.idle_s == near(sum(lasted_s[3:5]))
    assert course.job_s == near(lasted_s[5])
    assert course.ended_at == clock.now()


def test_a_record_that_was_lost_is_no_step_of_the_clock() -> None:
    courses = Courses()
    courses.take(step(0, "booting", "idle"))
    late = Record(at(4000), Kind.RUNNER, NAME, "finished", "busy", "", 60.0, {"job": None})
    (course,) = courses.take(late)
    assert (course.installed_at, course.left_at) == (at(0), None)


def test_a_runner_that_was_let_go_has_waited_in_vain() -> None:
    course = life((30, "ready"), (90, "retiring"), (91, "finished"), (95, "deleted"))
    assert (course.outcome, course.idle_s, course.job_s) == ("removed", 60.0, None)


def test_a_failure_keeps_its_reason_to_the_end() -> None:
    course = life((3, "booting"), (603, "failed"), (605, "deleted"))
    assert (course.outcome, course.reason, course.install_s) == ("failed", "is failed", None)


def test_of_one_whose_ready_signal_was_lost_it_is_not_known_how_long_it_has_waited() -> None:
    course = life((3, "booting"), (40, "busy"), (50, "finished"))
    assert (course.install_s, course.idle_s, course.job_s) == (None, None, 10.0)


def test_when_a_job_began_that_only_github_tells_of_is_not_known() -> None:
    for before, installed_at in (("booting", None), ("idle", at(0))):
        courses = Courses([Course(NAME, at(-30), installed_at, stage=before)])
        (busy,) = courses.take(step(40, before, "busy", job=asdict(Job()), job_s=None))
        assert (busy.is_at_work, busy.started_at, busy.installed_at) == (True, None, installed_at)
        (ended,) = courses.take(step(50, "busy", "finished", job=asdict(SUCCEEDED)))
        assert (ended.started_at, ended.finished_at, ended.job) == (None, at(50), SUCCEEDED)
        assert (ended.idle_s, ended.job_s) == (None, None)


def test_a_job_began_when_its_guest_told_of_it_though_github_was_faster() -> None:
    courses = Courses()
    courses.take(step(0, "booting", "ready"))
    courses.take(step(40, "ready", "busy", job=asdict(Job()), job_s=None))
    courses.take(step(42, "busy", "busy", job=asdict(JOB)))
    courses.take(step(43, "busy", "busy", job=asdict(JOB), job_s=None))
    (course,) = courses.take(step(52, "busy", "finished", job=asdict(JOB)))
    assert (course.idle_s, course.job_s) == (42.0, 10.0)


def test_a_job_that_was_none_is_none() -> None:
    course = life((30, "ready"), (40, "busy"), (100, "idle"), (200, "busy"), (260, "finished"))
    assert (course.idle_s, course.job_s) == (170.0, 60.0)
    waits = life((30, "ready"), (40, "busy"), (100, "idle"))
    assert (waits.started_at, waits.finished_at) == (None, None)


def test_what_was_decided_of_a_job_that_was_none_is_forgotten_with_it() -> None:
    courses = Courses()
    courses.take(step(40, "ready", "busy", job=asdict(JOB)))
    courses.take(Record(at(41), Kind.DECISION, NAME, "refused"))
    (course,) = courses.take(step(50, "busy", "idle"))
    assert course.verdict == ""


def test_none_is_where_it_is_since_a_later_time_than_the_one_at_which_it_was_seen_there() -> None:
    adopted = step(10, "", "ready", adopted=True, since=at(3600).isoformat())
    (course,) = Courses().take(adopted)
    assert course.installed_at == at(10)


def test_a_result_that_comes_late_is_taken() -> None:
    courses = Courses()
    courses.take(step(0, "idle", "busy", job=asdict(JOB)))
    courses.take(step(9, "busy", "finished", job=asdict(JOB)))
    ended = asdict(Job(**{**asdict(JOB), "result": "Succeeded"}))
    (course,) = courses.take(step(10, "finished", "finished", job=ended))
    assert course.job is not None
    assert (course.job.result, course.job_s) == ("Succeeded", 9.0)


def test_it_is_kept_how_long_a_job_had_waited_and_of_one_that_has_ended_it_is_no_news() -> None:
    courses = Courses()
    courses.take(step(0, "idle", "busy", job=asdict(JOB)))
    (course,) = courses.take(waited(1, 12.0))
    assert course.queue_s == 12.0
    (course,) = courses.take(step(9, "finished", "deleted", job=asdict(JOB)))
    assert (course.queue_s, course.outcome) == (12.0, "done")
    assert courses.take(waited(10, 12.0)) == []


@pytest.mark.parametrize(
    ("told", "state", "result"),
    [
        ("", "failure", "Failed"),
        ("", "", ""),
        ("Succeeded", "failure", "Failed"),
        ("Succeeded", "", "Succeeded"),
        ("Refused", "failure", "Refused"),
    ],
)
def test_how_a_job_ended_is_as_github_tells_unless_the_policy_has_refused_it(
    told: str, state: str, result: str
) -> None:
    course = Course(NAME, job=replace(JOB, result=told))
    course.learn(waited(1, 12.0)._replace(state=state))
    assert (course.job, course.queue_s) == (replace(JOB, result=result), 12.0)


def test_a_runner_that_is_taken_over_goes_on_where_it_was() -> None:
    (known,) = Courses().take(step(0, "idle", "busy", job=asdict(JOB)))
    courses = Courses([known])
    since = at(0.5).isoformat()
    courses.take(step(60, "", "busy", job=asdict(JOB), adopted=True, since=since, job_s=59.5))
    (course,) = courses.take(step(90, "busy", "finished", job=asdict(JOB)))
    assert course.job_s == 90.0


def test_of_one_that_nobody_knew_only_what_it_says_is_known() -> None:
    courses = Courses()
    seen = {"adopted": True, "since": at(-60).isoformat(), "made_at": None}
    for job_s, expected_s in ((60.0, 90.0), (None, None)):
        courses.take(step(0, "", "busy", job=asdict(JOB), job_s=job_s, **seen))
        courses.take(step(30, "busy", "finished", job=asdict(JOB)))
        (course,) = courses.take(step(31, "finished", "deleted", job=asdict(JOB)))
        assert (course.install_s, course.idle_s, course.job_s) == (None, None, expected_s)


SUCCEEDED = Job(result="Succeeded")


def test_a_job_whose_beginning_nobody_heard_of_has_an_end_and_no_durations() -> None:
    for way in (("finished",), ("retiring", "finished"), ("failed",)):
        courses, before = Courses([life((30, "ready"), (35, "idle"))]), "idle"
        for seconds, state in enumerate(way, start=100):
            job = asdict(SUCCEEDED) if state == way[-1] else None
            courses.take(step(seconds, before, state, job=job))
            before = state
        (ended,) = courses.take(step(110, before, "deleted", job=asdict(SUCCEEDED)))
        assert (ended.job, ended.started_at, ended.is_at_work) == (SUCCEEDED, None, False)
        assert ended.finished_at == at(100 + len(way) - 1)
        assert (ended.install_s, ended.idle_s, ended.job_s) == (30.0, None, None)


def test_of_a_job_that_was_over_when_it_was_first_heard_of_no_end_is_known() -> None:
    for before in ("", "finished", "failed"):
        (course,) = Courses().take(step(0, before, "failed", job=asdict(SUCCEEDED)))
        assert (course.job, course.finished_at, course.is_at_work) == (SUCCEEDED, None, False)


def test_a_job_of_one_that_is_gone_does_not_run() -> None:
    (known,) = Courses().take(step(0, "idle", "busy", job=asdict(JOB)))
    assert known.is_at_work
    known.vanish(at(10))
    assert not known.is_at_work


def test_when_one_was_ordered_is_known_from_its_instance() -> None:
    seen = {"adopted": True, "since": at(-60).isoformat(), "made_at": at(-100).isoformat()}
    (course,) = Courses().take(step(0, "", "ready", **seen))
    assert course.install_s == 40.0


def test_what_ended_unseen_is_gone_some_time_after_a_whole_reconcile() -> None:
    (known,) = Courses().take(step(0, "idle", "busy", job=asdict(JOB)))
    courses = Courses([known])
    assert courses.take(reconcile(10)) == []
    assert courses.take(reconcile(12)) == []
    assert courses.take(reconcile(16, "LXD could not be listed")) == []
    (course,) = courses.take(reconcile(17))
    assert (course.outcome, course.ended_at, course.job_s) == ("gone", at(17), None)
    assert courses.of(NAME) is None


def test_who_is_not_found_is_gone_though_the_time_of_day_was_set_back_meanwhile() -> None:
    (known,) = Courses().take(step(0, "ready", "idle"))
    courses = Courses([known])
    assert courses.take(reconcile(7200)) == []
    (course,) = courses.take(reconcile(10))
    assert course.outcome == "gone"


def test_who_is_there_is_not_gone_though_nothing_is_heard_of_it() -> None:
    (known,) = Courses().take(step(0, "ready", "idle"))
    courses = Courses([known])
    assert [courses.take(reconcile(after, runners=[NAME])) for after in (10, 20, 30)] == [[]] * 3
    assert courses.take(reconcile(40)) == []
    assert courses.take(reconcile(42, runners=[NAME])) == []
    assert courses.take(reconcile(50)) == []
    (course,) = courses.take(reconcile(60))
    assert course.outcome == "gone"


def test_one_whose_last_record_was_lost_is_gone_without_a_restart_of_the_daemon() -> None:
    courses = Courses()
    assert courses.take(reconcile(0)) + courses.take(reconcile(10)) == []
    courses.take(step(15, "idle", "busy", job=asdict(JOB)))
    assert courses.take(reconcile(20, runners=[NAME])) + courses.take(reconcile(30)) == []
    (course,) = courses.take(reconcile(40))
    assert (course.outcome, course.reason) == ("gone", "its end was not seen")


def test_one_that_is_heard_of_after_all_is_looked_for_twice_again() -> None:
    courses = Courses()
    courses.take(step(0, "ready", "idle"))
    courses.take(reconcile(10))
    courses.take(step(12, "idle", "busy", job=asdict(JOB)))
    assert courses.take(reconcile(20)) == []
    assert len(courses.take(reconcile(30))) == 1


def test_why_one_had_failed_is_known_though_nobody_saw_its_end() -> None:
    (known,) = Courses().take(step(0, "booting", "failed", "no signal within 600 s"))
    courses = Courses([known])
    courses.take(reconcile(10))
    (course,) = courses.take(reconcile(20))
    assert (course.outcome, course.reason) == ("failed", "no signal within 600 s")


def test_one_that_was_seen_again_is_not_gone() -> None:
    (known,) = Courses().take(step(0, "ready", "idle"))
    courses = Courses([known])
    courses.take(step(5, "", "ready", adopted=True, since=at(0).isoformat()))
    there = [NAME]
    assert courses.take(reconcile(10)) + courses.take(reconcile(20, runners=there)) == []


def test_one_that_is_heard_of_a_little_late_goes_on_where_it_was() -> None:
    (known,) = Courses().take(step(0, "idle", "busy", job=asdict(JOB)))
    courses = Courses([known])
    assert courses.take(reconcile(10)) + courses.take(reconcile(10.1)) == []
    since = at(0.5).isoformat()
    adopted = step(10.2, "", "busy", job=asdict(JOB), adopted=True, since=since, job_s=9.7)
    (course,) = courses.take(adopted)
    assert course.started_at == at(0)


def test_a_verdict_is_noted_with_the_runner_it_concerns() -> None:
    courses = Courses()
    courses.take(step(0, "idle", "busy", job=asdict(JOB)))
    (course,) = courses.take(Record(at(1), Kind.DECISION, NAME, "refused"))
    assert course.verdict == "refused"
    assert courses.take(Record(at(1), Kind.DECISION, "nobody", "refused")) == []


def test_other_records_change_no_course() -> None:
    courses = Courses()
    assert courses.take(Record(NOW, Kind.ACTOR, NAME, "crashed")) == []
    assert courses.take(Record(NOW, Kind.ORDER, "flush", "ordered")) == []
