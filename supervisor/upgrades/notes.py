"""What is noted of upgrades for those who are started later.

Nothing needs it: without a note it is only not known since when a version is out, and what has
failed is tried once more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from supervisor.upgrades.attempts import Attempts
from supervisor.upgrades.older import HELD_S, OlderOffer

_LONGEST_S = 86400.0
_MOST_CHARACTERS = 2000


@dataclass(frozen=True)
class Moment:
    """One moment by both clocks: a process's own says nothing to the next one.

    Attributes:
        now: the time of day, aware.
        monotonic: seconds.
    """

    now: datetime
    monotonic: float

    def day_time(self, monotonic: float) -> datetime:
        """Give the time of day at another moment."""
        return self.now + timedelta(seconds=monotonic - self.monotonic)

    def seconds_until(self, day_time: datetime) -> float:
        """Give the seconds until a time of day; negative if that has passed."""
        return (day_time - self.now).total_seconds()


@dataclass(frozen=True)
class Failure:
    """A version that was of no use.

    Attributes:
        version: what tells it from others.
        failures: in a row.
        not_before: when it may be tried again.
        reason: for the operator.
        source: tells where it was had from others: there it may be of use; empty where there is no
            other.
    """

    version: str
    failures: int
    not_before: AwareDatetime
    reason: str
    source: str = ""

    def attempts(self, at: Moment) -> Attempts:
        """Give what is to be known of it; a clock that was set back holds it up a day at most."""
        left_s = min(max(0.0, at.seconds_until(self.not_before)), _LONGEST_S)
        return Attempts(self.version, self.failures, at.monotonic + left_s)


@dataclass(frozen=True)
class Older:
    """A version that is older than the one in use is offered; see `OlderOffer`."""

    version: str
    than: str
    since: AwareDatetime

    def offer(self, at: Moment) -> OlderOffer:
        """Give the offer; by a clock that was set back it is a new one."""
        past_s = min(max(0.0, -at.seconds_until(self.since)), HELD_S)
        return OlderOffer(self.version, self.than, at.monotonic - past_s)


@dataclass(frozen=True)
class Note:
    """What is noted of one thing that is kept current.

    Attributes:
        latest: the newest version known of.
        latest_since: when that was first heard of.
        failure: the version that was of no use, if there is one.
        older: the offer of an older version, if there is one.
    """

    latest: str = ""
    latest_since: AwareDatetime | None = None
    failure: Failure | None = None
    older: Older | None = None

    def hear_of(self, latest: str, now: datetime) -> Note:
        """Take in which version is the newest."""
        if self.latest_since and self.latest == latest:
            return replace(self, latest_since=min(self.latest_since, now))
        return replace(self, latest=latest, latest_since=now)

    def fail(self, attempts: Attempts, reason: str, at: Moment, source: str = "") -> Note:
        """Take in that a version is of no use."""
        not_before, reason = at.day_time(attempts.not_before), reason[:_MOST_CHARACTERS]
        failure = Failure(attempts.version, attempts.failures, not_before, reason, source)
        return replace(self, failure=failure)

    def follow(self, offer: OlderOffer | None, at: Moment) -> Note:
        """Take in which older version is offered. An order to take it is not noted."""
        older = Older(offer.version, offer.than, at.day_time(offer.since)) if offer else None
        if older and self.older and _is_same(older, self.older):
            return self
        return replace(self, older=older)


def _is_same(one: Older, other: Older) -> bool:
    """Tell whether an offer goes on: its beginning is reckoned anew each time."""
    is_near = abs(one.since - other.since) < timedelta(minutes=1)
    return is_near and (one.version, one.than) == (other.version, other.than)
