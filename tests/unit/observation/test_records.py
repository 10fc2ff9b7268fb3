"""What the feed is told, as a function of what happened."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from supervisor import lifecycle
from supervisor.lifecycle import Event, Job, Life, Seen, Stage
from supervisor.observation import records
from supervisor.observation.feed import Kind
from supervisor.runners.roster import Entry
from supervisor.supervision import Change

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
LATER = NOW + timedelta(seconds=90)
JOB = Job("acme/demo", "CI", "7", "push", "build", "")


def entry(life: Life) -> Entry:
    return Entry("fleet-a", "g1", life)


def change(path: str, state: str) -> Change:
    return Change(NOW, path, path.rsplit("/", 1)[-1], state, "idle", "why", 2.0)


def test_a_new_runner_begins_without_a_stage_before() -> None:
    record = records.of_beginning(entry(lifecycle.request(NOW).life), NOW, adopted=False)
    assert (record.kind, record.subject, record.before) == (Kind.RUNNER, "fleet-a", "")
    assert (record.state, record.lasted_s) == ("requested", 0.0)
    assert record.details == {
        "generation": "g1",
        "runner_id": None,
        "job": None,
        "adopted": False,
        "since": NOW.isoformat(),
        "made_at": None,
    }


def test_one_that_was_taken_over_says_since_when_it_is_where_it_is() -> None:
    seen = Seen(running=True, stage="busy", runner_id=7, job=JOB, since=NOW, created_at=NOW)
    record = records.of_beginning(entry(lifecycle.adopt(seen, LATER).life), LATER, adopted=True)
    assert (record.at, record.state, record.before) == (LATER, "busy", "")
    assert (record.details["adopted"], record.details["since"]) == (True, NOW.isoformat())
    assert record.details["job"]["repository"] == "acme/demo"


def test_a_step_says_how_long_the_stage_before_lasted() -> None:
    before = Life(Stage.IDLE, NOW, runner_id=7)
    life = lifecycle.step(before, lifecycle.JobStarted(JOB), LATER).life
    record = records.of_step(entry(life), before, LATER)
    assert record is not None
    assert (record.before, record.state, record.lasted_s) == ("idle", "busy", 90.0)
    assert record.details["job"]["workflow"] == "CI"
    json.dumps(dict(record.details))


def test_a_runner_that_takes_its_job_says_how_long_it_had_waited_in_both_stages() -> None:
    life = Life(Stage.BOOTING, NOW, runner_id=7)
    told = []
    for event, after_s in (
        (lifecycle.GuestReady(), 2),
        (lifecycle.Confirmed(busy=False), 5),
        (lifecycle.JobStarted(JOB), 3602),
        (lifecycle.JobFinished(), 4000),
    ):
        now, before = NOW + timedelta(seconds=after_s), life
        life = lifecycle.step(before, event, now).life
        record = records.of_step(entry(life), before, now)
        assert record is not None
        told.append((record.state, record.details.get("waited_s")))
    assert told == [("ready", None), ("idle", None), ("busy", 3600), ("finished", None)]


def times(life: Life, *events: tuple[float, Event]) -> list[tuple[str, float | None, float | None]]:
    """Give stage, wait and job's duration as they are told of each event, so long after now."""
    told = []
    for after_s, event in events:
        now, before = NOW + timedelta(seconds=after_s), life
        life = lifecycle.step(before, event, now).life
        record = records.of_step(entry(life), before, now)
        assert record is not None
        details = record.details
        told.append((record.state, details.get("waited_s"), details.get("job_s")))
    return told


WAITS = Life(Stage.IDLE, NOW, runner_id=7, ready_at=NOW)


def test_a_job_is_told_of_with_its_wait_and_at_its_end_with_how_long_it_took() -> None:
    assert times(WAITS, (60, lifecycle.JobStarted(JOB)), (90, lifecycle.JobFinished())) == [
        ("busy", 60, 0), ("finished", None, 30),
    ]  # fmt: skip


