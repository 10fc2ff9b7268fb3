"""The judge of the chaos test must be able to find somebody guilty."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from sandbox.github import Job
from tests.e2e.chaos.roll_call import Run
from tests.e2e.chaos.verdicts import (
    GRACE_S,
    Made,
    Names,
    Registered,
    Sample,
    Setting,
    about_deletion,
    about_job,
    about_log,
    too_many,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
RUN = Run("tag-1", "one", "a")
SUCCESS = Job(
    id=1,
    run_id=1,
    repository="acme/demo",
    workflow="demo",
    name="build",
    event="push",
    sha="",
    labels=(),
    script="",
    queued_at=NOON,
    status="completed",
    conclusion="success",
    runner_name="one",
)
LOST = replace(SUCCESS, conclusion="failure", lost_by=("one",))


def sample(*names: str, at_s: float = 0.0, busy: bool = False, generation: str = "now") -> Sample:
    registered = {name: Registered(id_, busy) for id_, name in enumerate(names)}
    instances = dict.fromkeys(names, Made(NOON, generation))
    return Sample(at_s, instances, registered, registered)


# The number


def test_as_many_as_wanted_are_right() -> None:
    assert not too_many(sample("one", "two"), [Setting(0, 2, "now")])


def test_one_more_than_wanted_is_wrong() -> None:
    found = too_many(sample("one", "two", "three"), [Setting(0, 2, "now")])
    assert found.startswith("3 instances may take or run jobs, at most 2 were wanted")


def test_there_is_time_to_let_some_go() -> None:
    settings = [Setting(0, 2, "now"), Setting(100, 1, "now")]
    assert not too_many(sample("one", "two", at_s=100 + GRACE_S), settings)
    assert too_many(sample("one", "two", at_s=101 + GRACE_S), settings)


def test_what_will_be_wanted_later_does_not_count() -> None:
    settings = [Setting(0, 1, "now"), Setting(100, 2, "now")]
    assert too_many(sample("one", "two", at_s=99), settings)
    assert not too_many(sample("one", "two", at_s=100), settings)


def test_one_that_finishes_under_older_settings_does_not_count() -> None:
    settings = [Setting(0, 1, "now")]
    assert not too_many(sample("one", "two", busy=True, generation="old"), settings)
    assert too_many(sample("one", "two", busy=True), settings)
    assert too_many(sample("one", "two", generation="old"), settings)


def test_one_without_registration_does_not_count() -> None:
    leaving = sample("one", "two")
    one = {"one": leaving.before["one"]}
    assert not too_many(replace(leaving, after=one), [Setting(0, 1, "now")])
    assert not too_many(replace(leaving, before=one), [Setting(0, 1, "now")])


# Names


def test_a_name_that_lasts_is_right() -> None:
    names = Names()
    assert not names.used_again(sample("one"))
    assert not names.used_again(sample("one", busy=True))


def test_a_second_registration_of_a_name_is_wrong() -> None:
    names = Names()
    names.used_again(sample("one"))
    again = replace(sample(), after={"one": Registered(7, busy=False)})
    assert names.used_again(again) == ["one was registered a second time, as 7"]


def test_a_second_instance_of_a_name_is_wrong() -> None:
    names = Names()
    names.used_again(sample("one"))
    later = NOON + timedelta(seconds=1)
    again = replace(sample("one"), instances={"one": Made(later, "now")})
    assert names.used_again(again) == [f"an instance one was made a second time, at {later}"]


# Jobs


def test_a_job_that_ran_once_from_beginning_to_end_is_right() -> None:
    assert not about_job(SUCCESS, {RUN}, {RUN}, ())


def test_a_job_that_was_lost_with_a_victim_is_right() -> None:
    assert not about_job(LOST, {RUN}, (), {"one"})
    assert not about_job(LOST, (), (), {"one"})


def test_a_job_that_came_back_from_a_victim_is_right() -> None:
    assert not about_job(replace(SUCCESS, lost_by=("two",)), {RUN}, {RUN}, {"two"})


@pytest.mark.parametrize(
    ("job", "begun", "ended", "complaint"),
    [
        (SUCCESS, (), (), "succeeded on one, and ran as []"),
        (SUCCESS, {RUN, Run("tag-1", "two", "b")}, {RUN}, "succeeded on one, and ran as"),
        (SUCCESS, {RUN, Run("tag-1", "one", "b")}, {RUN}, "succeeded on one, and ran as"),
        (SUCCESS, {Run("tag-1", "two", "b")}, (), "succeeded on one, and ran as"),
        (SUCCESS, {RUN}, (), "succeeded without having come to its end"),
        (replace(SUCCESS, lost_by=("two",)), {RUN}, {RUN}, "was lost by two"),
        (LOST, {RUN}, (), "was lost by one, which nobody had killed"),
        (replace(LOST, lost_by=(), log="exit 1"), {RUN}, (), "failed on one, which was not lost"),
        (replace(LOST, status="queued", conclusion=None), (), (), "is queued"),
    ],
)
def test_a_job_that_was_lost_or_ran_twice_is_wrong(
    job: Job, begun: set[Run], ended: set[Run], complaint: str
) -> None:
    found = about_job(job, begun, ended, ())
    assert any(line.startswith(f"job 1 {complaint}") for line in found), found


def test_a_job_that_failed_and_ran_twice_is_wrong() -> None:
    begun = {RUN, Run("tag-1", "two", "b")}
    (found,) = about_job(LOST, begun, (), {"one"})
    assert found.startswith("job 1 ran more than once")


# Orders


def test_the_deletion_of_a_runner_at_work_must_be_refused() -> None:
    assert not about_deletion("one", "busy", "one runs a job", "busy")
    assert about_deletion("one", "busy", "", "busy").startswith("one runs a job")


@pytest.mark.parametrize(
    ("before", "after"),
    [("idle", "retiring"), ("idle", "busy"), ("busy", "finished"), ("busy", None)],
)
def test_a_runner_whose_job_begins_or_ends_meanwhile_may_be_deleted(
    before: str, after: str | None
) -> None:
    assert not about_deletion("one", before, "", after)


# The log


def entry(**more: str) -> str:
    return json.dumps({"time": "noon", "message": "it happened", **more})


def test_a_log_without_exceptions_is_right_and_so_are_ordered_crashes() -> None:
    ordered = "supervisor.supervision.errors.Crashed: ordered on the control socket"
    assert not about_log([entry(), entry(exception=f"Traceback …\n{ordered}")])


def test_an_exception_is_wrong() -> None:
    assert about_log([entry(exception="KeyError: 1")]) == ["noon it happened\nKeyError: 1"]


def test_a_line_that_is_not_the_daemons_is_wrong() -> None:
    (found,) = about_log(["Exception ignored in …"])
    assert found.startswith("a line of the log that isn't the daemon's")
