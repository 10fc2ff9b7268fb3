from __future__ import annotations

import threading
from datetime import timezone

import pytest
from loguru import logger

from supervisor.supervision import FakeClock, SystemClock, Timers

LIMIT_S = 10.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def timers(clock: FakeClock) -> Timers:
    return Timers(clock)


def test_timers_fire_in_order_of_their_due_times(clock: FakeClock, timers: Timers) -> None:
    fired: list[str] = []
    for name, due in (("c", 3), ("a", 1), ("b", 2), ("also a", 1)):
        timers.schedule(due, lambda name=name: fired.append(name))
    clock.advance(2.5)
    assert fired == ["a", "also a", "b"]


def test_the_clock_shows_the_due_time_while_a_timer_runs(clock: FakeClock, timers: Timers) -> None:
    seen: list[float] = []
    timers.schedule(2, lambda: seen.append(clock.monotonic()))
    clock.advance(5)
    assert seen == [2]
    assert clock.monotonic() == 5


def test_a_timer_set_by_a_timer_fires_in_the_same_advance(clock: FakeClock, timers: Timers) -> None:
    seen: list[float] = []
    timers.schedule(2, lambda: timers.schedule(2, lambda: seen.append(clock.monotonic())))
    clock.advance(5)
    assert seen == [4]


def test_a_cancelled_timer_never_fires(clock: FakeClock, timers: Timers) -> None:
    fired: list[str] = []
    timer = timers.schedule(1, lambda: fired.append("x"))
    timer.cancel()
    timer.cancel()
    clock.advance(2)
    assert fired == []
    assert not timer.pending


def test_cancelling_a_timer_that_fired_does_nothing(clock: FakeClock, timers: Timers) -> None:
    timer = timers.schedule(1, lambda: None)
    clock.advance(2)
    timer.cancel()
    timers.schedule(1, lambda: None)
    assert timers.next_due() == 3


def test_many_cancelled_timers_take_no_memory(timers: Timers) -> None:
    for _ in range(10_000):
        timers.schedule(1000, lambda: None).cancel()
    assert len(timers._heap) < 200


def test_what_a_timer_raises_is_logged_and_the_next_one_fires(
    clock: FakeClock, timers: Timers
) -> None:
    fired: list[str] = []
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]))
    timers.schedule(1, lambda: 1 / 0)
    timers.schedule(1, lambda: fired.append("x"))
    clock.advance(1)
    logger.remove(sink)
    assert fired == ["x"]
    assert lines == ["a timer's callback failed"]


def test_a_negative_delay_is_due_at_once(clock: FakeClock, timers: Timers) -> None:
    fired: list[str] = []
    timers.schedule(-5, lambda: fired.append("x"))
    clock.advance(0)
    assert fired == ["x"]


def test_the_time_of_day_moves_with_the_clock(clock: FakeClock) -> None:
    before = clock.now()
    clock.advance(90)
    assert (clock.now() - before).total_seconds() == 90


def test_the_systems_clock_is_aware_and_monotonic() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is timezone.utc
    assert clock.monotonic() <= clock.monotonic()


def test_under_the_systems_clock_timers_fire_by_themselves_and_leave_no_thread() -> None:
    timers = Timers(SystemClock())
    fired = threading.Event()
    timers.schedule(0.001, fired.set)
    thread = timers._thread
    assert fired.wait(LIMIT_S)
    assert thread is not None
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_an_earlier_timer_wakes_up_a_waiting_thread() -> None:
    timers = Timers(SystemClock())
    fired = threading.Event()
    late = timers.schedule(3600, lambda: None)
    timers.schedule(0.001, fired.set)
    assert fired.wait(LIMIT_S)
    late.cancel()
