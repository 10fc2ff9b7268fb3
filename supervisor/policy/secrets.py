"""The secrets that sign guests' one-time tokens: one after another, kept while they are needed."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise

_DAILY = timedelta(days=1)
_MOST = 16


@dataclass(frozen=True)
class Secret:
    """One of them, and when it was made."""

    value: bytes = field(repr=False)
    made_at: datetime

    @property
    def encoded(self) -> str:
        """It in base64."""
        return base64.b64encode(self.value).decode()


Ring = tuple[Secret, ...]
"""The newest first: it signs."""


def next_change(ring: Ring, lifetime: timedelta) -> datetime:
    """Say when another is to be made, or an old one forgotten."""
    return ring[0].made_at + _interval(lifetime)


def renewed(ring: Ring, value: bytes, now: datetime, lifetime: timedelta) -> Ring:
    """Give the secrets that are to be used from now on.

    Args:
        ring: those that there are; none at the first time.
        value: of another, should it be time for one.
        now: the time.
        lifetime: how long a token is good.
    """
    # One that was made in the future, by a clock that was wrong, would never be old enough.
    is_due = not ring or not ring[0].made_at <= now < next_change(ring, lifetime)
    made = (Secret(value, now), *ring) if is_due else ring
    # It signs nothing since the one before it was made.
    needed = [old for newer, old in pairwise(made) if now < newer.made_at + lifetime]
    return (made[0], *needed[: _MOST - 1])


def written(ring: Ring) -> str:
    """Write them for a file of the daemon's own."""
    return json.dumps([{"secret": one.encoded, "made-at": one.made_at.isoformat()} for one in ring])


def read(text: str) -> Ring:
    """Read what `written` has written.

    Raises:
        ValueError: it has not; the message quotes nothing.
    """
    try:
        return tuple(
            Secret(
                base64.b64decode(one["secret"], validate=True),
                datetime.fromisoformat(one["made-at"]).astimezone(timezone.utc),
            )
            for one in json.loads(text)
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError("it holds something else") from None


def _interval(lifetime: timedelta) -> timedelta:
    """Say how long one signs: a day, or longer where tokens last so long that many were kept."""
    return max(_DAILY, lifetime / (_MOST - 2))
