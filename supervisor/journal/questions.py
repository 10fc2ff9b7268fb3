"""What is asked of the journal, and how an event is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from supervisor.observation.feed import Kind, Record
from supervisor.text import moments

MOST_EVENTS = 1000
MOST_ROWS = 10_000
_USUAL_EVENTS = 100
_USUAL_ROWS = 1000
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Event:
    """A record as it is kept, with its number; numbers grow."""

    id: int
    record: Record

    def as_json(self) -> dict[str, Any]:
        """Give it as the control API does."""
        told = self.record._asdict()
        del told["runners"]  # which is not kept
        return {
            **told,
            "id": self.id,
            "at": self.record.at.isoformat(),
            "kind": str(self.record.kind),
            "details": dict(self.record.details),
        }


@dataclass(frozen=True)
class EventsAnswer:
    """What was found.

    Attributes:
        events: the oldest first.
        last: the number of the newest event that was looked at: what follows it is yet unasked.
        more: whether some that were asked for follow it already.
    """

    events: Sequence[Event]
    last: int
    more: bool


@dataclass(frozen=True)
class EventsQuestion:
    """Which events are asked for: the newest, or those after a number or a moment.

    Attributes:
        after: a number; None for the newest.
        since: a moment; None for the newest.
        runner: what is about this one only; empty for all.
        kind: of this kind only; None for all.
        limit: how many at most.
    """

    after: int | None = None
    since: datetime | None = None
    runner: str = ""
    kind: Kind | None = None
    limit: int = _USUAL_EVENTS

    @property
    def newest(self) -> bool:
        """Whether the newest are asked for, where others are the oldest that match."""
        return self.after is None and self.since is None

    def answer(self, found: Sequence[Event], seen: Sequence[int], newest: int) -> EventsAnswer:
        """Make the answer of what was found.

        Args:
            found: at most `limit`, and the newest first where `newest` are asked for.
            seen: the numbers of all that match, likewise, but up to one more than the `limit`, and
                those included that can't be read.
            newest: the number of the newest event of all.
        """
        more = len(seen) > self.limit and not self.newest
        last = seen[self.limit - 1] if more else max(newest, self.after or 0)
        return EventsAnswer(found[::-1] if self.newest else found, last, more)

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> EventsQuestion:
        """Read it from the parameters of a request.

        Raises:
            ValueError: it can't be read; the message says what is wrong, and what would be right.
        """
        return cls(
            after=_whole(given, "after", None, 0, _LARGEST_ID),
            since=_moment(given),
            runner=given.get("runner", ""),
            kind=_kind(given),
            limit=_whole(given, "limit", _USUAL_EVENTS, 1, MOST_EVENTS) or _USUAL_EVENTS,
        )


@dataclass(frozen=True)
class HistoryQuestion:
    """Which runners and jobs are asked for: the newest of those since a moment.

    Attributes:
        since: those that have ended since, or go on; None for all that is kept.
        repository: whose jobs; empty for all.
        limit: how many of each are listed at most.
    """

    since: datetime | None = None
    repository: str = ""
    limit: int = _USUAL_ROWS

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> HistoryQuestion:
        """Read it from the parameters of a request.

        Raises:
            ValueError: it can't be read; the message says what is wrong, and what would be right.
        """
        limit = _whole(given, "limit", _USUAL_ROWS, 1, MOST_ROWS) or _USUAL_ROWS
        return cls(_moment(given), given.get("repository", ""), limit)


def _whole(
    given: Mapping[str, str], key: str, usual: int | None, least: int, most: int
) -> int | None:
    text = given.get(key)
    if not text:
        return usual
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ValueError(f"{key}: must be a whole number from {least} to {most}")
    return int(text)


def _moment(given: Mapping[str, str]) -> datetime | None:
    text = given.get("since")
    if not text:
        return None
    moment = moments.read(text)
    if moment is None:
        raise ValueError("since: must be a moment with its time zone: 2030-01-31T12:00:00+00:00")
    return moment


def _kind(given: Mapping[str, str]) -> Kind | None:
    text = given.get("kind")
    if not text:
        return None
    try:
        return Kind(text)
    except ValueError:
        raise ValueError(f"kind: must be one of {', '.join(map(str, Kind))}") from None
