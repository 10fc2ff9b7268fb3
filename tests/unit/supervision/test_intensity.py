from hypothesis import given
from hypothesis import strategies as st

from supervisor.supervision.intensity import RestartWindow


@given(
    steps=st.lists(st.integers(0, 8), max_size=60),
    intensity=st.integers(0, 6),
    period=st.integers(1, 20),
)
def test_a_restart_is_refused_exactly_when_more_than_intensity_fell_in_the_period(
    steps: list[int], intensity: int, period: int
) -> None:
    window = RestartWindow(intensity, period)
    times: list[int] = []
    now = 0
    for step in steps:
        now += step
        times.append(now)
        in_period = sum(now - time <= period for time in times)
        assert window.add(now) == (in_period <= intensity)


def test_the_last_instant_of_the_period_counts_as_in_otp() -> None:
    window = RestartWindow(1, 5.0)
    assert window.add(0.0)
    assert not window.add(5.0)


def test_a_restart_just_after_the_period_is_the_first_again() -> None:
    window = RestartWindow(1, 5.0)
    assert window.add(0.0)
    assert window.add(5.001)


def test_an_intensity_of_zero_tolerates_no_restart() -> None:
    assert not RestartWindow(0, 5.0).add(0.0)


def test_old_restarts_take_no_memory() -> None:
    window = RestartWindow(5, 1.0)
    for second in range(1000):
        window.add(float(second))
    assert len(window._restarts) <= 2
