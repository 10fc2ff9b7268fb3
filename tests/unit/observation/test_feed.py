"""The feed passes on what it is told, whatever its watchers do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial

import pytest
from feeds import gathered
from waiting import LIMIT_S

from supervisor.observation.feed import Feed, Kind, Record

RECORD = Record(datetime(2030, 1, 1, tzinfo=timezone.utc), Kind.ORDER, "flush", "ordered")
OTHER = RECORD._replace(subject="drain")
HELD = RECORD._replace(subject="held")
MANY = 1500
"""More than wait until somebody asks."""
MOMENT_S = 0.1
"""What is held goes on within far less, if it is not held."""


class Heard:
    """All that one who watches is told."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def hear(self, record: Record, _at_s: float) -> None:
        self.records.append(record)

    def subjects(self) -> list[str]:
        return [record.subject for record in self.records]


def tell_many(feed: Feed, count: int) -> None:
    for number in range(count):
        feed.tell(RECORD._replace(subject=str(number)))


def once_released(feed: Feed, tell: Callable[[], None]) -> None:
    """Have others tell something, and have it passed on, as soon as they come to do so."""
    lock, others = threading.Lock(), [tell]

    class Passing:
        def __enter__(self) -> None:
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()
            while others:
                others.pop()()
                feed.pass_on()

    vars(feed)["_passing"] = Passing()


def ends(do: Callable[[], None]) -> bool:
    """Say whether somebody else can do something to its end, now."""
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    return not thread.is_alive()


@contextmanager
def passing() -> Iterator[tuple[Feed, Heard]]:
    """Give a feed, of which another thread passes a record on meanwhile, and who hears it after."""
    feed, told = Feed(), Heard()
    reached, goes_on = threading.Event(), threading.Event()

    def hold(record: Record, _at_s: float) -> None:
        if record is HELD:
            reached.set()
            goes_on.wait()

    feed.watch(hold)
    feed.watch(told.hear)
    feed.tell(HELD)
    thread = threading.Thread(target=feed.pass_on)
    thread.start()
    assert reached.wait(LIMIT_S)
    try:
        yield feed, told
    finally:
        goes_on.set()
        thread.join(LIMIT_S)


def test_all_who_watch_are_told_in_order() -> None:
    feed, told = Feed(), []
    feed.watch(lambda record, _at_s: told.append(("one", record)))
    feed.watch(lambda record, _at_s: told.append(("two", record)))
    feed.tell(RECORD)
    assert told == []
    feed.pass_on()
    assert told == [("one", RECORD), ("two", RECORD)]


def test_who_does_not_watch_any_more_is_told_nothing() -> None:
    feed, told = Feed(), Heard()
    feed.watch(told.hear)
    feed.unwatch(told.hear)
    feed.unwatch(told.hear)
    feed.tell(RECORD)
    feed.pass_on()
    assert told.records == []


def test_who_watches_knows_what_has_happened_from_then_on_until_it_does_not_any_more() -> None:
    feed, told = Feed(), Heard()
    feed.tell(RECORD)
    feed.watch(told.hear)
    feed.tell(OTHER)
    feed.unwatch(told.hear)
    feed.tell(RECORD)
    feed.pass_on()
    assert told.records == [OTHER]


def test_what_is_told_is_made_when_it_is_passed_on_and_none_is_nothing() -> None:
    feed, made = Feed(), list[str]()
    told = gathered(feed)

    def make(name: str, record: Record | None) -> Record | None:
        made.append(name)
        return record

    feed.tell_made(partial(make, "one", RECORD))
    feed.tell_made(partial(make, "two", None))
    assert made == []
    assert told() == [RECORD]
    assert made == ["one", "two"]


def test_what_can_not_be_made_is_the_only_one_that_is_not_told() -> None:
    def fail() -> Record:
        raise ValueError("no such stage")

    feed = Feed()
    told = gathered(feed)
    feed.tell_made(fail)
    feed.tell(RECORD)
    assert told() == [RECORD]


