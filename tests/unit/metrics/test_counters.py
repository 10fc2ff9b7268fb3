"""What has happened is counted, once, under names of which there are few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from fake_world import World
from metrics_page import record, runner

from supervisor.lifecycle import Job
from supervisor.metrics import PREFIX
from supervisor.metrics.counters import Counters
from supervisor.observation.awaited_jobs import PATIENCE_S, UNSEEN_PATIENCE_S
from supervisor.observation.feed import Feed, Kind


class Counted:
    """Counters and their feed."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.feed = Feed(lambda: self.now_s)
        self.counters = Counters(self.feed)

    def tell(self, *records: Any) -> None:
        for one in records:
            self.feed.tell(one)

    def tell_at(self, now_s: float, *records: Any) -> None:
        self.now_s = now_s
        self.tell(*records)

    def samples(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        for family in self.counters.collect():
            for sample in family.samples:
                if sample.name == f"{PREFIX}_{name}":
                    yield sample.labels, sample.value

    def value(self, name: str, **labels: str) -> float:
        (found,) = [number for has, number in self.samples(name) if has == labels]
        return found

    def over_zero(self, name: str) -> list[tuple[set[str], float]]:
        return [(set(has.values()), number) for has, number in self.samples(name) if number]


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_how_long_a_stage_lasted_is_known_when_it_is_left(counted: Counted) -> None:
    counted.tell(runner("requested"), runner("creating", "requested", lasted_s=2))
    counted.tell(runner("booting", "creating", lasted_s=5))
    name = "runner_stage_duration_seconds"
    assert counted.value(f"{name}_sum", stage="requested") == 2
    assert counted.value(f"{name}_count", stage="creating") == 1
    assert counted.value(f"{name}_bucket", stage="creating", le="5.0") == 1
    assert counted.value(f"{name}_bucket", stage="creating", le="2.5") == 0
    assert counted.value(f"{name}_count", stage="booting") == 0


def test_a_runners_wait_is_counted_once_however_many_stages_it_took(counted: Counted) -> None:
    counted.tell(
        runner("ready", "booting"),
        runner("idle", "ready", lasted_s=2.2),
        runner("busy", "idle", lasted_s=3600, waited_s=3602.2),
        runner("idle", "ready", "another", lasted_s=2.2),
        runner("retiring", "idle", "another", lasted_s=60),
    )
    name = "runner_wait_duration_seconds"
    assert (counted.value(f"{name}_count"), counted.value(f"{name}_sum")) == (1, 3602.2)


def test_a_job_takes_as_long_as_from_what_its_guest_tells_of_its_beginning(
    counted: Counted,
) -> None:
    counted.tell(
        runner("busy", "idle", lasted_s=60),
        runner("busy", "busy", waited_s=62.0, job_s=0.0),
        runner("finished", "busy", lasted_s=32, job_s=30.0),
    )
    name = "runner_stage_duration_seconds_sum"
    assert (counted.value(name, stage="busy"), counted.value(name, stage="idle")) == (30.0, 0.0)
    assert counted.value("runner_wait_duration_seconds_sum") == 62.0


def test_a_boot_whose_end_was_not_heard_of_counts_in_no_duration(counted: Counted) -> None:
    """Its guest has told of its job, and so was ready some time before."""
    counted.tell(runner("busy", "booting", lasted_s=30, job_s=0.0))
    assert counted.value("runner_stage_duration_seconds_count", stage="booting") == 0


def test_a_job_that_only_github_tells_of_counts_in_no_duration(counted: Counted) -> None:
    counted.tell(
        runner("busy", "booting", lasted_s=30),
        runner("finished", "busy", lasted_s=0.2),
        runner("busy", "idle", "another", lasted_s=60),
        runner("failed", "busy", "another", lasted_s=5),
    )
    for stage in ("booting", "idle", "busy"):
        assert counted.value("runner_stage_duration_seconds_count", stage=stage) == 0
    assert counted.value("runner_wait_duration_seconds_count") == 0


def test_that_more_is_known_of_a_stage_counts_nothing(counted: Counted) -> None:
    counted.tell(runner("busy", "busy", job={"result": ""}, lasted_s=9))
    assert counted.value("runner_stage_duration_seconds_count", stage="busy") == 0


def test_a_failure_is_counted_where_it_happened_and_once(counted: Counted) -> None:
    counted.tell(
        runner("retiring", "booting", reason="took too long: waits"),
        runner("failed", "retiring", cause="timed-out", failed_in="booting"),
        runner("failed", "failed", cause="removal-failed"),
        runner("deleted", "failed", reason="took too long: waits"),
    )
    assert counted.over_zero("runner_failures_total") == [({"booting", "timeout"}, 1)]


@pytest.mark.parametrize(
    ("state", "known", "expected"),
    [
        ("finished", {"cause": "stopped"}, [({"booting", "stopped"}, 1)]),
        ("deleted", {}, [({"booting", "gone"}, 1)]),
        ("finished", {}, []),  # it was ordered
    ],
)
def test_one_that_ends_by_itself_before_its_job_has_failed(
    counted: Counted, state: str, known: dict[str, str], expected: list[Any]
) -> None:
    counted.tell(runner(state, "booting", **known))
    assert counted.over_zero("runner_failures_total") == expected


def test_one_that_ran_its_job_has_not_failed(counted: Counted) -> None:
    job = {"result": "Failed", "event": "push"}
    reason = "the runner application ended with exit code 0; waits"
    counted.tell(runner("finished", "idle", reason=reason, job=job))
    assert counted.over_zero("runner_failures_total") == []


def test_a_job_is_counted_at_its_runners_end_by_result_and_event(counted: Counted) -> None:
    job = {"result": "Succeeded", "event": "schedule", "repository": "acme/secret"}
    counted.tell(
        runner("busy", "idle", job={**job, "result": ""}),
        runner("finished", "busy", job={**job, "result": ""}),
        runner("finished", "finished", job=job),
        runner("deleted", "finished", job=job),
        runner("deleted", "idle", "other", job=None),
    )
    assert counted.over_zero("jobs_total") == [({"succeeded", "schedule"}, 1)]


WORK = {"result": "", "event": "push", "repository": "acme/demo", "run_id": "7"}


def github_tells(state: str) -> Any:
    return record(Kind.JOB, "fleet-1", state, details={"queue_s": 12.0})


@pytest.mark.parametrize(("state", "result"), [("failure", "failed"), ("", "unknown")])
def test_a_job_of_whose_result_nobody_has_told_is_counted_when_github_does(
    counted: Counted, state: str, result: str
) -> None:
    counted.tell(runner("deleted", "finished", "fleet-1", job=WORK))
    assert counted.over_zero("jobs_total") == []
    counted.tell(github_tells(state))
    counted.tell_at(PATIENCE_S, github_tells(state))
    assert counted.over_zero("jobs_total") == [({result, "push"}, 1)]


def test_a_job_of_whose_result_nobody_tells_is_counted_as_such_after_a_minute(
    counted: Counted,
) -> None:
    counted.tell(runner("deleted", "finished", "fleet-1", job=WORK))
    counted.tell_at(PATIENCE_S - 0.1, record(Kind.ORDER, "flush", "ordered"))
    assert counted.over_zero("jobs_total") == []
    counted.tell_at(PATIENCE_S, record(Kind.ORDER, "flush", "ordered"))
    counted.tell(github_tells("success"))
    assert counted.over_zero("jobs_total") == [({"unknown", "push"}, 1)]


def test_a_job_that_is_waited_for_in_vain_is_on_the_page_though_nothing_has_happened_since(
    counted: Counted,
) -> None:
    counted.tell(runner("deleted", "finished", "fleet-1", job=WORK))
    assert counted.over_zero("jobs_total") == []
    counted.now_s = PATIENCE_S
    assert counted.over_zero("jobs_total") == [({"unknown", "push"}, 1)]


@pytest.mark.parametrize("lacking", ["run_id", "repository"])
def test_a_job_that_github_can_not_be_asked_about_is_counted_at_once(
    counted: Counted, lacking: str
) -> None:
    counted.tell(runner("deleted", "finished", "fleet-1", job={**WORK, lacking: ""}))
    assert counted.over_zero("jobs_total") == [({"unknown", "push"}, 1)]


@pytest.mark.parametrize("run_id", ["7", ""])
def test_a_job_whose_end_nobody_saw_is_counted_at_once_where_its_guest_had_told_how_that_was(
    counted: Counted, run_id: str
) -> None:
    counted.counters.miss_job("fleet-1", Job(**{**WORK, "run_id": run_id, "result": "Failed"}))
    assert counted.over_zero("jobs_total") == [({"failed", "push"}, 1)]
    counted.tell(github_tells("failure"))
    assert counted.over_zero("jobs_total") == [({"failed", "push"}, 1)]


@pytest.mark.parametrize("missed", ["", "Failed"], ids=["not told before", "told before"])
@pytest.mark.parametrize("ended", ["", "Failed"], ids=["not told", "told"])
@pytest.mark.parametrize("answers", [(0, 1), (1, 0), (0, 0)], ids=["late", "early", "never"])
def test_a_job_whose_runner_was_thought_to_be_gone_and_was_not_is_counted_once(
    counted: Counted, missed: str, ended: str, answers: tuple[int, int]
) -> None:
    early, late = ([github_tells("failure")] * times for times in answers)
    counted.counters.miss_job("fleet-1", Job(**{**WORK, "result": missed}))
    counted.tell(*early, runner("busy", "", "fleet-1", job=WORK))
    counted.tell(runner("deleted", "finished", "fleet-1", job={**WORK, "result": ended}), *late)
    counted.now_s = UNSEEN_PATIENCE_S
    (job,) = counted.over_zero("jobs_total")
    is_known = missed or ended or any(answers)
    assert job == ({"failed" if is_known else "unknown", "push"}, 1)


def test_a_job_whose_end_nobody_saw_is_counted_once_when_github_tells_how_that_was(
    counted: Counted,
) -> None:
    counted.counters.miss_job("fleet-1", Job(**WORK))
    assert counted.over_zero("jobs_total") == []
    counted.tell(github_tells("cancelled"), github_tells("cancelled"))
    assert counted.over_zero("jobs_total") == [({"cancelled", "push"}, 1)]


@pytest.mark.parametrize(("first", "after_s"), [("", 1.0), (None, UNSEEN_PATIENCE_S)])
def test_a_job_whose_end_nobody_saw_and_github_does_not_tell_is_not_counted(
    counted: Counted, first: str | None, after_s: float
) -> None:
    counted.counters.miss_job("fleet-1", Job(**WORK))
    counted.tell(
        github_tells(first) if first is not None else record(Kind.ORDER, "flush", "ordered")
    )
    counted.tell_at(after_s, github_tells("success"))
    assert counted.over_zero("jobs_total") == []


def test_a_replacement_and_its_time_are_counted(counted: Counted) -> None:
    counted.tell_at(0, runner("finished", "busy"))
    counted.tell_at(1, runner("requested", name="next"))
    counted.tell_at(25, runner("ready", "booting", "next"))
    assert counted.value("runner_replacements_total") == 1
    assert counted.value("runner_replacement_duration_seconds_sum") == 25


def test_the_daemons_clock_tells_how_long_a_replacement_took(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.feed.tell(runner("finished", "busy"))
    world.clock.advance(25)
    world.feed.tell(runner("ready", "booting", "next"))
    told = [sample for family in world.parts.counters.collect() for sample in family.samples]
    name = f"{PREFIX}_runner_replacement_duration_seconds_sum"
    assert [sample.value for sample in told if sample.name == name] == [25]


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_replacement_takes_as_long_though_the_time_of_day_is_set_meanwhile(
    counted: Counted, hours: int
) -> None:
    counted.tell_at(0, runner("finished", "busy"))
    counted.tell_at(25, runner("ready", "booting", "next", after_s=25 + 3600 * hours))
    assert counted.value("runner_replacement_duration_seconds_sum") == 25


def test_a_place_that_is_not_wanted_any_more_is_no_late_replacement(counted: Counted) -> None:
    counted.tell(runner("finished", "busy"))
    full = {"wanted": 2, "idle": 1, "active": 1, "failed": 0, "duration_s": 0.3}
    counted.tell_at(60, record(Kind.RECONCILE, "fleet", "done", details=full))
    counted.tell_at(9999, runner("requested", name="next"), runner("ready", "booting", "next"))
    assert counted.value("runner_replacements_total") == 0
    assert counted.value("runner_replacement_duration_seconds_count") == 0
    assert counted.value("reconcile_duration_seconds_sum") == 0.3


def test_runners_actors_restarts_are_counted_and_others_left_to_the_tree(counted: Counted) -> None:
    runners = {"path": "root/core/runners/fleet-1"}
    counted.tell(record(Kind.ACTOR, "fleet-1", "crashed", details=runners))
    counted.tell(record(Kind.ACTOR, "fleet-1", "restarted", details=runners))
    counted.tell(record(Kind.ACTOR, "tokens", "restarted", details={"path": "root/core/tokens"}))
    assert counted.value("runner_actor_restarts_total") == 1


def test_one_that_was_found_dead_says_nothing_of_runners_made_now(counted: Counted) -> None:
    counted.tell(runner("failed", reason="was found stopped", failed_in="", adopted=True))
    assert counted.over_zero("runner_failures_total") == []


def test_a_guests_own_refusal_has_no_time(counted: Counted) -> None:
    counted.tell(record(Kind.DECISION, "r", "refused", details={"seconds": None}))
    assert counted.value("policy_decisions_total", verdict="refused") == 1
    assert counted.value("policy_decision_duration_seconds_count") == 0


def test_decisions_are_counted_by_verdict_with_their_time(counted: Counted) -> None:
    for verdict in ("allowed", "refused", "error", "something new"):
        counted.tell(record(Kind.DECISION, "r", verdict, details={"seconds": 0.2}))
    assert {**{tuple(has.values()): n for has, n in counted.samples("policy_decisions_total")}} == {
        ("allowed",): 1, ("refused",): 1, ("error",): 2,
    }  # fmt: skip
    assert counted.value("policy_decision_duration_seconds_count") == 4


def test_how_long_jobs_have_waited_is_counted_when_github_tells(counted: Counted) -> None:
    counted.tell(record(Kind.JOB, "fleet-a", "success", details={"queue_s": 12.0}))
    counted.tell(record(Kind.JOB, "fleet-b", "failure", details={"queue_s": 400.0}))
    name = "job_queue_duration_seconds"
    assert (counted.value(f"{name}_count"), counted.value(f"{name}_sum")) == (2, 412)
    assert counted.value(f"{name}_bucket", le="20.0") == 1


def test_orders_are_counted_once_though_some_have_not_heard_of_them(counted: Counted) -> None:
    counted.tell(record(Kind.ORDER, "flush", "ordered"))
    counted.tell(record(Kind.ORDER, "flush", "refused"))
    assert counted.value("orders_total") == 1


def test_calls_are_counted_by_what_was_asked_and_how_it_was_answered(counted: Counted) -> None:
    counted.counters.count_call("GET", "/actions/runners", "304")
    counted.counters.count_call("GET", "/actions/runners", "no answer")
    assert {tuple(has.values()) for has, _ in counted.samples("github_calls_total")} == {
        ("GET", "/actions/runners", "3xx"), ("GET", "/actions/runners", "none"),
    }  # fmt: skip


def test_what_can_not_be_counted_costs_no_other_its_count(counted: Counted) -> None:
    order = record(Kind.ORDER, "flush", "ordered")
    counted.tell(order, record(Kind.JOB, "r", "success", details={}), order)
    assert counted.value("orders_total") == 2


def test_threads_lose_no_count(counted: Counted) -> None:
    def live(name: str) -> None:
        for _ in range(200):
            ended = runner("finished", "busy", name, job_s=1.0)
            counted.tell(ended, runner("requested", name=name))

    threads = [Thread(target=live, args=(f"r{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.value("runner_stage_duration_seconds_count", stage="busy") == 800
    assert counted.value("runner_replacements_total") == 800
