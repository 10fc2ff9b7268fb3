"""A runner that was there before its actor is taken over where it stands."""

from dataclasses import replace
from datetime import timedelta

import pytest

from supervisor.lifecycle import Effect, Limits, Seen, Stage, adopt
from tests.unit.lifecycle.lives import JOB, NOW


@pytest.mark.parametrize(
    ("seen", "stage"),
    [
        (Seen(running=True), Stage.BOOTING),
        (Seen(running=True, stage="ready"), Stage.READY),
        (Seen(running=True, stage="busy", job=JOB), Stage.BUSY),
        (Seen(running=True, stage="nonsense"), Stage.BOOTING),
        (Seen(running=False, stage="busy", stop_noticed=True), Stage.FINISHED),
        (Seen(running=False, stage="busy"), Stage.FAILED),
        (Seen(running=False, stage="ready", stop_noticed=True), Stage.FAILED),
        (None, Stage.DELETED),
    ],
)
def test_a_runner_is_taken_over_where_it_stands(seen: Seen | None, stage: Stage) -> None:
    assert adopt(seen, NOW).life.stage is stage


@pytest.mark.parametrize("stage", ["ready", "busy"])
def test_secrets_that_an_earlier_daemon_left_in_an_instance_are_taken_out(stage: str) -> None:
    seen = Seen(running=True, stage=stage)
    assert adopt(seen, NOW).effects == ()
    assert adopt(replace(seen, holds_secrets=True), NOW).effects == (Effect.RECORD,)


def test_a_taken_over_runner_has_the_rest_of_its_time() -> None:
    limits = Limits(busy=timedelta(hours=2), booting=timedelta(minutes=10))
    busy = Seen(running=True, stage="busy", since=NOW - timedelta(hours=1), created_at=NOW)
    taken_over = adopt(busy, NOW).life
    assert taken_over.since == NOW - timedelta(hours=1)
    assert limits.left(taken_over, NOW) == timedelta(hours=1)
    booting = adopt(Seen(running=True, created_at=NOW - timedelta(minutes=4)), NOW).life
    assert limits.left(booting, NOW) == timedelta(minutes=6)


def test_one_taken_over_past_its_time_is_given_a_moment_to_be_heard_of() -> None:
    limits = Limits(booting=timedelta(minutes=10))
    booting = adopt(Seen(running=True, created_at=NOW - timedelta(days=4)), NOW).life
    assert limits.left(booting, NOW) == Limits.GRACE
    assert Limits(booting=timedelta(seconds=5)).left(booting, NOW) == timedelta(seconds=5)


def test_a_clock_that_went_back_gives_nobody_more_than_the_limit() -> None:
    found = Seen(running=True, stage="busy", since=NOW + timedelta(days=9), created_at=NOW)
    assert Limits().left(adopt(found, NOW).life, NOW) == Limits.busy