@pytest.mark.parametrize("unheard", [lifecycle.Confirmed(busy=True), lifecycle.JobStarted(Job())])
def test_of_a_job_that_its_guest_has_not_told_of_neither_wait_nor_duration_is_told(
    unheard: Event,
) -> None:
    assert times(WAITS, (60, unheard), (90, lifecycle.JobFinished())) == [
        ("busy", None, None), ("finished", None, None),
    ]  # fmt: skip


def test_a_guest_that_tells_of_its_job_after_github_tells_when_that_begins() -> None:
    github, guest = lifecycle.Confirmed(busy=True), lifecycle.JobStarted(JOB)
    assert times(WAITS, (60, github), (62, guest), (92, lifecycle.JobFinished())) == [
        ("busy", None, None), ("busy", 62, 0), ("finished", None, 30),
    ]  # fmt: skip


def test_what_else_is_heard_of_one_at_work_says_nothing_of_how_long_its_job_has_run() -> None:
    unknown = replace(WAITS, runner_id=None)
    started, found = lifecycle.JobStarted(JOB), lifecycle.RegistrationFound(7)
    assert times(unknown, (60, started), (90, found), (99, lifecycle.JobFinished())) == [
        ("busy", 60, 0), ("busy", None, None), ("finished", None, 39),
    ]  # fmt: skip


@pytest.mark.parametrize(("trouble", "state"), [("", "done"), ("LXD hangs", "incomplete")])
def test_a_reconcile_that_could_not_list_all_says_that_it_is_incomplete_and_why(
    trouble: str, state: str
) -> None:
    record = records.of_reconcile(
        "fleet", NOW, runners={}, wanted=2, failed=0, duration_s=0.2, trouble=trouble
    )
    assert (record.state, record.reason) == (state, trouble)


def test_a_job_that_was_none_has_taken_no_time() -> None:
    lost = lifecycle.JobLost(registered=True)
    told = times(
        WAITS, (60, lifecycle.JobStarted(JOB)), (90, lost), (99, lifecycle.JobStarted(JOB))
    )
    assert told[1:] == [("idle", None, None), ("busy", 99, 0)]


@pytest.mark.parametrize(("job", "job_s"), [(JOB, 90.0), (Job(), None), (None, None)])
def test_one_taken_over_at_work_says_how_long_its_job_has_run_if_its_guest_has_told(
    job: Job | None, job_s: float | None
) -> None:
    seen = Seen(running=True, stage="busy", runner_id=7, job=job, since=NOW, created_at=NOW)
    record = records.of_beginning(entry(lifecycle.adopt(seen, LATER).life), LATER, adopted=True)
    assert record.details.get("job_s") == job_s


def test_how_long_one_has_waited_is_left_out_where_that_is_not_known() -> None:
    before = Life(Stage.BOOTING, NOW, runner_id=7)
    life = lifecycle.step(before, lifecycle.JobStarted(JOB), LATER).life
    record = records.of_step(entry(life), before, LATER)
    assert record is not None
    assert (record.state, "waited_s" in record.details) == ("busy", False)


def test_a_result_that_comes_late_is_told_as_more_that_is_known() -> None:
    before = Life(Stage.FINISHED, NOW, "its job ended", 7, JOB)
    life = replace(before, job=replace(JOB, result="Succeeded"))
    record = records.of_step(entry(life), before, LATER)
    assert record is not None
    assert (record.before, record.state, record.lasted_s) == ("finished", "finished", 0.0)
    assert record.details["job"]["result"] == "Succeeded"


def test_what_only_the_lifecycle_itself_remembers_is_not_told() -> None:
    before = Life(Stage.READY, NOW, unwatched_since=NOW)
    assert records.of_step(entry(replace(before, unwatched_since=None)), before, LATER) is None


def test_for_what_of_lxd_one_waits_that_is_being_made_is_not_told() -> None:
    before = Life(Stage.CREATING, NOW, "waits for LXD to create it", runner_id=7)
    life = lifecycle.step(before, lifecycle.InstanceCreated(), LATER).life
    assert life.reason != before.reason
    assert records.of_step(entry(life), before, LATER) is None


