from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.github.budget import Bucket, Budget, Hold, Priority
from supervisor.github.errors import Cancelled, GitHubError, NotFound, Unavailable
from supervisor.github.exchange import Answer, Request, Talk
from supervisor.github.turns import Hopeless, Later, Next, Turn, Turns

NOW = 1000.0
READ = Request("GET", "/orgs/acme/actions/runners", "list runners")
POST = Request("POST", "/orgs/acme/actions/runners/generate-jitconfig", "register a runner")
OUTAGE = Unavailable("no answer")


class Course:
    """A conversation of given requests, what was answered, and what it has ended in."""

    def __init__(self, *requests: Request) -> None:
        self.requests = requests
        self.answers: list[Answer] = []
        self.ended: list[Any] = []

    def talk(self) -> Talk[int]:
        for request in self.requests:
            self.answers.append((yield request))
        return len(self.answers)


def turn_of(
    *requests: Request, priority: Priority = Priority.REGISTER, number: int = 0, at: float = NOW
) -> tuple[Turn[int], Course]:
    course = Course(*requests)
    turn = Turn(course.talk(), priority, number, course.ended.append)
    turn.begin(at)
    return turn, course


def waiting(*turns: Turn[Any]) -> Turns:
    line = Turns()
    for turn in turns:
        line.add(turn)
    return line


def answer() -> Answer:
    return Answer(200, {})


def test_a_conversation_goes_on_from_request_to_request_until_its_result() -> None:
    turn, course = turn_of(READ, POST)
    assert turn.request == READ
    assert turn.answer(answer(), NOW)
    assert (turn.request, course.ended) == (POST, [])
    assert not turn.answer(answer(), NOW)
    assert course.ended == [2]


def test_a_conversation_that_bears_no_error_ends_in_it() -> None:
    turn, course = turn_of(READ)
    assert not turn.throw(OUTAGE, NOW)
    assert course.ended == [OUTAGE]


def test_one_that_is_ended_sees_no_answer_any_more() -> None:
    turn, course = turn_of(READ)
    turn.end(Cancelled("never mind"))
    assert [str(error) for error in course.ended] == ["never mind"]
    assert list(turn.talk) == []


@pytest.mark.parametrize(
    ("request_", "priority", "error", "waits"),
    [
        (READ, Priority.LIST, OUTAGE, [0.5, 1.0]),
        (READ, Priority.INQUIRE, OUTAGE, []),
        (POST, Priority.REGISTER, OUTAGE, []),
        (READ, Priority.LIST, NotFound("it is not there"), []),
    ],
)
def test_what_can_do_no_harm_is_tried_again_after_ever_longer_waits(
    request_: Request, priority: Priority, error: GitHubError, waits: list[float]
) -> None:
    turn, _ = turn_of(request_, priority=priority)
    seen = []
    while turn.tries_again(error, NOW):
        seen.append(turn.not_before - NOW)
    assert seen == waits


def test_another_request_of_it_is_tried_as_often_as_the_first() -> None:
    turn, _ = turn_of(READ, READ)
    assert turn.tries_again(OUTAGE, NOW)
    turn.answer(answer(), NOW)
    assert (turn.tries, turn.not_before) == (0, 0.0)


def test_one_that_is_to_be_tried_again_keeps_nobody_else_waiting() -> None:
    first, _ = turn_of(READ, number=0)
    second, _ = turn_of(READ, number=1)
    first.tries_again(OUTAGE, NOW)
    line = waiting(first, second)
    assert line.choose(Budget(), NOW) == Next(second)
    line.remove(second)
    assert line.choose(Budget(), NOW) == Later(0.5)
    assert line.choose(Budget(), NOW + 0.5) == Next(first)


def test_a_list_that_has_waited_for_long_goes_before_a_registration() -> None:
    listing, _ = turn_of(READ, priority=Priority.LIST)
    registration, _ = turn_of(POST)
    line = waiting(listing, registration)
    assert line.choose(Budget(), NOW + 4.9) == Next(registration)
    assert line.choose(Budget(), NOW + 5) == Next(listing)


