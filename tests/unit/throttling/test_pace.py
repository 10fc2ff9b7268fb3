from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lifecycle import Stage
from supervisor.planning import Runner
from supervisor.throttling.pace import Pace

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
WAY = (Stage.REQUESTED, Stage.CREATING, Stage.BOOTING, Stage.READY, Stage.IDLE, Stage.BUSY)

runners = st.lists(
    st.builds(Runner, st.text(), st.sampled_from(Stage), st.just("new"), st.just(NOW)), max_size=12
)
failures = st.lists(st.sampled_from(WAY[1:5]), max_size=12)


def at(stage: Stage) -> Runner:
    return Runner("a", stage, "new", NOW)


def after(*stages: Stage) -> tuple[Pace, datetime]:
    """Give the pace after failures that each came as soon as they could, and when that is."""
    pace, now = Pace(at_once=4), NOW
    for stage in stages:
        pace = pace.failed(stage, f"failed {stage}", now, begun=now)
        now += pace.delay(now)
    return pace, now


def test_so_many_are_made_at_once() -> None:
    pace = Pace(at_once=4)
    assert pace.admit(10, [], NOW) == 4
    assert pace.admit(10, [at(Stage.CREATING), at(Stage.BOOTING)], NOW) == 3
    assert pace.admit(2, [], NOW) == 2


def test_a_failure_makes_others_wait_and_no_more_than_that() -> None:
    pace, later = after(Stage.BOOTING)
    assert not pace.is_open
    assert pace.admit(10, [], NOW) == 0
    assert later == NOW + timedelta(seconds=1)
    assert pace.admit(10, [], later) == 4


def test_after_a_failure_those_that_boot_still_count_as_in_the_making() -> None:
    """Or a fleet of a thousand would be made anew as a whole before the breaker opens."""
    pace, later = after(Stage.BOOTING)
    booting = [at(Stage.BOOTING)] * 3
    assert pace.admit(1000, booting, later) == 1
    assert pace.admit(1000, [*booting, at(Stage.CREATING)], later) == 0
    assert pace.admit(1000, [at(Stage.READY)] * 500, later) == 4
    assert Pace(at_once=4).admit(1000, booting, later) == 4


def test_several_failures_in_a_row_open_the_breaker() -> None:
    pace, later = after(*[Stage.BOOTING] * 3)
    assert pace.is_open
    assert (pace.stage, pace.reason) == (Stage.BOOTING, "failed booting")
    assert pace.admit(10, [], later) == 1


def test_waits_are_doubled_up_to_a_limit() -> None:
    waits = []
    for count in range(1, 13):
        pace, later = after(*[Stage.CREATING] * count)
        waits.append((later - (pace.last_failure or later)).total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


@pytest.mark.parametrize("stage", WAY[1:5])
def test_while_it_is_open_the_next_one_waits_until_the_last_one_has_come_through(
    stage: Stage,
) -> None:
    pace, later = after(*[stage] * 3)
    for here in WAY:
        is_past = WAY.index(here) > WAY.index(stage)
        assert pace.admit(10, [at(here)], later) == (1 if is_past else 0)


def test_a_runner_that_waits_since_before_the_trouble_is_not_on_trial() -> None:
    pace, later = after(*[Stage.IDLE] * 3)
    old = replace(at(Stage.IDLE), ready_at=NOW - timedelta(hours=1))
    assert pace.admit(10, [old], later) == 1


@pytest.mark.parametrize("stage", WAY[1:5])
def test_one_that_comes_past_the_stage_closes_it(stage: Stage) -> None:
    pace, later = after(*[stage] * 5)
    for here in WAY[1:]:
        is_past = WAY.index(here) > WAY.index(stage)
        assert pace.passed(here, begun=later).is_open is not is_past


@given(
    st.lists(st.timedeltas(timedelta(0), timedelta(hours=1)), min_size=3, max_size=6),
    st.timedeltas(timedelta(0), timedelta(hours=7)),
)
def test_whoever_is_tried_where_others_died_young_ends_it_by_living_on(
    apart: list[timedelta], online: timedelta
) -> None:
    pace, now = Pace(at_once=4), NOW
    for wait in apart:
        pace, now = pace.failed(Stage.IDLE, "died", now, begun=None), now + wait
    living = replace(at(Stage.IDLE), ready_at=NOW + online)
    is_on_trial = pace.admit(1, [living], now + Pace.LONGEST_DELAY) == 0
    if is_on_trial:
        assert not pace.outlasted(NOW + online).is_open


def test_one_from_before_the_last_failure_does_not_close_it() -> None:
    pace, _ = after(*[Stage.BOOTING] * 5)
    assert pace.passed(Stage.BUSY, begun=NOW - timedelta(hours=1)) == pace


def test_the_furthest_stage_that_runners_failed_in_must_be_passed() -> None:
    pace, later = after(Stage.BOOTING, Stage.READY, Stage.CREATING)
    assert pace.stage is Stage.READY
    assert pace.passed(Stage.READY, later).is_open
    assert not pace.passed(Stage.IDLE, later).is_open


def test_one_trouble_that_many_meet_at_once_counts_once() -> None:
    pace = Pace(at_once=4)
    for _ in range(4):
        pace = pace.failed(Stage.CREATING, "no space", NOW + timedelta(seconds=1), begun=NOW)
    assert pace.failures == 1


def test_while_it_is_not_known_whether_github_registers_one_at_a_time_is_tried() -> None:
    pace = Pace(at_once=4)
    assert pace.admit(10, [], NOW, proven=False) == 1
    assert pace.admit(10, [at(Stage.CREATING), at(Stage.BOOTING)], NOW, proven=False) == 1
    assert pace.admit(10, [at(Stage.REQUESTED)], NOW, proven=False) == 0


@given(st.integers(1, 8), failures, st.integers(0, 20), runners, st.booleans())
def test_the_pace_is_kept(
    at_once: int, failed: list[Stage], want: int, fleet: list[Runner], proven: bool
) -> None:
    pace, now = Pace(at_once), NOW
    for stage in failed:
        pace = pace.failed(stage, "", now, begun=now)
        assert timedelta(0) < pace.delay(now) <= Pace.LONGEST_DELAY
        assert pace.admit(want, fleet, now) == 0
        now += pace.delay(now)
    starting = sum(1 for r in fleet if r.stage in {Stage.REQUESTED, Stage.CREATING})
    admitted = pace.admit(want, fleet, now, proven=proven)
    assert 0 <= admitted <= want
    assert admitted == 0 or admitted + starting <= max(at_once, 1)
    assert not pace.is_open or admitted <= 1