@pytest.mark.parametrize("stage", [Stage.CREATING, Stage.BOOTING, Stage.BUSY])
def test_a_failure_says_in_which_stage(stage: Stage) -> None:
    before = Life(stage, NOW, runner_id=7)
    life = lifecycle.step(before, lifecycle.Failed("no room"), LATER).life
    record = records.of_step(entry(life), before, LATER)
    assert record is not None
    assert (record.state, record.details["failed_in"]) == ("failed", str(stage))


def test_one_that_was_found_stopped_has_failed_nobody_knows_where() -> None:
    life = lifecycle.adopt(Seen(running=False), NOW).life
    record = records.of_beginning(entry(life), NOW, adopted=True)
    assert (record.state, record.details["failed_in"]) == ("failed", "")


def test_a_failure_that_lasts_is_not_told_to_have_failed_in_failed() -> None:
    before = Life(Stage.FAILED, NOW, "no room", failed_in=None)
    record = records.of_step(entry(replace(before, reason="still there")), before, LATER)
    assert record is not None
    assert record.details["failed_in"] == ""


def test_an_actor_is_told_of_by_its_id() -> None:
    record = records.of_actor(change("root/core/tokens", "waiting"))
    assert (record.kind, record.subject, record.state) == (Kind.ACTOR, "tokens", "waiting")
    assert (record.before, record.reason, record.lasted_s) == ("idle", "why", 2.0)


def test_a_job_is_told_of_by_its_runner_with_githubs_word_for_its_end() -> None:
    record = records.of_job(
        "fleet-a", "acme/demo", 7, "failure", LATER, queued_at=NOW, started_at=LATER, queue_s=90.0
    )
    assert (record.kind, record.subject, record.state) == (Kind.JOB, "fleet-a", "failure")
    assert record.details == {
        "repository": "acme/demo", "run_id": 7, "queued_at": NOW.isoformat(),
        "started_at": LATER.isoformat(), "queue_s": 90.0,
    }  # fmt: skip


def test_of_a_job_whose_end_github_does_not_show_that_is_told() -> None:
    record = records.of_job(
        "fleet-a", "acme/demo", 7, "", LATER, queued_at=NOW, started_at=LATER, queue_s=90.0
    )
    assert (record.state, record.reason) == ("", "GitHub shows no end of it")


def test_a_reconcile_counts_who_waits_and_who_works_and_names_who_is_there() -> None:
    record = records.of_reconcile(
        "fleet",
        NOW,
        runners={"d": Stage.READY, "c": Stage.IDLE, "b": Stage.BUSY, "a": Stage.CREATING},
        wanted=5,
        failed=2,
        duration_s=0.25,
        trouble="",
    )
    assert (record.subject, record.state, record.reason) == ("fleet", "done", "")
    assert record.details == {
        "wanted": 5, "idle": 2, "active": 1, "failed": 2, "duration_s": 0.25,
    }  # fmt: skip
    assert record.runners == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("verdict", "state"),
    [("allowed", "allowed"), ("refused", "refused"), ("error", "error"), ("a new one", "error")],
)
def test_a_decision_is_told_in_three_words(verdict: str, state: str) -> None:
    said = {
        "time": NOW.isoformat(timespec="milliseconds"),
        "runner": "fleet-a",
        "repository": "acme/demo",
        "event": "push",
        "verdict": verdict,
        "reason": "",
        "duration_ms": 1500,
    }
    record = records.of_decision(said)
    assert record is not None
    assert (record.at, record.subject, record.state) == (NOW, "fleet-a", state)
    assert record.details["seconds"] == 1.5


def test_a_decision_of_no_known_time_is_not_told() -> None:
    said = dict.fromkeys(("time", "runner", "repository", "event", "verdict", "reason"), "?")
    assert records.of_decision({**said, "duration_ms": 1}) is None
