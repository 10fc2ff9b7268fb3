"""Past runners and jobs, and percentiles of how long things took."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from supervisor.journal.courses import Course
from supervisor.journal.history import History, Percentiles, rank
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
    told = History([worked("a", 60)], [worked("a", 60)]).as_json()
    assert told["jobs"] == [
        {
            "runner": "a", "repository": "acme/demo", "workflow": "CI", "event": "push",
            "run_id": "7", "name": "build", "result": "Succeeded",
            "runs": False,
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
    assert told["percentiles"]["queue_s"] == {"p50": None, "p90": None, "p99": None, "count": 0}


def test_what_is_not_known_of_a_runner_is_not_made_up() -> None:
    told = History(runners=[Course("a", NOW)]).as_json()
    assert (told["jobs"], len(told["runners"])) == ([], 1)
    assert told["runners"][0]["install_s"] is None


def test_a_job_whose_beginning_is_not_known_is_listed_with_its_result_and_end() -> None:
    ended = Course("a", NOW, NOW, NOW, None, NOW, NOW, "deleted", "done", "gone", JOB)
    (job,) = History(jobs=[ended]).as_json()["jobs"]
    assert (job["runner"], job["result"], job["runs"]) == ("a", "Succeeded", False)
    assert (job["started_at"], job["ended_at"]) == (None, NOW.isoformat())
    assert (job["idle_s"], job["job_s"]) == (None, None)


def test_percentiles_are_told_in_milliseconds_at_the_finest() -> None:
    told = History(percentiles={"job_s": Percentiles(1.00049, 2.0, 3.0, 3)}).as_json()
    assert told["percentiles"] == {"job_s": {"p50": 1.0, "p90": 2.0, "p99": 3.0, "count": 3}}


@given(st.integers(1, 99), st.integers(1, 10_000))
def test_a_rank_is_the_first_that_has_enough_of_all_up_to_it(percent: int, count: int) -> None:
    found = rank(percent, count)
    assert 1 <= found <= count
    assert found * 100 >= percent * count > (found - 1) * 100