def test_nothing_is_changed_while_it_is_not_known_what_became_of_the_last_change() -> None:
    lost, _ = turn_of(READ, priority=Priority.REGISTER_AHEAD)
    lost.committed = True
    registration, _ = turn_of(POST)
    line = waiting(lost, registration)
    assert line.choose(Budget(), NOW) == Next(lost)
    lost.not_before = NOW + 2
    assert line.choose(Budget(), NOW) == Later(2)
    line.remove(lost)
    assert line.choose(Budget(), NOW) == Next(registration)


def test_who_can_not_wait_for_a_limit_is_told_so_and_others_wait() -> None:
    pause = Hold(NOW + 30, "GitHub asks for a pause")
    listing, _ = turn_of(READ, priority=Priority.LIST)
    registration, _ = turn_of(POST)
    budget = Budget(hold=pause)
    line = waiting(listing, registration)
    assert line.choose(budget, NOW) == Hopeless(listing, pause)
    line.remove(listing)
    assert line.choose(budget, NOW) == Later(30)


def test_calls_that_are_kept_for_runners_are_not_spent_on_a_list() -> None:
    listing, _ = turn_of(READ, priority=Priority.LIST)
    registration, _ = turn_of(POST, number=1)
    budget = Budget(buckets={"core": Bucket(5000, 200, NOW + 3000)})
    chosen = waiting(listing).choose(budget, NOW)
    assert isinstance(chosen, Hopeless)
    assert waiting(listing, registration).choose(budget, NOW) == Next(registration)


def test_one_answer_serves_all_who_ask_the_same_and_change_nothing() -> None:
    same, _ = turn_of(READ, number=1)
    other, _ = turn_of(POST, number=2)
    line = waiting(same, other)
    assert line.take_readers(READ) == [same]
    assert line.take_readers(POST) == []
    assert len(line) == 1


def test_who_must_see_what_became_of_a_change_is_not_let_go_with_the_others() -> None:
    committed, _ = turn_of(READ, number=0)
    committed.committed = True
    waits, _ = turn_of(POST, number=1)
    deletion, _ = turn_of(READ, priority=Priority.DELETE)
    line = waiting(committed, waits, deletion)
    assert line.take_uncommitted({Priority.REGISTER}) == [waits]
    assert line.take_all() == [committed, deletion]
    assert not line


def test_who_is_promoted_goes_before_those_that_it_was_to_wait_for() -> None:
    before, _ = turn_of(READ, number=0, priority=Priority.DELETE)
    ahead, _ = turn_of(READ, number=1, priority=Priority.LIST)
    line = waiting(before, ahead)
    line.promote(ahead, Priority.REGISTER)
    assert line.choose(Budget(), NOW) == Next(ahead)
    line.remove(ahead)
    line.promote(ahead, Priority.INQUIRE)  # it is being asked: that is for when it waits again
    assert len(line) == 1
    line.add(ahead)
    assert line.take_all() == [before, ahead]


@given(
    st.lists(
        st.tuples(st.sampled_from(Priority), st.booleans(), st.booleans(), st.floats(0, 100)),
        max_size=12,
    ),
    st.floats(0, 200),
)
def test_whoever_waits_has_a_turn_at_last_and_there_is_always_something_to_do(
    kinds: list[tuple[Priority, bool, bool, float]], held_s: float
) -> None:
    line, now, ended = Turns(), NOW, 0
    for number, (priority, is_read, committed, delay_s) in enumerate(kinds):
        turn, _ = turn_of(READ if is_read else POST, priority=priority, number=number)
        turn.committed, turn.not_before = committed, NOW + delay_s
        line.add(turn)
    budget = Budget(paced=False, hold=Hold(NOW + held_s, "a pause"))
    for _ in range(3 * len(kinds)):
        if not line:
            break
        choice = line.choose(budget, now)
        if isinstance(choice, Later):
            assert 0 < choice.wait_s < float("inf")
            now += choice.wait_s
        else:
            line.remove(choice.turn)
            ended += 1
    assert ended == len(kinds)
