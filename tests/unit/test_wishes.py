"""What the main thread is told: at once, once, and never in the way of what it has to do."""

from __future__ import annotations

import signal
import threading
from time import monotonic

from supervisor.supervision import FakeClock
from supervisor.wishes import Ended, Wish, Wishes

HUP, TERM, USR1 = signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1
LIMIT_S = 10.0


def given(wishes: Wishes, count: int) -> list[Wish | None]:
    until = monotonic() + LIMIT_S
    return [wishes.next(until) for _ in range(count)]


def test_each_is_given_in_its_turn() -> None:
    wishes = Wishes()
    for wish in (USR1, HUP, Ended.TREE):
        wishes.tell(wish)
    assert given(wishes, 3) == [USR1, HUP, Ended.TREE]


def test_one_that_is_told_often_is_given_once() -> None:
    wishes = Wishes()
    for _ in range(1000):
        wishes.tell(HUP)
    assert given(wishes, 1) == [HUP]
    assert wishes.next(monotonic() + 0.05) is None


def test_one_that_is_told_again_after_it_was_given_is_given_again_but_not_at_once() -> None:
    skipped_s = 0.0
    wishes = Wishes(lambda: monotonic() + skipped_s)
    wishes.tell(HUP)
    began = monotonic()
    assert given(wishes, 1) == [HUP]
    wishes.tell(HUP)
    skipped_s = 0.95
    assert given(wishes, 1) == [HUP]
    assert monotonic() + skipped_s - began >= 1.0


def test_an_order_to_stop_does_not_wait_behind_one_that_does() -> None:
    clock = FakeClock()
    wishes = Wishes(clock.monotonic)
    wishes.tell(HUP)
    assert wishes.next(LIMIT_S) is HUP
    wishes.tell(HUP)
    wishes.tell(TERM)
    assert wishes.next(LIMIT_S) is TERM
    clock.advance(1.0)
    assert wishes.next(LIMIT_S) is HUP


def test_one_that_is_told_meanwhile_wakes_who_waits() -> None:
    wishes = Wishes()
    threading.Timer(0.05, wishes.tell, [TERM]).start()
    assert given(wishes, 1) == [TERM]
