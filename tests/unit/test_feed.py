"""The feed passes on what it is told, whatever its watchers do."""

from __future__ import annotations

from datetime import datetime, timezone

from supervisor.feed import Feed, Kind, Record

RECORD = Record(datetime(2030, 1, 1, tzinfo=timezone.utc), Kind.ORDER, "flush", "ordered")


def test_all_who_watch_are_told_in_order() -> None:
    feed, told = Feed(), []
    feed.watch(lambda record: told.append(("one", record)))
    feed.watch(lambda record: told.append(("two", record)))
    feed.tell(RECORD)
    assert told == [("one", RECORD), ("two", RECORD)]


def test_who_does_not_watch_any_more_is_told_nothing() -> None:
    feed, told = Feed(), list[Record]()
    feed.watch(told.append)
    feed.unwatch(told.append)
    feed.unwatch(told.append)
    feed.tell(RECORD)
    assert told == []


def test_a_watcher_that_fails_hurts_neither_the_teller_nor_the_others() -> None:
    def fail(_record: Record) -> None:
        raise OSError("no disk")

    feed, told = Feed(), list[Record]()
    feed.watch(fail)
    feed.watch(told.append)
    feed.tell(RECORD)
    assert told == [RECORD]
