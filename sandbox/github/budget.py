"""The hourly budget of requests, as GitHub counts and shows it (`x-ratelimit-*`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

WINDOW = timedelta(hours=1)
CORE = "core"
REGISTRATION = "actions_runner_registration"
_REGISTRATION_LIMIT = 10_000


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
class Budget:
    """The buckets of one token."""

    limit: int
    buckets: dict[str, Bucket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.buckets.setdefault(CORE, Bucket(self.limit))
        self.buckets.setdefault("search", Bucket(30))
        self.buckets.setdefault("graphql", Bucket(5000))
        self.buckets.setdefault(REGISTRATION, Bucket(_REGISTRATION_LIMIT))


def resource_of(path: str) -> str:
    """Return which bucket a request of that path is counted in."""
    ends = ("/registration-token", "/remove-token", "/generate-jitconfig")
    return REGISTRATION if path.endswith(ends) else CORE
