"""The time of day is believed when it has gone on evenly for a while."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.journal.wall_clock import WallClock
from supervisor.supervision import FakeClock

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
AFTER_S = 900.0
PASSING = st.floats(0, 1000)
SETTING = st.just(0) | st.integers(-(10**8), 10**8)


def look(before: WallClock, clock: FakeClock) -> WallClock:
    return before.seen(clock.now(), clock.monotonic())


def test_at_a_start_it_is_believed_some_minutes_later() -> None:
    clock = FakeClock(NOW)
    seen = look(WallClock.first_seen(clock.now(), clock.monotonic()), clock)
    assert not seen.is_believed(AFTER_S)
    clock.advance(AFTER_S)
    assert look(seen, clock).is_believed(AFTER_S)


@pytest.mark.parametrize("days", [-40, 40])
def test_one_that_was_set_is_not_believed_for_a_while_and_it_is_known_by_how_much(
    days: int,
) -> None:
    clock = FakeClock(NOW)
    seen = WallClock.first_seen(clock.now(), clock.monotonic())
    clock.advance(2 * AFTER_S)
    clock.set_by(86400 * days)
    seen = look(seen, clock)
    assert (seen.set_by, seen.is_believed(AFTER_S)) == (timedelta(days=days), False)
    clock.advance(AFTER_S - 1)
    seen = look(seen, clock)
    assert (seen.set_by, seen.is_believed(AFTER_S)) == (timedelta(0), False)
    clock.advance(1)
    assert look(seen, clock).is_believed(AFTER_S)


@given(st.lists(st.tuples(PASSING, SETTING), max_size=20))
def test_no_time_is_believed_that_was_set_lately_by_more_than_a_minute(
    told: list[tuple[float, int]],
) -> None:
    clock = FakeClock(NOW)
    seen = WallClock.first_seen(clock.now(), clock.monotonic())
    even_s = 0.0
    for seconds, by in told:
        clock.advance(seconds)
        clock.set_by(by)
        seen = look(seen, clock)
        even_s = 0.0 if abs(by) >= 60 else even_s + seconds
        assert seen.is_believed(AFTER_S) == (even_s >= AFTER_S) or even_s == pytest.approx(AFTER_S)
        assert seen.now == clock.now()
