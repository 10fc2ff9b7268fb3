"""Past runners and jobs, and percentiles of how long things took."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from supervisor.journal.courses import Course
from supervisor.journal.history import History, percentiles
from supervisor.lifecycle import Job

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
JOB = Job("acme/demo", "CI", "7", "push", "build", "Succeeded")


def worked(name: str, seconds: float) -> Course:
    moments = [NOW + timedelta(seconds=one) for one in (0, 30, 40, 40 + seconds, 50 + seconds)]
    created, installed, started, finished, ended = moments
    return Course(
        name, created, installed, started, started, finished, ended, "deleted", "done", "gone", JOB
    )


def test_a_job_is_listed_with_what_is_known_of_it() -> None:
    told = History([worked("a", 60)], 10).as_json()
    assert told["jobs"] == [
        {
            "runner": "a", "repository": "acme/demo", "workflow": "CI", "event": "push",
            "run_id": "7", "name": "build", "result": "Succeeded",
            "started_at": "2030-01-01T00:00:40+00:00", "ended_at": "2030-01-01T00:01:40+00:00",
            "idle_s": 10.0, "job_s": 60.0, "queue_s": None,
        }
    ]  # fmt: skip
    assert told["runners"] == [
        {
            "name": "a", "created_at": "2030-01-01T00:00:00+00:00",
            "ended_at": "2030-01-01T00:01:50+00:00", "install_s": 30.0, "idle_s": 10.0,
            "job_s": 60.0, "outcome": "done", "reason": "gone",
        }
    ]  # fmt: skip
    assert told["percentiles"]["job_s"] == {"p50": 60.0, "p90": 60.0, "p99": 60.0, "count": 1}
    assert told["percentiles"]["queue_s"] == {"p50": None, "p90": None, "p99": None, "count": 0}


def test_it_is_told_how_long_jobs_have_waited_as_far_as_that_is_known() -> None:
    known = [replace(worked("a", 60), queue_s=2.0), replace(worked("b", 60), queue_s=0.0)]
    told = History([*known, worked("c", 60)], 10).as_json()
    assert [job["queue_s"] for job in told["jobs"]] == [2.0, 0.0, None]
    assert told["percentiles"]["queue_s"] == {"p50": 0.0, "p90": 2.0, "p99": 2.0, "count": 2}


def test_a_runner_that_never_had_a_job_has_none_in_the_list() -> None:
    told = History([Course("a", NOW)], 10).as_json()
    assert (told["jobs"], len(told["runners"])) == ([], 1)
    assert told["runners"][0]["install_s"] is None


def test_the_lists_are_cut_and_the_percentiles_are_of_all() -> None:
    told = History([worked(str(n), n) for n in range(100)], 10).as_json()
    assert (len(told["jobs"]), len(told["runners"])) == (10, 10)
    assert told["percentiles"]["job_s"] == {"p50": 49.0, "p90": 89.0, "p99": 98.0, "count": 100}


@given(st.lists(st.none() | st.floats(0, 1e6), max_size=50))
def test_percentiles_are_of_the_durations_and_in_order(durations: list[float | None]) -> None:
    known = [round(one, 3) for one in durations if one is not None]
    found = percentiles(durations)
    assert found["count"] == len(known)
    shares = [found[key] for key in ("p50", "p90", "p99")]
    if known:
        assert shares == sorted(shares, key=lambda one: one or 0.0)
        assert set(shares) <= set(known)
        assert sum(one <= (found["p90"] or 0.0) for one in known) >= 0.9 * len(known)
    else:
        assert shares == [None, None, None]
