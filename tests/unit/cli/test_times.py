from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.times import age, minute, read_since, second, until
from supervisor.text.durations import span

NOW = datetime(2030, 1, 31, 12, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)), ("30m", timedelta(minutes=30)), ("7d", timedelta(days=7)),
        ("1h30m", timedelta(minutes=90)), ("2h05m", timedelta(minutes=125)),
        ("1.5h", timedelta(minutes=90)), ("5m12s", timedelta(seconds=312)),
        ("2 hours ago", timedelta(hours=2)), ("1 day 2 hours", timedelta(hours=26)),
        ("10 min ago", timedelta(minutes=10)), (" 1h ", timedelta(hours=1)),
        ("12:01", timedelta(minutes=29)), ("9:30", timedelta(hours=3)),
        ("12:29:59", timedelta(seconds=1)), ("2030-01-31", timedelta(hours=12, minutes=30)),
        ("2030-01-31T12:00", timedelta(minutes=30)), ("2030-01-31 12:00Z", timedelta(minutes=30)),
        ("2030-01-31T13:00+01:00", timedelta(minutes=30)),
    ],
)  # fmt: skip
def test_a_since_is_how_long_ago_or_a_moment(text: str, ago: timedelta) -> None:
    assert read_since(text, NOW) == NOW - ago


@given(st.integers(0, 10_000_000))
def test_how_long_something_took_may_be_given_as_it_is_shown(seconds: int) -> None:
    ago = (NOW - read_since(span(seconds), NOW)).total_seconds()
    assert abs(ago - seconds) <= seconds * 0.05


@pytest.mark.parametrize("text", ["", "ago", "1w", "-1h", "1hh", "yesterday", "25:00", "1h ago 2h"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its words are the command's
        read_since(text, NOW)


def test_moments_are_told_in_utc_and_say_so() -> None:
    assert minute("2030-01-31T13:00:59+01:00") == "2030-01-31 12:00 UTC"
    assert second("2030-01-31T12:00:59Z") == "2030-01-31 12:00:59 UTC"


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "0s"), (1, "60s"), (2, "2m"), (120, "2h"), (2879, "47h"), (2880, "2d")],
)
def test_ages_are_told_roughly(minutes: int, words: str) -> None:
    then = NOW - timedelta(minutes=minutes)
    assert age(then.isoformat(), NOW) == until(NOW.isoformat(), then) == words
