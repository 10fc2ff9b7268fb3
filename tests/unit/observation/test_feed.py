"""The feed passes on what it is told, whatever its watchers do."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from functools import partial

from feeds import gathered

from supervisor.observation.feed import Feed, Kind, Record

RECORD = Record(datetime(2030, 1, 1, tzinfo=timezone.utc), Kind.ORDER, "flush", "ordered")
OTHER = RECORD._replace(subject="drain")


def test_all_who_watch_are_told_in_order() -> None:
    feed, told = Feed(), []
    feed.watch(lambda record: told.append(("one", record)))
    feed.watch(lambda record: told.append(("two", record)))
    feed.tell(RECORD)
    assert told == []
    feed.pass_on()
    assert told == [("one", RECORD), ("two", RECORD)]


def test_who_does_not_watch_any_more_is_told_nothing() -> None:
    feed, told = Feed(), list[Record]()
    feed.watch(told.append)
    feed.unwatch(told.append)
    feed.unwatch(told.append)
    feed.tell(RECORD)
    feed.pass_on()
    assert told == []


def test_who_watches_knows_what_has_happened_from_then_on_until_it_does_not_any_more() -> None:
    feed, told = Feed(), list[Record]()
    feed.tell(RECORD)
    feed.watch(told.append)
    feed.tell(OTHER)
    feed.unwatch(told.append)
    feed.tell(RECORD)
    feed.pass_on()
    assert told == [OTHER]


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


def test_who_watches_can_see_when_it_was_told() -> None:
    seconds, seen = iter((1.0, 2.5)), list[float]()
    feed = Feed(lambda: next(seconds))
    feed.watch(lambda _: seen.append(feed.told_at_s))
    feed.tell(RECORD)
    feed.tell(RECORD)
    feed.pass_on()
    assert seen == [1.0, 2.5]


def test_many_are_passed_on_though_nobody_asks() -> None:
    feed, told = Feed(), list[Record]()
    feed.watch(told.append)
    for _ in range(2500):
        feed.tell(RECORD)
    assert 1500 <= len(told) < 2500


def test_each_is_passed_on_once_though_several_tell_and_ask_at_once() -> None:
    feed, told = Feed(), list[str]()
    feed.watch(lambda record: told.append(record.subject))

    def tell(name: str) -> None:
        for number in range(3000):
            feed.tell(RECORD._replace(subject=f"{name} {number}"))
            if not number % 100:
                feed.pass_on()

    threads = [threading.Thread(target=tell, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    feed.pass_on()
    for name in "abc":
        of_one = [subject for subject in told if subject.startswith(name)]
        assert of_one == [f"{name} {number}" for number in range(3000)]


def test_a_watcher_that_fails_hurts_neither_the_teller_nor_the_others() -> None:
    def fail(_record: Record) -> None:
        raise OSError("no disk")

    feed, told = Feed(), list[Record]()
    feed.watch(fail)
    feed.watch(told.append)
    feed.tell(RECORD)
    feed.pass_on()
    assert told == [RECORD]
