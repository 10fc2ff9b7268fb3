"""GitHub's clock, by which it judges what is signed and says how long a token lives."""

from dataclasses import dataclass
from datetime import datetime, timedelta

_OF_NOTE = timedelta(seconds=30)
_BEYOND_BELIEF = timedelta(days=3650)


@dataclass(frozen=True)
class ServerClock:
    """What is known of it.

    Attributes:
        ahead: how far it is ahead of this machine's.
    """

    ahead: timedelta = timedelta(0)

    def learn(self, date: datetime | None, now: datetime) -> "ServerClock":
        """Take in the date of an answer, if that has a credible one.

        Args:
            date: by GitHub's clock.
            now: by this machine's.
        """
        ahead = date - now if date else self.ahead
        return ServerClock(ahead) if abs(ahead) < _BEYOND_BELIEF else self

    def at(self, now: datetime) -> datetime:
        """Tell the time as GitHub's clock shows it."""
        return now + self.ahead

    def differs(self, other: "ServerClock") -> bool:
        """Tell whether one of them was wrong: by more than an answer's way and a second's part."""
        return abs(self.ahead - other.ahead) > _OF_NOTE
