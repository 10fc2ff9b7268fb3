from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from supervisor.lifecycle import Life, Stage
from supervisor.throttling.trials import Trials

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
SOON = NOW + timedelta(seconds=1)


def begun(*names: str) -> Trials:
    trials = Trials(at_once=4)
    for name in names:
        trials.begin(name, NOW)
    return trials


def failed(stage: Stage, **more: Any) -> Life:
    life = Life(Stage.FAILED, NOW, "broken", failed_in=stage)
    return replace(life, **more)


@pytest.mark.parametrize("stage", [Stage.CREATING, Stage.BOOTING])
def test_a_runner_that_did_not_come_up_counts_once(stage: Stage) -> None:
    trials = begun("a")
    for _ in range(3):
        trials.learn("a", failed(stage), NOW)
    assert (trials.pace.failures, trials.pace.stage) == (1, stage)
    assert trials.pace.reason == "broken"


@pytest.mark.parametrize("stage", [Stage.REQUESTED, Stage.BUSY, Stage.FINISHED])
def test_neither_github_nor_a_job_makes_others_wait(stage: Stage) -> None:
    trials = begun("a")
    trials.learn("a", failed(stage), NOW)
    assert trials.pace.failures == 0


@pytest.mark.parametrize(("minutes", "failures"), [(1, 1), (3, 0)])
def test_one_that_dies_soon_after_it_was_ready_counts_and_later_does_not(
    minutes: int, failures: int
) -> None:
    trials = begun("a")
    trials.learn("a", failed(Stage.IDLE, ready_at=NOW), NOW + timedelta(minutes=minutes))
    assert trials.pace.failures == failures


def test_one_that_github_never_saw_online_counts_however_late_that_is_known() -> None:
    trials = begun("a")
    trials.learn("a", failed(Stage.READY, ready_at=NOW), NOW + timedelta(minutes=5))
    assert (trials.pace.failures, trials.pace.stage) == (1, Stage.READY)


def test_one_that_was_taken_over_says_nothing() -> None:
    trials = begun()
    trials.learn("a", failed(Stage.BOOTING), NOW)
    assert trials.pace.failures == 0


def test_one_that_github_is_asked_about_has_not_failed_yet() -> None:
    trials = begun("a")
    trials.learn("a", replace(failed(Stage.BOOTING), stage=Stage.RETIRING), NOW)
    assert trials.pace.failures == 0
    trials.learn("a", failed(Stage.BOOTING), NOW)
    assert trials.pace.failures == 1


def test_one_that_ends_well_is_forgotten() -> None:
    trials = begun("a")
    trials.learn("a", Life(Stage.DELETED, NOW), NOW)
    trials.learn("a", failed(Stage.BOOTING), NOW)
    assert trials.pace.failures == 0


def test_one_that_comes_further_ends_the_wait() -> None:
    trials = begun("a")
    trials.learn("a", failed(Stage.CREATING), NOW)
    trials.begin("b", NOW + timedelta(seconds=1))
    trials.learn("b", Life(Stage.BOOTING, NOW), NOW)
    assert trials.pace.failures == 0


def test_after_a_crash_of_the_fleet_it_goes_on_with_those_that_are_there() -> None:
    trials = begun("a")
    trials.learn("a", failed(Stage.BOOTING), NOW)
    trials.begin("boots", SOON)
    trials.begin("gone", SOON)
    trials.resume({"boots": Life(Stage.BOOTING, SOON)}, SOON)
    trials.learn("gone", failed(Stage.BOOTING), SOON)  # taken over, and so another's trial
    assert trials.pace.failures == 1
    trials.learn("boots", Life(Stage.READY, SOON), SOON)
    assert trials.pace.failures == 0


def test_what_failed_while_the_fleet_was_down_counts() -> None:
    trials = begun("a")
    trials.resume({"a": failed(Stage.BOOTING)}, NOW)
    assert (trials.pace.failures, trials.pace.stage) == (1, Stage.BOOTING)


def idle(since: datetime = NOW) -> Life:
    return Life(Stage.IDLE, since, ready_at=since)


def broken(stage: Stage = Stage.IDLE) -> Trials:
    """Give trials of which one has failed, and another was begun after that."""
    trials = begun("a")
    trials.learn("a", failed(stage, ready_at=NOW), NOW)
    trials.begin("b", SOON)
    return trials


def test_one_that_lives_on_ends_the_wait_where_others_died_soon_after_they_were_online() -> None:
    trials = broken()
    assert trials.outlast([idle()], NOW + timedelta(seconds=90)) == timedelta(seconds=30)
    assert trials.pace.failures == 1
    assert trials.outlast([idle()], NOW + timedelta(minutes=2)) is None
    assert trials.pace.failures == 0


def test_the_next_that_may_outlast_the_others_is_waited_for() -> None:
    trials = broken()
    later = idle(NOW + timedelta(seconds=5))
    assert trials.outlast([later, idle()], SOON) == timedelta(seconds=119)


def test_one_begun_before_the_last_failure_that_came_online_after_it_proves_as_much() -> None:
    """It counts as on trial: nobody else would be tried, and nobody would end that."""
    trials = begun("a", "b")
    trials.learn("a", failed(Stage.IDLE, ready_at=NOW), SOON)
    trials.outlast([idle(SOON)], SOON + timedelta(minutes=2))
    assert trials.pace.failures == 0


@pytest.mark.parametrize(
    "life",
    [
        idle(),  # online before the failure
        replace(idle(SOON), stage=Stage.READY),  # GitHub has not seen it online
        replace(idle(SOON), stage=Stage.RETIRING),
        replace(idle(SOON), ready_at=None),
    ],
)
def test_no_other_that_is_there_for_long_proves_anything(life: Life) -> None:
    trials = begun("a", "b")
    trials.learn("a", failed(Stage.IDLE, ready_at=NOW), SOON)
    trials.outlast([life], NOW + timedelta(hours=1))
    assert trials.pace.failures == 1


@pytest.mark.parametrize("stage", [Stage.CREATING, Stage.BOOTING, Stage.READY])
def test_where_others_fail_earlier_nobody_is_waited_for(stage: Stage) -> None:
    trials = broken(stage)
    assert trials.outlast([idle()], NOW) is None
    assert trials.pace.failures == 1


def test_an_actor_that_does_not_start_is_a_failure_too() -> None:
    trials = begun("a")
    trials.did_not_start("a", RuntimeError("no threads"), NOW)
    assert trials.pace.reason == "an actor did not start: no threads"
    trials.did_not_start("unknown", RuntimeError("no threads"), NOW + timedelta(seconds=1))
    assert trials.pace.failures == 2
