"""What makes a fleet ok, degraded or failing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lifecycle import Stage
from supervisor.status.health import LONGEST_SHORTAGE, Facts, Health, is_short, judge, short_since

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
SOUND = Facts(wanted=3, present=3, short=False, blocked=False, kept=True, problems=())

facts = st.builds(
    Facts,
    wanted=st.integers(0, 3),
    present=st.integers(0, 3),
    short=st.booleans(),
    blocked=st.booleans(),
    kept=st.booleans(),
    problems=st.sampled_from([(), ("image: failing: no",)]),
)


def test_a_fleet_with_nothing_wrong_is_ok() -> None:
    assert judge(SOUND) is Health.OK


def test_none_there_for_a_moment_is_ok_as_each_runner_is_for_one_job() -> None:
    assert judge(replace(SOUND, wanted=1, present=0)) is Health.OK


def test_a_failed_runner_alone_makes_no_failing_fleet() -> None:
    assert judge(replace(SOUND, present=0, problems=("a: no disk",))) is Health.DEGRADED


@pytest.mark.parametrize("worse", [{"blocked": True}, {"short": True}])
def test_what_keeps_runners_from_being_made_degrades_and_fails_when_none_is_left(
    worse: dict[str, bool],
) -> None:
    some = replace(SOUND, problems=("storage: failing: no",), **worse)
    assert judge(some) is Health.DEGRADED
    assert judge(replace(some, present=0)) is Health.FAILING


def test_a_fleet_of_which_none_is_wanted_can_not_fail_for_want_of_runners() -> None:
    blocked = replace(SOUND, wanted=0, present=0, blocked=True, problems=("image: failing: no",))
    assert judge(blocked) is Health.DEGRADED


@given(facts)
def test_a_fleet_that_nobody_keeps_is_failing(given_facts: Facts) -> None:
    assert judge(replace(given_facts, kept=False)) is Health.FAILING


@given(facts)
def test_a_problem_is_never_ok(given_facts: Facts) -> None:
    assert judge(replace(given_facts, problems=("x: y",))) is not Health.OK


@given(facts)
def test_more_runners_never_make_it_worse(given_facts: Facts) -> None:
    order = [Health.OK, Health.DEGRADED, Health.FAILING]
    more = judge(replace(given_facts, present=given_facts.present + 1))
    assert order.index(more) <= order.index(judge(given_facts))


@pytest.mark.parametrize("stage", [Stage.FAILED, Stage.DELETED])
def test_a_runner_that_has_failed_is_missing_since_then(stage: Stage) -> None:
    assert short_since(None, 2, [Stage.IDLE, stage], NOW) == NOW
    before = NOW - timedelta(minutes=3)
    assert short_since(before, 2, [Stage.IDLE, stage], NOW) == before


@pytest.mark.parametrize(
    "stage", [stage for stage in Stage if stage not in {Stage.FAILED, Stage.DELETED}]
)
def test_one_that_comes_or_makes_room_is_not_missing(stage: Stage) -> None:
    assert short_since(NOW, 2, [Stage.IDLE, stage], NOW) is None


def test_none_is_missing_of_none() -> None:
    assert short_since(NOW, 0, [], NOW) is None


def test_a_shortage_is_too_long_from_its_limit_on() -> None:
    assert not is_short(None, NOW)
    assert not is_short(NOW - LONGEST_SHORTAGE + timedelta(seconds=1), NOW)
    assert is_short(NOW - LONGEST_SHORTAGE, NOW)
