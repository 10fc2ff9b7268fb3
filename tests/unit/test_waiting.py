from __future__ import annotations

import threading
import time

import pytest
import waiting
from waiting import Wait, eventually


class Counter:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def next(self) -> int:
        self.asked += 1
        return self.asked


def failure(*args: object, **options: object) -> str:
    with pytest.raises(AssertionError) as caught:
        eventually(*args, limit_s=0.02, **options)  # type: ignore[call-overload]
    return str(caught.value)


def test_what_holds_at_once_is_given_after_one_look() -> None:
    counter = Counter()
    assert eventually(counter.next, limit_s=0) == 1
    assert counter.asked == 1


def test_what_others_bring_about_is_waited_for() -> None:
    there: list[str] = []
    threading.Timer(0.02, there.append, ["it"]).start()
    assert eventually(lambda: there) == ["it"]


def test_a_failure_tells_what_was_waited_for_and_how_long() -> None:
    told = failure(lambda: False, "the fleet is whole")
    assert told.startswith("waited 0.02 s in vain: the fleet is whole\n")


def test_a_failure_tells_what_was_seen_last() -> None:
    names = ["one", "two"]
    assert "assert ['one', 'two'] == ['one']" in failure(lambda: sorted(names) == ["one"])


def test_a_failure_has_a_picture_of_what_else_there_is() -> None:
    assert failure(lambda: False, picture=lambda: "all sides").endswith("\nall sides")


def test_what_a_condition_raises_ends_the_wait() -> None:
    with pytest.raises(KeyError):
        eventually(lambda: {}["nothing"])


def test_what_is_done_before_each_look_takes_none_of_the_time() -> None:
    counter = Counter()
    with waiting.first(lambda: time.sleep(0.03)):
        assert eventually(lambda: counter.next() == 3, limit_s=0.02)


def test_it_is_looked_at_ever_more_seldom() -> None:
    wait = Wait(lambda: False)
    pauses = [wait.pause_s for _ in range(50) if wait.look() is False]
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.005
    assert pauses[-1] == 0.1
