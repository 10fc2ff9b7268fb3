"""Who watches a feed in tests."""

from __future__ import annotations

from collections.abc import Callable

from supervisor.observation.feed import Feed, Record


def gathered(feed: Feed) -> Callable[[], list[Record]]:
    """Watch a feed from now on; what is returned gives all that it was told since."""
    told: list[Record] = []
    feed.watch(lambda record, _at_s: told.append(record))

    def give() -> list[Record]:
        feed.pass_on()
        return told

    return give
