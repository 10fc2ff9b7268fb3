from __future__ import annotations

from datetime import timedelta

import pytest

from supervisor.throttling.waits import doubled


@pytest.mark.parametrize(
    ("failures", "wait"), [(-1, 0), (0, 0), (1, 2), (2, 4), (3, 8), (4, 10), (10**6, 10)]
)
def test_each_failure_doubles_the_wait_up_to_the_longest(failures: int, wait: float) -> None:
    assert doubled(2.0, failures, 10.0) == wait
    seconds = timedelta(seconds=1)
    assert doubled(2 * seconds, failures, 10 * seconds) == wait * seconds
