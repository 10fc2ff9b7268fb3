"""Jobs that have ended are held until GitHub has told of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.observation.awaited_jobs import AwaitedJobs

HELD = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)))


def test_one_is_let_go_when_github_tells_of_it() -> None:
    awaited = AwaitedJobs[str]()
    awaited.hold("fleet-a", "it", 60.0)
    assert awaited.take("fleet-b") is None
    assert awaited.take("fleet-a") == "it"
    assert awaited.take("fleet-a") is None
    assert awaited.rest() == []


@given(HELD, st.integers(0, 9))
def test_none_is_held_for_longer_than_was_said_last_and_those_due_first_come_first(
    held: list[tuple[str, int]], now: int
) -> None:
    awaited = AwaitedJobs[tuple[str, int]]()
    for name, until in held:
        awaited.hold(name, (name, until), until)
    last = sorted(dict(held).items(), key=lambda one: (one[1], one[0]))
    assert awaited.overdue(now) == [one for one in last if one[1] <= now]
    assert awaited.rest() == [one for one in last if one[1] > now]


def test_one_look_shows_that_none_is_overdue_however_many_are_held() -> None:
    looks: list[float] = []

    class Moment(float):
        def __le__(self, other: float) -> bool:
            looks.append(other)
            return super().__le__(other)

    awaited = AwaitedJobs[None]()
    for number in range(1000):
        awaited.hold(f"fleet-{number}", None, Moment(60 + number))
    assert awaited.overdue(59.0) == []
    assert len(looks) == 1


@given(HELD)
def test_what_was_let_go_and_is_held_again_comes_once(held: list[tuple[str, int]]) -> None:
    awaited = AwaitedJobs[str]()
    for name, until in held:
        awaited.hold(name, name, until)
        awaited.take(name)
        awaited.hold(name, name, until)
    assert sorted(awaited.rest()) == sorted(dict(held))
