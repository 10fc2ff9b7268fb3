"""Conversations about a run's jobs, held by hand: no network, no time."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.github.errors import GitHubError, Unavailable
from supervisor.github.exchange import Answer
from supervisor.github.run_jobs import RunJob, run_jobs
from supervisor.github.scope import Scope

DEMO = Scope.parse("acme/demo")
PATH = "/repos/acme/demo/actions/runs/7/jobs?filter=all&per_page=100&page="
NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


def job(runner: str | None, **more: Any) -> dict[str, Any]:
    return {
        "runner_name": runner, "created_at": "2030-01-01T12:00:00Z",
        "started_at": "2030-01-01T12:00:42Z", "status": "completed", "conclusion": "success",
        **more,
    }  # fmt: skip


def page(*jobs: dict[str, Any], total: int | None = None) -> Answer:
    return Answer(200, {}, {"total_count": len(jobs) if total is None else total, "jobs": [*jobs]})


def ask(
    *answers: Answer, runners: frozenset[str] = frozenset({"a"})
) -> tuple[dict[str, RunJob], int]:
    """Return what was found, and after how many pages."""
    talk = run_jobs(DEMO, 7, runners)
    request = next(talk)
    for number, answer in enumerate(answers, start=1):
        assert (request.verb, request.path) == ("GET", f"{PATH}{number}")
        try:
            request = talk.send(answer)
        except StopIteration as end:
            found: dict[str, RunJob] = end.value
            return found, number
    raise AssertionError("it asks for more")


def test_a_job_is_known_by_its_runner_with_how_long_it_waited() -> None:
    found, _ = ask(page(job("b"), job(None), job("a")))
    assert found == {"a": RunJob(NOON, NOON.replace(second=42), "success")}
    assert found["a"].queue_s == 42.0


def test_a_job_that_goes_on_has_no_conclusion() -> None:
    found, _ = ask(page(job("a", status="in_progress", conclusion=None)))
    assert (found["a"].queue_s, found["a"].conclusion) == (42.0, "")


def test_a_job_that_began_before_it_was_queued_has_not_waited() -> None:
    found, _ = ask(page(job("a", started_at="2030-01-01T11:59:59Z")))
    assert found["a"].queue_s == 0.0


def test_one_answer_tells_of_all_runners_that_had_a_job_of_the_run() -> None:
    found, pages = ask(page(job("a"), job("b")), runners=frozenset({"a", "b", "c"}))
    assert (found.keys(), pages) == ({"a", "b"}, 1)


def test_pages_are_turned_until_all_are_found() -> None:
    others = [job(f"other-{number}") for number in range(100)]
    found, pages = ask(page(*others, total=500), page(job("a"), *others[1:], total=500))
    assert (found.keys(), pages) == ({"a"}, 2)


def test_a_run_without_end_is_not_read_to_its_end() -> None:
    others = [job(f"other-{number}") for number in range(100)]
    assert ask(*[page(*others, total=10**9)] * 10) == ({}, 10)


def test_an_empty_page_is_the_last_one() -> None:
    assert ask(page(total=500)) == ({}, 1)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"jobs": [job("a")]},
        {"total_count": 1, "jobs": [{}]},
        {"total_count": 1, "jobs": [job("a", created_at="yesterday")]},
        {"total_count": 1, "jobs": [job("a", started_at=None)]},
        {"total_count": 1, "jobs": [job("a", conclusion="\x1b[31m")]},
    ],
)
def test_an_answer_of_another_shape_is_an_error_that_says_so(data: Any) -> None:
    with pytest.raises(Unavailable, match="list the jobs of run 7 of acme/demo: the answer can't"):
        ask(Answer(200, {}, data))


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["jobs", "total_count", *job("a")]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(SHAPES)
def test_whatever_comes_is_read_or_refused(data: Any) -> None:
    with suppress(GitHubError):
        found, pages = ask(*[Answer(200, {}, data)] * 10)
        assert (found, pages <= 10) == ({}, True)
