from hypothesis import given
from hypothesis import strategies as st

from supervisor.throttling.allowance import Allowances, Bucket, Rate, take

RATE = Rate(burst=3, per_s=0.5)


def test_so_many_at_once_and_then_as_time_passes() -> None:
    bucket: Bucket | None = None
    for left in (2, 1, 0):
        bucket = take(RATE, bucket, 10.0)
        assert bucket == Bucket(left, 10.0)
    assert take(RATE, bucket, 11.9) is None
    assert take(RATE, bucket, 12.0) == Bucket(0, 12.0)


def test_a_bucket_holds_no_more_than_its_burst() -> None:
    assert take(RATE, Bucket(3, 0.0), 1e9) == Bucket(2, 1e9)


@given(
    st.integers(1, 50),
    st.floats(0.01, 100),
    st.lists(st.floats(0, 60), max_size=100),
)
def test_in_no_time_more_are_taken_than_the_rate_allows(
    burst: int, per_s: float, gaps: list[float]
) -> None:
    rate = Rate(burst, per_s)
    now, bucket, taken = 0.0, None, 0
    for gap in gaps:
        now += gap
        after = take(rate, bucket, now)
        if after is not None:
            bucket, taken = after, taken + 1
    assert taken <= burst + now * per_s + 1e-6


def test_nobody_pays_for_another() -> None:
    allowances = Allowances(RATE)
    assert [allowances.take("a", 0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert allowances.take("b", 0)


def test_who_has_not_come_for_a_while_is_forgotten() -> None:
    allowances = Allowances(RATE)
    for number in range(100_000):
        assert allowances.take(str(number), number / 100)
    assert len(allowances) < 5_000
    assert not all(allowances.take("99999", 1000) for _ in range(3))
