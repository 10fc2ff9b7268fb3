"""About which jobs GitHub is asked, and when."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.github.inquiries import (
    AGAIN_S,
    CLOSED_S,
    PACE_S,
    ROOM,
    Inquiries,
    Inquiry,
    inquiry_of,
)
from supervisor.github.scope import Scope

ACME = Scope.parse("acme")
HERE = "https://github.com/acme"


def inquiry(runner: str = "a", repository: str = "acme/demo", run_id: int = 7) -> Inquiry:
    return Inquiry(runner, Scope.parse(repository), run_id, HERE)


def waiting(*inquiries: Inquiry) -> Inquiries:
    return Inquiries(inquiries)


def test_all_that_one_answer_serves_are_asked_together_the_newest_first() -> None:
    one, two, same = inquiry("a"), inquiry("b", run_id=8), inquiry("c", "ACME/Demo")
    assert waiting(one, two, same).due(0.0) == (one, same)
    assert waiting(one, same, two).due(0.0) == (two,)
    assert waiting(one, same, two).without((two,)).due(0.0) == (one, same)
    assert waiting().due(0.0) == ()


def test_after_an_answer_nothing_is_asked_for_a_while() -> None:
    paused = waiting(inquiry()).answered(100.0)
    assert paused.due(100.0 + PACE_S - 0.1) == ()
    assert paused.next_at() == 100.0 + PACE_S
    assert paused.due(100.0 + PACE_S) == (inquiry(),)
    assert Inquiries().answered(100.0).next_at() is None


def test_what_is_asked_once_more_is_no_newer_than_it_was() -> None:
    old, new = inquiry("old"), inquiry("new", run_id=8)
    again = waiting(old, new).again((old,), 0.0)
    assert again.due(AGAIN_S) == (new,)


def test_of_one_run_those_are_asked_about_whose_time_has_come() -> None:
    later, now = replace(inquiry("a"), not_before=50.0), inquiry("b")
    assert waiting(later, now).due(0.0) == (now,)
    assert waiting(later, now).due(50.0) == (later, now)


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 5), st.booleans()), max_size=80),
    st.floats(1, 1e6),
)
def test_questions_are_apart_whatever_comes_and_each_is_about_the_newest_run(
    steps: list[tuple[float, int, bool]], now: float
) -> None:
    inquiries, asked_at = Inquiries(), list[float]()
    for count, (pause_s, run_id, fails) in enumerate(steps):
        now += pause_s
        inquiries = inquiries.add(inquiry(f"r{count}", run_id=run_id), now)
        due = inquiries.due(now)
        if not due:
            continue
        asked_at.append(now)
        ready = [one for one in inquiries.waiting if one.not_before <= now]
        assert due == tuple(one for one in ready if one.key == ready[-1].key)
        inquiries = inquiries.again(due, now) if fails else inquiries.without(due)
        inquiries = inquiries.answered(now)
    assert all(later >= one + PACE_S for one, later in pairwise(asked_at))


def test_what_is_to_be_asked_is_asked_in_the_end() -> None:
    inquiries, now, asked = Inquiries(), 0.0, list[str]()
    for number in range(10):
        inquiries = inquiries.add(inquiry(str(number), run_id=number), now)
    while (next_at := inquiries.next_at()) is not None:
        now = next_at
        due = inquiries.due(now)
        asked += [one.runner for one in due]
        inquiries = inquiries.without(due).answered(now)
    assert asked == [str(number) for number in reversed(range(10))]
    assert now == 9 * PACE_S


def test_what_finds_no_room_is_let_go() -> None:
    full = waiting(*[inquiry(str(number)) for number in range(ROOM)])
    assert full.add(inquiry("late"), 0.0) == full


def test_what_was_asked_in_vain_is_asked_once_more_and_later() -> None:
    one = inquiry()
    again = waiting(one).again((one,), 100.0)
    assert again.due(100.0 + AGAIN_S - 1) == ()
    assert again.next_at() == 100.0 + AGAIN_S
    (second,) = again.due(100.0 + AGAIN_S)
    assert again.again((second,), 200.0) == Inquiries()


def test_one_that_is_to_be_asked_later_holds_up_no_other() -> None:
    later, now = replace(inquiry("a"), not_before=50.0), inquiry("b", run_id=8)
    assert waiting(later, now).next_at() == 0.0
    assert waiting(later, now).due(0.0) == (now,)


def test_a_repository_that_can_not_be_seen_is_not_asked_for_an_hour() -> None:
    one, other = inquiry(), inquiry("b", "acme/other")
    closed = waiting(one, other).close(one.repository, 0.0)
    assert closed.waiting == (other,)
    assert closed.add(inquiry("c", "Acme/DEMO"), CLOSED_S - 1) == closed
    assert closed.add(inquiry("c"), CLOSED_S).waiting[-1].runner == "c"


@given(st.lists(st.integers(0, 5000), max_size=3000), st.floats(0, 1e4))
def test_of_repositories_that_can_not_be_seen_no_endless_number_is_kept(
    numbers: list[int], now: float
) -> None:
    inquiries = Inquiries()
    for number in numbers:
        inquiries = inquiries.close(Scope.parse(f"acme/{number}"), now)
    assert len(inquiries.closed) <= 1000


@given(
    st.lists(st.tuples(st.sampled_from(["ask", "fail", "close"]), st.integers(0, 9)), max_size=60)
)
def test_each_is_asked_twice_at_most_whatever_happens(steps: list[tuple[str, int]]) -> None:
    inquiries, now, asked = Inquiries(), 0.0, dict[str, int]()
    for count, (what, number) in enumerate(steps):
        now += AGAIN_S
        inquiries = inquiries.add(inquiry(f"r{count}", f"acme/{number}", number + 1), now)
        due = inquiries.due(now)
        for one in due:
            asked[one.runner] = asked.get(one.runner, 0) + 1
        if due and what == "close":
            inquiries = inquiries.close(due[0].repository, now)
        elif due:
            inquiries = inquiries.again(due, now) if what == "fail" else inquiries.without(due)
    assert max(asked.values(), default=0) <= 2


@pytest.mark.parametrize(
    ("repository", "run_id"),
    [
        ("", "7"),
        ("acme", "7"),
        ("acme/..", "7"),
        ("acme/demo/x", "7"),
        ("acme/demo?x", "7"),
        ("enterprises/big", "7"),
        ("others/demo", "7"),
        ("acme/demo", ""),
        ("acme/demo", "-7"),
        ("acme/demo", "7/../8"),
        ("acme/demo", "\u0667"),
        ("acme/demo", "9" * 19),
    ],
)
def test_what_a_guest_makes_up_is_not_asked(repository: str, run_id: str) -> None:
    assert inquiry_of("a", repository, run_id, HERE, ACME) is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_a_guest_says_leads_to_a_run_of_the_owner_or_nowhere(
    repository: str, run_id: str
) -> None:
    made = inquiry_of("a", repository, run_id, HERE, ACME)
    assert made is None or made.repository.name.lower().startswith("acme/")


def test_runners_of_a_repository_have_its_jobs_alone_and_those_of_an_enterprise_all() -> None:
    demo, big = Scope.parse("acme/demo"), Scope.parse("enterprises/big")
    assert inquiry_of("a", "Acme/Demo", "7", HERE, demo)
    assert inquiry_of("a", "acme/other", "7", HERE, demo) is None
    assert inquiry_of("a", "whose/ever", "7", HERE, big)
