from __future__ import annotations

from datetime import datetime, timedelta, timezone
from secrets import token_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy import secrets as policy_secrets
from supervisor.policy.secrets import Ring, next_change, read, renewed, written

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
LIFETIME = timedelta(days=2)
DAY = timedelta(days=1)


def first() -> Ring:
    return renewed((), b"first", NOW, LIFETIME)


def test_there_is_one_from_the_beginning() -> None:
    assert [one.value for one in first()] == [b"first"]


def test_it_signs_for_a_day_and_then_another_does() -> None:
    assert renewed(first(), b"second", NOW + 0.99 * DAY, LIFETIME) == first()
    later = renewed(first(), b"second", NOW + DAY, LIFETIME)
    assert [one.value for one in later] == [b"second", b"first"]
    assert next_change(first(), LIFETIME) == NOW + DAY


def test_it_is_known_for_as_long_as_tokens_live_that_it_has_signed() -> None:
    two = renewed(first(), b"second", NOW + DAY, LIFETIME)
    last = NOW + DAY + LIFETIME
    assert b"first" in {one.value for one in renewed(two, b"x", last - DAY / 100, LIFETIME)}
    assert b"first" not in {one.value for one in renewed(two, b"x", last, LIFETIME)}


def test_one_that_was_made_by_a_clock_far_ahead_is_replaced() -> None:
    assert renewed(first(), b"second", NOW - DAY, LIFETIME)[0].value == b"second"


@given(
    st.timedeltas(timedelta(minutes=1), timedelta(days=700)),
    st.lists(st.timedeltas(timedelta(), timedelta(days=30)), max_size=40),
)
def test_whenever_it_is_looked_at_every_token_is_known_while_it_lives(
    lifetime: timedelta, pauses: list[timedelta]
) -> None:
    ring, now = renewed((), token_bytes(16), NOW, lifetime), NOW
    issued = [(now, ring[0].value)]
    for pause in pauses:
        now += pause
        ring = renewed(ring, token_bytes(16), now, lifetime)
        known = {one.value for one in ring}
        assert len(ring) <= 16
        assert all(value in known for at, value in issued if now < at + lifetime)
        assert now < next_change(ring, lifetime)
        issued.append((now, ring[0].value))


def test_they_are_written_and_read() -> None:
    two = renewed(first(), b"second", NOW + DAY, LIFETIME)
    assert read(written(two)) == two


@pytest.mark.parametrize(
    "text", ["", "{}x", "7", '[{"secret": "!"}]', '[{"secret": "AAAA", "made-at": "never"}]']
)
def test_what_is_something_else_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it holds something else$"):
        read(text)


def test_a_secret_is_not_shown() -> None:
    shown = repr(policy_secrets.Secret(b"a-secret", NOW))
    assert "a-secret" not in shown
