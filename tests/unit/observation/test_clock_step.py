"""By how much the time of day was set is known from how long a stage lasted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_records import NAME, NOW

from supervisor.observation.clock_step import clock_step
from supervisor.observation.feed import Kind, Record
from supervisor.supervision import FakeClock

NOTHING = timedelta(0)
SETTING = st.just(0) | st.integers(2, 10**8) | st.integers(-(10**8), -2)


def left(clock: FakeClock, lasted_s: float, before: str = "idle") -> Record:
    return Record(clock.now(), Kind.RUNNER, NAME, "busy", before, "", lasted_s)


@given(st.floats(0.1, 1e7), SETTING)
def test_what_the_clock_was_set_by_is_what_has_not_passed(lasted_s: float, set_by_s: int) -> None:
    clock = FakeClock(NOW)
    since = clock.now()
    clock.advance(lasted_s)
    clock.set_by(set_by_s)
    found = clock_step(left(clock, lasted_s), "idle", since)
    assert found.total_seconds() == pytest.approx(set_by_s, abs=1e-3)


def test_what_telling_takes_is_no_step() -> None:
    clock = FakeClock(NOW)
    since = clock.now()
    clock.advance(60.4)
    assert clock_step(left(clock, 60), "idle", since) == NOTHING


def test_nothing_is_known_of_one_that_was_elsewhere_or_was_not_seen_to_come_there() -> None:
    clock = FakeClock(NOW)
    since = clock.now()
    clock.advance(5000)
    assert clock_step(left(clock, 60, "busy"), "idle", since) == NOTHING
    assert clock_step(left(clock, 60), "idle", None) == NOTHING
    assert clock_step(left(clock, 0), "idle", since) == NOTHING
