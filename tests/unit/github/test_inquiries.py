"""About which jobs GitHub is asked, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from itertools import pairwise
from typing import TYPE_CHECKING

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
from supervisor.github.run_jobs import RunJob
from supervisor.github.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

ACME = Scope.parse("acme")
HERE = "https://github.com/acme"
NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
RUNS = RunJob(NOON, NOON, "")
ENDED = RunJob(NOON, NOON, "success")


def inquiry(runner: str = "a", repository: str = "acme/demo", run_id: int = 7) -> Inquiry:
    """Make one about a job of which the guest has told how it ended."""
    return Inquiry(runner, Scope.parse(repository), run_id, HERE, has_result=True)


def unheard(runner: str = "a", run_id: int = 7) -> Inquiry:
    """Make one about a job of which GitHub alone can tell how it ended."""
    return replace(inquiry(runner, run_id=run_id), has_result=False)


def waiting(*inquiries: Inquiry) -> Inquiries:
    return Inquiries(inquiries)


def test_all_that_one_answer_serves_are_asked_together_the_newest_first() -> None:
    one, two, same = inquiry("a"), inquiry("b", run_id=8), inquiry("c", "ACME/Demo")
    assert waiting(one, two, same).due(0.0) == (one, same)
    assert waiting(one, same, two).due(0.0) == (two,)
    assert waiting(one, same, two).learn((two,), {"b": ENDED}, 0.0).due(0.0) == (one, same)
    assert waiting().due(0.0) == ()


def test_after_an_answer_nothing_is_asked_for_a_while() -> None:
    paused = waiting(inquiry()).answered(100.0)
    assert paused.due(100.0 + PACE_S - 0.1) == ()
    assert paused.next_at() == 100.0 + PACE_S
    assert paused.due(100.0 + PACE_S) == (inquiry(),)
    assert Inquiries().answered(100.0).next_at() is None


def test_what_is_asked_once_more_is_no_newer_than_it_was() -> None:
    old, new = inquiry("old"), inquiry("new", run_id=8)
    again = waiting(old, new).learn((old,), {}, 0.0)
    assert again.due(AGAIN_S) == (new,)


def test_of_one_run_those_are_asked_about_whose_time_has_come() -> None:
    later, now = replace(inquiry("a"), not_before=50.0), inquiry("b")
    assert waiting(later, now).due(0.0) == (now,)
    assert waiting(later, now).due(50.0) == (later, now)


@given(
    st.lists(
        st.tuples(st.floats(0, 20), st.integers(0, 5), st.sampled_from([None, RUNS, ENDED])),
        max_size=80,
    ),
    st.floats(1, 1e6),
)
def test_questions_are_apart_whatever_comes_and_each_is_about_the_newest_run(
    steps: list[tuple[float, int, RunJob | None]], now: float
) -> None:
    inquiries, asked_at = Inquiries(), list[float]()
    for count, (pause_s, run_id, job) in enumerate(steps):
        now += pause_s
        inquiries = inquiries.add(inquiry(f"r{count}", run_id=run_id), now)
        due = inquiries.due(now)
        if not due:
            continue
        asked_at.append(now)
        ready = [one for one in inquiries.waiting if one.not_before <= now]
        assert due == tuple(one for one in ready if one.key == ready[-1].key)
        inquiries = inquiries.learn(due, found(due, job), now).answered(now)
    assert all(later >= one + PACE_S for one, later in pairwise(asked_at))


def test_what_is_to_be_asked_is_asked_in_the_end() -> None:
    inquiries, now, asked = Inquiries(), 0.0, list[str]()
    for number in range(10):
        inquiries = inquiries.add(inquiry(str(number), run_id=number), now)
    while (next_at := inquiries.next_at()) is not None:
        now = next_at
        due = inquiries.due(now)
        asked += [one.runner for one in due]
        inquiries = inquiries.learn(due, found(due, ENDED), now).answered(now)
    assert asked == [str(number) for number in reversed(range(10))]
    assert now == 9 * PACE_S


def test_what_finds_no_room_is_let_go() -> None:
    full = waiting(*[inquiry(str(number)) for number in range(ROOM)])
    assert full.add(inquiry("late"), 0.0) == full


def test_what_was_asked_in_vain_is_asked_once_more_and_later() -> None:
    one = inquiry()
    again = waiting(one).learn((one,), {}, 100.0)
    assert again.due(100.0 + AGAIN_S - 1) == ()
    assert again.next_at() == 100.0 + AGAIN_S
    (second,) = again.due(100.0 + AGAIN_S)
    assert again.learn((second,), {}, 200.0) == Inquiries()


def asked_at(one: Inquiry, *shown: RunJob | None) -> tuple[list[float], list[RunJob]]:
    """Say when it is asked about, given what GitHub shows each time, and what is told of it."""
    inquiries, moments, answers = waiting(one), list[float](), iter(shown)
    while (now := inquiries.next_at()) is not None:
        moments.append(now)
        due = inquiries.due(now)
        inquiries = inquiries.learn(due, found(due, next(answers)), now).answered(now)
    return moments, [job for _, job in inquiries.over]


def found(due: tuple[Inquiry, ...], job: RunJob | None) -> dict[str, RunJob]:
    return {one.runner: job for one in due} if job else {}


def test_a_job_that_github_does_not_show_as_ended_is_asked_about_until_it_does() -> None:
    assert asked_at(inquiry(), RUNS, ENDED) == ([0.0, 20.0], [ENDED])
    assert asked_at(unheard(), ENDED) == ([0.0], [ENDED])
    assert asked_at(unheard(), None, RUNS, ENDED) == ([0.0, 20.0, 80.0], [ENDED])


def test_a_job_that_never_ends_is_asked_about_ever_more_seldom_and_told_as_it_is_in_the_end() -> (
    None
):
    assert asked_at(inquiry(), RUNS, RUNS) == ([0.0, 20.0], [RUNS])
    moments, told = asked_at(unheard(), *[RUNS] * 5)
    assert (moments, told) == ([0.0, 20.0, 80.0, 260.0, 800.0], [RUNS])
    assert moments[-1] < 15 * 60


def test_what_github_has_shown_is_told_though_it_shows_it_no_more() -> None:
    assert asked_at(inquiry(), RUNS, None) == ([0.0, 20.0], [RUNS])
    assert asked_at(inquiry(), None, None) == ([0.0, 20.0], [])
    seen = waiting(inquiry()).learn((inquiry(),), {"a": RUNS}, 0.0)
    for gone in (seen.close(inquiry().repository, 1.0), seen.only(lambda one: one.place != HERE)):
        assert (gone.waiting, [job for _, job in gone.over]) == ((), [RUNS])


def test_one_whose_end_github_alone_can_tell_is_not_starved_by_newer_ones() -> None:
    inquiries = waiting(unheard("old"), unheard("older", 8), inquiry("new", run_id=9))
    asked = list[str]()
    for number in range(6):
        due = inquiries.due(number * PACE_S)
        asked.append(due[0].runner)
        inquiries = inquiries.learn(due, found(due, ENDED), 0.0).answered(number * PACE_S)
        newer = inquiry(f"newer{number}", run_id=10 + number)
        inquiries = inquiries.add(newer, number * PACE_S)
    assert asked == ["new", "old", "newer1", "older", "newer3", "newer4"]


def test_of_those_that_github_alone_can_tell_of_the_one_asked_about_least_goes_first() -> None:
    asked, other = replace(unheard("asked"), asked=1), unheard("other", 8)
    its_turn = waiting(asked, other, inquiry("new", run_id=9)).answered(-PACE_S)
    assert its_turn.due(0.0) == (other,)


def test_one_that_is_asked_about_anew_is_asked_about_once() -> None:
    missed = replace(unheard(), not_before=50.0)
    assert waiting(missed).add(inquiry(), 0.0).waiting == (inquiry(),)


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


def test_a_run_that_github_does_not_know_costs_no_other_run_of_its_repository() -> None:
    made_up, same, other = inquiry("a"), inquiry("b"), inquiry("c", run_id=8)
    left = waiting(made_up, same, other).lack(made_up, 0.0)
    assert left.waiting == (other,)
    assert left.add(inquiry("d"), 0.0).waiting[-1].runner == "d"
    assert left.over == ()


@pytest.mark.parametrize(
    ("between", "is_closed"),
    [
        (lambda inquiries: inquiries, True),
        (lambda inquiries: inquiries.learn((inquiry("c", run_id=9),), None, 0.0), True),
        (lambda inquiries: inquiries.learn((inquiry("c", "acme/b"),), {}, 0.0), True),
        (lambda inquiries: inquiries.learn((inquiry("c", run_id=9),), {}, 0.0), False),
    ],
    ids=["nothing", "no answer", "another's", "a run that is there"],
)
def test_a_repository_of_which_github_knows_three_runs_in_a_row_not_is_not_asked(
    between: Callable[[Inquiries], Inquiries], *, is_closed: bool
) -> None:
    inquiries = Inquiries()
    for run_id in (1, 2, 2):
        inquiries = inquiries.lack(inquiry(run_id=run_id), 0.0)
    assert not inquiries.is_closed(inquiry().repository, 0.0)
    inquiries = between(inquiries).lack(inquiry("z", "ACME/demo", run_id=3), 0.0)
    assert inquiries.is_closed(inquiry().repository, CLOSED_S - 1) == is_closed
    # Closed or not, it begins anew.
    later = inquiries.lack(inquiry(run_id=4), CLOSED_S + 1)
    assert not later.is_closed(inquiry().repository, CLOSED_S + 1)


@given(st.lists(st.integers(0, 5000), max_size=3000), st.floats(0, 1e4))
def test_of_repositories_that_can_not_be_seen_no_endless_number_is_kept(
    numbers: list[int], now: float
) -> None:
    inquiries = Inquiries()
    for number in numbers:
        inquiries = inquiries.close(Scope.parse(f"acme/{number}"), now)
        inquiries = inquiries.lack(inquiry(repository=f"acme/{number + 1}"), now)
    assert len(inquiries.closed) <= 1000
    assert len(inquiries.lacking) <= 1000


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
            job = None if what == "fail" else ENDED
            inquiries = inquiries.learn(due, found(due, job), now)
    assert max(asked.values(), default=0) <= 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["answer", "close", "let go"]),
            st.booleans(),
            st.sampled_from([None, RUNS, ENDED]),
            st.integers(0, 3),
        ),
        max_size=60,
    )
)
def test_whatever_github_has_shown_of_a_job_is_told_once_and_at_the_last_as_it_was(
    steps: list[tuple[str, bool, RunJob | None, int]],
) -> None:
    inquiries, now, shown = Inquiries(), 0.0, dict[str, RunJob]()
    for count, (what, has_result, job, run_id) in enumerate(steps):
        now += AGAIN_S
        one = inquiry(f"r{count}", f"acme/{run_id}", run_id)
        inquiries = inquiries.add(replace(one, has_result=has_result), now)
        if what == "answer":
            due = inquiries.due(now)
            inquiries = inquiries.learn(due, found(due, job), now).answered(now)
            shown |= found(due, job)
        elif what == "close":
            inquiries = inquiries.close(one.repository, now)
        else:
            inquiries = inquiries.only(lambda one: one.asked == 0)
    told = [(one.runner, job) for one, job in inquiries.only(lambda _: False).over]
    assert len(told) == len(shown)
    assert dict(told) == shown


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
