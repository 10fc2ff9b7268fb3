from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.lxd_emulator.faults import CallFault, Faults, GuestFault, read_fault


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


def test_a_fault_is_read_from_json() -> None:
    document = {"kind": "guest", "way": "dies-in-job", "name": "r-*", "times": None}
    assert read_fault(document) == GuestFault(way="dies-in-job", name="r-*", times=None)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"kind": "zz"}, "kind must be one of call, operation, event, guest"),
        ({"kind": "call", "way": "zz"}, "way must be one of drop, fail, hang"),
        ({"kind": "call", "way": "fail", "zz": 1}, "unknown: zz"),
    ],
)
def test_a_fault_that_can_not_be_read_says_why(document: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_fault(document)
