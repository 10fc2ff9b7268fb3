"""Who may have one more connection of a worker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy.limits import SHARE
from supervisor.policy_service.guests import Admission, Guests

THREADS = 16
STAYS = Admission(stays=True)


def take_all(guests: Guests[str], address: str, most: int = 100) -> int:
    """Open as many connections as a guest may have; say how many."""
    for number in range(most):
        if not guests.admit(address, f"{address} {number}", number).stays:
            return number
    return most


def test_a_guest_alone_has_no_more_than_its_share() -> None:
    assert take_all(Guests(64), "10.0.0.1") == SHARE


def test_a_share_shrinks_with_the_number_of_guests() -> None:
    guests: Guests[str] = Guests(THREADS)
    taken = [take_all(guests, f"10.0.0.{number}") for number in range(8)]
    assert taken == [8, 8, 5, 4, 3, 2, 2, 2]


def test_a_guest_that_comes_when_all_threads_are_taken_gets_that_of_the_greediest() -> None:
    guests: Guests[str] = Guests(THREADS)
    take_all(guests, "10.0.0.1")
    take_all(guests, "10.0.0.2")
    assert guests.admit("10.0.0.3", "honest", 5) == Admission(stays=True, instead_of="10.0.0.1 0")


def test_where_each_guest_has_one_nobody_is_cut_off() -> None:
    guests: Guests[str] = Guests(2)
    for number in range(5):
        assert guests.admit(f"10.0.0.{number}", f"{number}", 0) == STAYS


def test_what_is_closed_counts_no_more_and_can_be_said_twice() -> None:
    guests: Guests[str] = Guests(64)
    take_all(guests, "10.0.0.1")
    guests.leave("10.0.0.1", "10.0.0.1 3")
    guests.leave("10.0.0.1", "10.0.0.1 3")
    guests.leave("10.0.0.9", "nobody")
    assert len(guests) == SHARE - 1
    assert guests.admit("10.0.0.1", "again", 9) == STAYS
    assert not guests.admit("10.0.0.1", "once more", 9).stays


def test_the_old_ones_are_known() -> None:
    guests: Guests[str] = Guests(64)
    guests.admit("10.0.0.1", "a", 1)
    guests.admit("10.0.0.2", "b", 2)
    guests.admit("10.0.0.1", "c", 3)
    assert guests.older_than(2.5) == ("a", "b")


moves = st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=80)


@given(moves, st.integers(8, 24))
def test_whatever_the_others_do_a_guest_without_a_connection_gets_one(
    moved: list[tuple[int, bool]], threads: int
) -> None:
    guests: Guests[int] = Guests(threads)
    held: dict[int, str] = {}

    def admit(address: str, connection: int) -> bool:
        admission = guests.admit(address, connection, connection)
        if admission.instead_of is not None:
            del held[admission.instead_of]
        if admission.stays:
            held[connection] = address
        return admission.stays

    for number, (guest, opens) in enumerate(moved):
        address = f"10.0.0.{guest}"
        own = [connection for connection, owner in held.items() if owner == address]
        if opens:
            assert admit(address, number) or len(own) >= 1
        elif own:
            guests.leave(address, own[0])
            del held[own[0]]
    assert len(guests) == len(held) <= threads
    assert admit("10.0.0.99", 1000)
    assert len(held) <= max(threads, 9)
