from __future__ import annotations

from supervisor.observation.trace_standing import TraceStanding


def test_what_is_lost_is_counted_and_the_fault_goes_when_all_is_sent_again() -> None:
    standing = TraceStanding()
    tell = standing.begin()
    tell(3, "it is away")
    tell(4, "it hangs")
    assert (standing.lost, standing.fault) == (7, "it hangs")
    tell(0, "")
    assert (standing.lost, standing.fault) == (7, "")


def test_what_a_collector_of_before_loses_is_counted_and_says_nothing_of_the_next() -> None:
    standing = TraceStanding()
    before = standing.begin()
    before(1, "it is away")
    tell = standing.begin()
    assert standing.fault == ""
    tell(1, "it hangs")
    before(1, "it is away")
    assert (standing.lost, standing.fault) == (3, "it hangs")


def test_where_nobody_sends_nothing_is_wrong_and_nothing_forgotten() -> None:
    standing = TraceStanding()
    tell = standing.begin()
    tell(1, "it is away")
    standing.end()
    tell(1, "it is away")
    assert (standing.lost, standing.fault) == (2, "")
