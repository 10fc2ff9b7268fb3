"""Runners that have ended are held until it is known how long their jobs had waited."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from journal_records import JOB, NAME, at, step, waited

from supervisor.journal.awaited_jobs import AwaitedJobs
from supervisor.journal.courses import Course

COURSE = Course(NAME, started_at=at(0), ended_at=at(60), outcome="done", job=JOB)


def test_one_is_let_go_with_what_github_tells_of_its_job() -> None:
    awaited = AwaitedJobs()
    awaited.hold(replace(COURSE), 0.0)
    assert awaited.take(step(1, "idle", "busy")) == []
    assert awaited.take(waited(61, 12.0)) == [replace(COURSE, queue_s=12.0)]
    assert awaited.take(waited(62, 12.0)) == []
    assert awaited.rest() == []


@given(st.floats(0, 1e6), st.floats(0, 120))
def test_none_is_held_for_longer_than_a_minute(since: float, later: float) -> None:
    awaited = AwaitedJobs()
    awaited.hold(COURSE, since)
    is_over = since + later >= since + 60
    assert awaited.overdue(since + later) == ([COURSE] if is_over else [])
    assert awaited.rest() == ([] if is_over else [COURSE])
