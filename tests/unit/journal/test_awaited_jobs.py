"""Jobs that have ended are held until GitHub has told of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from journal_records import NAME, step, waited

from supervisor.journal.awaited_jobs import AwaitedJobs


def test_one_is_let_go_when_github_tells_of_it() -> None:
    awaited = AwaitedJobs[str]()
    awaited.hold(NAME, "it", 60.0)
    assert awaited.take(step(1, "idle", "busy")) == []
    assert awaited.take(waited(61, 12.0)._replace(subject="another")) == []
    assert awaited.take(waited(61, 12.0)) == ["it"]
    assert awaited.take(waited(62, 12.0)) == []
    assert awaited.rest() == []


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_none_is_held_for_longer_than_was_said(until: float, now: float) -> None:
    awaited = AwaitedJobs[str]()
    awaited.hold(NAME, "it", until)
    is_over = now >= until
    assert awaited.overdue(now) == (["it"] if is_over else [])
    assert awaited.rest() == ([] if is_over else ["it"])