def test_who_watches_is_given_when_it_was_told() -> None:
    seconds, seen = iter((1.0, 2.5)), list[float]()
    feed = Feed(lambda: next(seconds))
    feed.watch(lambda _, at_s: seen.append(at_s))
    feed.tell(RECORD)
    feed.tell(RECORD)
    feed.pass_on()
    assert seen == [1.0, 2.5]


def test_who_has_it_passed_on_is_given_the_time_once_all_know_and_before_more_is_passed_on() -> (
    None
):
    feed, happened = Feed(lambda: 7.0), list[str | float]()
    feed.watch(lambda record, _at_s: happened.append(record.subject))
    once_released(feed, lambda: feed.tell(RECORD._replace(subject="later")))
    feed.tell(RECORD)
    feed.pass_on(happened.append)
    assert happened == [RECORD.subject, 7.0, "later"]


def test_many_are_passed_on_though_nobody_asks() -> None:
    feed, told = Feed(), Heard()
    feed.watch(told.hear)
    tell_many(feed, 2500)
    assert 1500 <= len(told.records) < 2500


def test_who_tells_while_others_are_passed_on_is_not_kept_waiting() -> None:
    with passing() as (feed, told):
        assert ends(lambda: tell_many(feed, MANY))
        assert told.records == []
    feed.pass_on()
    assert told.subjects() == ["held", *map(str, range(MANY))]


def test_who_must_not_wait_for_a_watcher_does_not() -> None:
    with passing() as (feed, told):
        assert ends(feed.pass_on_unless_busy)
        feed.tell(OTHER)
        assert ends(feed.pass_on_unless_busy)
        assert told.records == []
    feed.pass_on_unless_busy()
    assert told.subjects() == ["held", OTHER.subject]


@pytest.mark.parametrize("name", ["pass_on", "watch", "unwatch"])
def test_who_wants_to_know_waits_for_what_is_passed_on_and_the_order_is_kept(name: str) -> None:
    with passing() as (feed, told):
        ask = partial(getattr(feed, name), *(() if name == "pass_on" else (Heard().hear,)))
        feed.tell(OTHER)
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(MOMENT_S)
        assert asking.is_alive()
        assert told.records == []
    asking.join(LIMIT_S)
    assert told.subjects() == ["held", OTHER.subject]


def test_who_watches_from_now_on_misses_nothing_that_others_tell_and_have_passed_on() -> None:
    feed, told = Feed(), Heard()
    once_released(feed, lambda: feed.tell(OTHER))
    feed.watch(told.hear)
    feed.pass_on()
    assert told.records == [OTHER]


def test_who_does_not_watch_any_more_hears_nothing_that_others_tell_and_have_passed_on() -> None:
    feed, told = Feed(), Heard()
    feed.watch(told.hear)
    once_released(feed, lambda: feed.tell(OTHER))
    feed.unwatch(told.hear)
    assert told.records == []


def test_what_a_watcher_tells_is_passed_on_after_all_else_to_all() -> None:
    feed, told = Feed(), Heard()

    def answer(record: Record, _at_s: float) -> None:
        if record.subject == "held":
            tell_many(feed, MANY)

    feed.watch(answer)
    feed.watch(told.hear)
    feed.tell(HELD)
    feed.tell(OTHER)
    feed.pass_on()
    assert told.records == [HELD, OTHER]
    feed.pass_on()
    assert told.subjects() == ["held", OTHER.subject, *map(str, range(MANY))]


def test_a_watcher_that_fails_hurts_neither_the_teller_nor_the_others() -> None:
    def fail(_record: Record, _at_s: float) -> None:
        raise OSError("no disk")

    feed = Feed()
    feed.watch(fail)
    told = gathered(feed)
    feed.tell(RECORD)
    assert told() == [RECORD]


def test_what_nobody_has_wanted_to_see_for_a_while_is_passed_on() -> None:
    now_s = [100.0]
    feed, heard = Feed(lambda: now_s[0]), Heard()
    feed.watch(heard.hear)
    feed.pass_on_overdue()
    feed.tell(RECORD)
    feed.pass_on_overdue()
    assert heard.records == []
    now_s[0] += 8
    feed.tell(OTHER)
    feed.pass_on_overdue()
    assert heard.records == [RECORD, OTHER]
