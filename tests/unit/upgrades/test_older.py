"""An older version than the one in use: held back, and taken at last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.upgrades.older import HELD_S, OlderOffer, follow


def offered(
    known: OlderOffer | None, version: str, now: float, *, ordered: bool = False
) -> OlderOffer:
    found = follow(known, version, "2.336.0", now, ordered=ordered)
    assert found
    return found


@pytest.mark.parametrize(
    ("version", "in_use"),
    [
        ("2.336.0", "2.336.0"),
        ("2.400.0", "2.336.0"),
        ("2.335.0", ""),
        ("", "2.336.0"),
        ("2.10.0", "2.9.0"),
    ],
)
def test_what_is_not_older_is_not_held(version: str, in_use: str) -> None:
    assert follow(None, version, in_use, 0.0, ordered=False) is None


def test_an_older_one_is_held_for_a_day_of_being_offered() -> None:
    first = offered(None, "2.335.0", 100.0)
    assert first.held(100.0).startswith("2.335.0 is offered, which is older than 2.336.0")
    later = offered(first, "2.335.0", 100.0 + HELD_S - 1)
    assert later.held(100.0 + HELD_S - 1)
    assert not later.held(100.0 + HELD_S)


def test_another_offer_begins_the_day_anew() -> None:
    first = offered(None, "2.335.0", 0.0)
    assert offered(first, "2.334.0", HELD_S).held(HELD_S)
    assert follow(first, "2.336.0", "2.336.0", HELD_S, ordered=False) is None


def test_an_order_has_it_taken_and_is_remembered_until_another_is_offered() -> None:
    first = offered(None, "2.335.0", 0.0, ordered=True)
    assert not first.held(0.0)
    again = offered(first, "2.335.0", 1.0)
    assert not again.held(1.0)
    assert offered(again, "2.334.0", 2.0).held(2.0)


@given(
    st.lists(st.sampled_from(["2.336.0", "2.335.0"]), min_size=1), st.integers(1, int(HELD_S) // 2)
)
def test_a_list_that_flips_is_never_followed_down(offers: list[str], apart_s: int) -> None:
    known, steady = None, 0
    for turn, version in enumerate(offers):
        known = follow(known, version, "2.336.0", turn * apart_s, ordered=False)
        steady = steady + 1 if version == "2.335.0" else 0
        if known and (steady - 1) * apart_s < HELD_S:
            assert known.held(turn * apart_s)
