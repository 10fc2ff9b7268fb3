"""The hourly budget of requests, as GitHub counts and shows it (`x-ratelimit-*`)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta

WINDOW = timedelta(hours=1)
CORE = "core"
REGISTRATION = "actions_runner_registration"
_REGISTRATION_LIMIT = 10_000
_MINUTE = timedelta(minutes=1)
_CHEAP = ("GET", "HEAD", "OPTIONS")
_DEAR_POINTS = 5


@dataclass
class Bucket:
    """One resource's budget within a fixed window that starts at its first request."""

    limit: int
    used: int = 0
    reset_at: datetime | None = None

    def roll(self, now: datetime) -> None:
        """Start a new window if the last one is over."""
        if self.reset_at is None or now >= self.reset_at:
            self.used = 0
            self.reset_at = now + WINDOW

    def spend(self, now: datetime) -> bool:
        """Count one request; False where nothing was left."""
        self.roll(now)
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def refund(self) -> None:
        """Give one request back: a 304 costs nothing."""
        self.used = max(0, self.used - 1)

    def document(self, now: datetime) -> dict[str, int]:
        """Return the bucket as `/rate_limit` shows it."""
        self.roll(now)
        reset = self.reset_at or now
        return {
            "limit": self.limit,
            "used": self.used,
            "remaining": self.limit - self.used,
            "reset": int(reset.timestamp()),
        }

    def headers(self, resource: str, now: datetime) -> dict[str, str]:
        """Return the headers that every answer carries."""
        document = self.document(now)
        return {f"x-ratelimit-{name}": str(value) for name, value in document.items()} | {
            "x-ratelimit-resource": resource
        }


@dataclass
class Points:
    """The secondary limit: points a minute, where reading is cheap and writing dear."""

    limit: int
    used: int = 0
    reset_at: datetime | None = None

    def spend(self, method: str, now: datetime) -> int | None:
        """Count one request; where too many points were spent, return the seconds to wait."""
        if self.reset_at is None or now >= self.reset_at:
            self.used = 0
            self.reset_at = now + _MINUTE
        points = 1 if method in _CHEAP else _DEAR_POINTS
        if self.used + points > self.limit:
            return max(1, math.ceil((self.reset_at - now).total_seconds()))
        self.used += points
        return None


@dataclass(frozen=True)
class Limits:
    """How much a token may ask for: None is as much as it likes."""

    hourly: int | None = 5000
    per_minute: int | None = None
    """Points of the secondary limit."""

    def budget(self) -> Budget:
        """Return a new token's budget."""
        points = None if self.per_minute is None else Points(self.per_minute)
        return Budget(self.hourly, points)


@dataclass
class Budget:
    """The buckets of one token; it has none where its limit is None."""

    limit: int | None
    points: Points | None = None
    buckets: dict[str, Bucket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.limit is None:
            return
        self.buckets.setdefault(CORE, Bucket(self.limit))
        self.buckets.setdefault("search", Bucket(30))
        self.buckets.setdefault("graphql", Bucket(5000))
        self.buckets.setdefault(REGISTRATION, Bucket(_REGISTRATION_LIMIT))


def resource_of(path: str) -> str:
    """Return which bucket a request of that path is counted in."""
    ends = ("/registration-token", "/remove-token", "/generate-jitconfig")
    return REGISTRATION if path.endswith(ends) else CORE
