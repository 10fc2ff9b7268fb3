from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.lxd_emulator.faults import (
    CallFault,
    EventFault,
    Faults,
    GuestFault,
    ListingFault,
    read_fault,
)


@given(times=st.integers(1, 5), calls=st.integers(0, 10))
def test_a_fault_strikes_as_often_as_it_is_wanted(times: int, calls: int) -> None:
    faults = Faults()
    faults.add(CallFault(way="fail", times=times))
    struck = [faults.call("GET", "/1.0") is not None for _ in range(calls)]
    assert struck == [number < times for number in range(calls)]


def test_a_fault_without_a_number_strikes_for_ever() -> None:
    faults = Faults()
    faults.add(GuestFault(way="fails", times=None))
    assert all(faults.guest("any") for _ in range(100))


def test_faults_come_in_the_order_they_were_wanted() -> None:
    faults = Faults()
    faults.add(CallFault(way="fail", path="/1.0/instances*"))
    faults.add(CallFault(way="drop"))
    assert [fault.way for fault in (faults.call("GET", "/1.0/instances/a"),) if fault] == ["fail"]
    assert [fault.way for fault in (faults.call("GET", "/1.0/instances/a"),) if fault] == ["drop"]
    assert faults.call("GET", "/1.0/instances/a") is None


def test_a_fault_strikes_only_what_it_names() -> None:
    faults = Faults()
    faults.add(CallFault(way="fail", method="POST", path="/1.0/instances"))
    assert faults.call("GET", "/1.0/instances") is None
    assert faults.call("POST", "/1.0/images") is None
    assert faults.call("POST", "/1.0/instances") is not None


def test_two_equal_faults_are_two() -> None:
    faults, fault = Faults(), CallFault(way="fail")
    faults.add(fault)
    faults.add(fault)
    assert [faults.call("GET", "/") for _ in range(3)] == [fault, fault, None]


@dataclass(frozen=True)
class Thing:
    name: str


def test_a_listing_hides_what_it_is_told_to() -> None:
    faults, there = Faults(), [Thing("a1"), Thing("b1")]
    faults.add(ListingFault(way="hide", name="a*"))
    assert [faults.listed(there), faults.listed(there)] == [[Thing("b1")], there]


def test_a_frozen_listing_shows_what_was_there_when_it_was_first_asked_for() -> None:
    faults = Faults()
    faults.add(ListingFault(way="freeze", times=None))
    assert list(faults.listed([Thing("a1")])) == [Thing("a1")]
    assert list(faults.listed([Thing("b1")])) == [Thing("a1")]
    faults.clear()
    assert list(faults.listed([Thing("b1")])) == [Thing("b1")]


def test_a_stream_is_mute_only_where_that_is_wanted() -> None:
    faults = Faults()
    faults.add(EventFault(way="withhold"))
    assert not faults.is_mute()
    faults.add(EventFault(way="mute"))
    assert faults.is_mute()
    assert not faults.is_mute()


def test_a_mute_stream_is_no_fault_of_an_event() -> None:
    faults = Faults()
    faults.add(EventFault(way="mute", times=None))
    assert faults.event("instance-created", "a1") is None


def test_a_fault_is_read_from_json() -> None:
    document = {"kind": "guest", "way": "dies-in-job", "name": "r-*", "times": None}
    assert read_fault(document) == GuestFault(way="dies-in-job", name="r-*", times=None)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"kind": "zz"}, "kind must be one of call, listing, operation, event, guest"),
        ({"kind": "call", "way": "zz"}, "way must be one of drop, fail, garble, hang, lose"),
        ({"kind": "call", "way": "fail", "zz": 1}, "unknown: zz"),
    ],
)
def test_a_fault_that_can_not_be_read_says_why(document: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_fault(document)
