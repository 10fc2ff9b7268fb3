from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.upgrades import Attempts


def test_a_version_that_was_not_tried_may_be() -> None:
    assert Attempts().may_try("a", 0.0)


def test_one_that_has_failed_waits_ever_longer() -> None:
    attempts, waits = Attempts(), []
    for _ in range(8):
        attempts = attempts.fail("a", 100.0)
        waits.append(attempts.not_before - 100.0)
    assert waits == [15, 30, 60, 120, 240, 480, 600, 600]


@given(st.integers(1, 1000), st.floats(0, 1e9))
def test_it_may_be_tried_when_its_time_has_come_and_not_before(failures: int, now: float) -> None:
    attempts = Attempts()
    for _ in range(failures):
        attempts = attempts.fail("a", now)
    assert not attempts.may_try("a", now)
    assert attempts.may_try("a", attempts.not_before)
    assert attempts.not_before <= now + 600


def test_another_version_may_be_tried_at_once_and_has_failures_of_its_own() -> None:
    attempts = Attempts().fail("a", 0.0).fail("a", 15.0)
    assert attempts.may_try("b", 16.0)
    assert attempts.fail("b", 16.0) == Attempts("b", 1, 31.0)


def test_one_that_is_ordered_again_is_tried_at_once_and_its_waits_begin_anew() -> None:
    attempts = Attempts().fail("a", 0.0).fail("a", 15.0).again()
    assert attempts.version == "a"
    assert attempts.may_try("a", 16.0)
    assert attempts.fail("a", 16.0) == Attempts("a", 1, 31.0)
