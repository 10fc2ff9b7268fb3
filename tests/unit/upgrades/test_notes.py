"""What is noted of upgrades, from one process to the next."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.upgrades import Attempts
from supervisor.upgrades.notes import Moment, Note
from supervisor.upgrades.older import HELD_S, OlderOffer

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
BEFORE = Moment(NOW, 5000.0)
seconds = st.floats(0, 86400)


def after(passed_s: float) -> Moment:
    """Another process, with a clock of its own."""
    return Moment(NOW + timedelta(seconds=passed_s), 7.0)


@given(wait_s=seconds, passed_s=seconds)
def test_a_version_that_has_failed_waits_for_what_is_left(wait_s: float, passed_s: float) -> None:
    known = Attempts("a", 3, BEFORE.monotonic + wait_s)
    failure = Note().fail(known, "it hangs", BEFORE).failure
    assert failure is not None
    found = failure.attempts(after(passed_s))
    assert (found.version, found.failures, failure.reason) == ("a", 3, "it hangs")
    assert found.not_before - 7.0 == pytest.approx(max(0.0, wait_s - passed_s), abs=0.01)


@given(set_back_s=st.floats(0, 1e9))
def test_a_clock_that_was_set_back_holds_nothing_up_for_more_than_a_day(set_back_s: float) -> None:
    failure = Note().fail(Attempts("a", 1, BEFORE.monotonic + 60), "", BEFORE).failure
    assert failure is not None
    assert failure.attempts(after(-set_back_s)).not_before <= 7.0 + 86400
    older = Note().follow(OlderOffer("1.0", "2.0", BEFORE.monotonic), BEFORE).older
    assert older is not None
    assert older.offer(after(-set_back_s)).since == 7.0


@given(passed_s=st.floats(0, 1e7))
def test_an_older_version_that_is_offered_has_been_for_as_long_as_it_was(passed_s: float) -> None:
    ordered = OlderOffer("1.0", "2.0", BEFORE.monotonic, ordered=True)
    older = Note().follow(ordered, BEFORE).older
    assert older is not None
    offer = older.offer(after(passed_s))
    assert (offer.version, offer.than, offer.ordered) == ("1.0", "2.0", False)
    assert 7.0 - offer.since == pytest.approx(min(passed_s, HELD_S), abs=0.01)


def test_an_offer_that_goes_on_is_no_other_note() -> None:
    offer = OlderOffer("1.0", "2.0", BEFORE.monotonic)
    note = Note().follow(offer, BEFORE)
    assert note.follow(offer, Moment(NOW + timedelta(seconds=60.001), 5060.0)) is note
    assert note.follow(OlderOffer("1.0", "2.1", 5060.0), Moment(NOW, 5060.0)) != note
    assert note.follow(None, BEFORE) == Note()


def test_an_older_version_is_as_long_offered_as_it_was_though_the_time_of_day_was_set() -> None:
    offer = OlderOffer("1.0", "2.0", BEFORE.monotonic)
    set_back = Moment(NOW - timedelta(hours=3), BEFORE.monotonic + 60)
    older = Note().follow(offer, BEFORE).follow(offer, set_back).older
    assert older is not None
    next_start = Moment(set_back.now + timedelta(seconds=30), 7.0)
    assert 7.0 - older.offer(next_start).since == pytest.approx(90)


def test_since_when_a_version_is_known_stays_until_there_is_another() -> None:
    note = Note().hear_of("a", NOW)
    later = NOW + timedelta(days=3)
    assert note.hear_of("a", later).latest_since == NOW
    assert note.hear_of("b", later).latest_since == later
    # By a clock that was set back it is not known from the future on.
    assert note.hear_of("a", NOW - timedelta(days=3)).latest_since == NOW - timedelta(days=3)


def test_no_reason_is_too_long_to_be_noted() -> None:
    failure = Note().fail(Attempts("a", 1, 0.0), "x" * 100_000, BEFORE).failure
    assert failure is not None
    assert len(failure.reason) == 2000
