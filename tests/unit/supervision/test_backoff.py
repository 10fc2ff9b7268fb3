import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.supervision import Backoff

_SECONDS = st.floats(0.001, 1000)


@given(
    minimum=_SECONDS,
    more=st.floats(0, 1000),
    factor=st.floats(1, 10),
    jitter=st.floats(0, 2),
    earlier=st.integers(0, 10_000),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_is_never_shorter_than_the_minimum_nor_longer_than_the_maximum_with_jitter(
    minimum: float, more: float, factor: float, jitter: float, earlier: int, chance: float
) -> None:
    backoff = Backoff(minimum, minimum + more, factor, jitter)
    wait = backoff.delay(earlier, lambda: chance)
    assert minimum <= wait <= (minimum + more) * (1 + jitter) * 1.000001


@given(earlier=st.integers(0, 50))
def test_without_jitter_waits_never_shrink(earlier: int) -> None:
    backoff = Backoff(0.1, 60, 2, jitter=0)
    assert backoff.delay(earlier, lambda: 0.5) <= backoff.delay(earlier + 1, lambda: 0.5)


def test_waits_grow_by_the_factor_up_to_the_maximum() -> None:
    backoff = Backoff(1, 10, 3, jitter=0)
    assert [backoff.delay(n, lambda: 0.9) for n in range(5)] == [1, 3, 9, 10, 10]


def test_jitter_adds_its_share_by_chance() -> None:
    backoff = Backoff(1, 10, 2, jitter=0.5)
    assert backoff.delay(0, lambda: 0.0) == 1
    assert backoff.delay(0, lambda: 0.5) == 1.25


def test_ten_thousand_restarts_in_a_row_do_not_overflow() -> None:
    assert Backoff(0.001, 30, 10, jitter=0).delay(10_000, lambda: 0) == 30


def test_a_factor_of_one_and_a_minimum_of_zero_are_no_endless_loop() -> None:
    assert Backoff(0, 30, 1, jitter=0).delay(10**9, lambda: 0) == 0


def test_health_takes_the_maximum_unless_said() -> None:
    assert Backoff(1, 10).healthy_after == 10
    assert Backoff(1, 10, reset_after=3).healthy_after == 3


@pytest.mark.parametrize(
    "wrong",
    [{"minimum": 2, "maximum": 1}, {"minimum": -1}, {"factor": 0.5}, {"jitter": -0.1}],
)
def test_a_backoff_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="backoff needs"):
        Backoff(**wrong)
