"""Misbehaviour on order: what GitHub and the network between do to a client now and then."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from sandbox.github.errors import PRIMARY_LIMIT, SECONDARY_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta


@dataclass(frozen=True)
class Fault:
    """One kind of misbehaviour for the requests it matches.

    Raises:
        ValueError: it would do nothing, or a number makes no sense.
    """

    method: str = "*"
    """An HTTP method, or `*`."""
    path_pattern: str = "*"
    """A shell pattern for the path without its query: `*` also matches slashes."""
    status: int | None = None
    """Answer with this status instead of the real answer."""
    message: str = "The sandbox was told to fail."
    body: str | None = None
    """Answer with these bytes (as text/html) instead of a JSON error."""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Wait before answering: before the request is processed, or with `after_processing` after."""
    held: bool = False
    """Wait until it is lifted, after the delay and where that is."""
    drip_s: float = 0.0
    """Send the answer's body in small pieces, over so many seconds."""
    truncated: bool = False
    """Announce the whole body, send half of it and close the connection."""
    wrong_bytes: bool = False
    """Change one byte in the middle of the answer's body."""
    bytes_per_s: int = 0
    """Send the answer's body no faster than that; 0 for as fast as it goes."""
    drop_connection: bool = False
    """Close the connection instead of answering."""
    after_processing: bool = False
    """Do what was asked first: only the answer is lost."""
    times: int | None = 1
    """How many requests it befalls; None for all until it is removed."""

    def __post_init__(self) -> None:
        spoils = self.drop_connection or self.spoils_the_body
        if self.status is None and not (self.delay_s or self.held) and not spoils:
            raise ValueError("a fault needs a status, a delay, or something lost")
        if min(self.delay_s, self.drip_s, self.bytes_per_s) < 0 or (
            self.times is not None and self.times < 1
        ):
            raise ValueError(
                "a fault's delay or speed can't be negative, nor its times less than one"
            )

    @property
    def spoils_the_body(self) -> bool:
        """Whether it lets the body come late or only in part."""
        return bool(self.drip_s or self.bytes_per_s) or self.truncated or self.wrong_bytes

    @property
    def replaces_the_answer(self) -> bool:
        """Whether the real answer is never sent."""
        return self.status is not None or self.drop_connection

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request is one of those it befalls."""
        return self.method in ("*", method) and fnmatchcase(path, self.path_pattern)

    @classmethod
    def rate_limited(cls, now: datetime, reset_in: timedelta, **where: Any) -> Fault:
        """Return GitHub's refusal for an exhausted hourly budget.

        Args:
            now: the time, for `x-ratelimit-reset`.
            reset_in: how long until the budget is renewed.
            where: `method`, `path_pattern`, `times` and the like.
        """
        headers = {
            "x-ratelimit-limit": "5000",
            "x-ratelimit-used": "5000",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(int((now + reset_in).timestamp())),
            "x-ratelimit-resource": "core",
        }
        return cls(**{"status": 403, "message": PRIMARY_LIMIT, "headers": headers, **where})

    @classmethod
    def secondary_rate_limited(cls, retry_after_s: int | None = None, **where: Any) -> Fault:
        """Return GitHub's refusal of too many requests at once; `status=429` is as good.

        Without a number of seconds, it does not say when to come back.
        """
        headers = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
        return cls(**{"status": 403, "message": SECONDARY_LIMIT, "headers": headers, **where})

    @classmethod
    def redirect(cls, location: str, **where: Any) -> Fault:
        """Return a 301 to another address, as for an organisation that was renamed."""
        headers = {"location": location}
        return cls(**{"status": 301, "message": "Moved Permanently", "headers": headers, **where})


@dataclass
class _Armed:
    fault: Fault
    left: int | None
    hits: int = 0


class Faults:
    """The faults in force. Any thread may add and remove them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force, after those that are."""
        with self._lock:
            self._armed.append(_Armed(fault, fault.times))
        return fault

    def clear(self) -> None:
        """Lift all faults and forget their counts."""
        with self._lock:
            self._armed.clear()

    def remove(self, fault: Fault) -> None:
        """Lift one fault, if it is in force."""
        with self._lock:
            self._armed = [armed for armed in self._armed if armed.fault is not fault]

    def is_in_force(self, fault: Fault) -> bool:
        """Tell whether a fault has not been lifted yet, though it may befall nobody any more."""
        with self._lock:
            return any(armed.fault is fault for armed in self._armed)

    def hits(self, fault: Fault) -> int:
        """Return how many requests a fault has befallen."""
        with self._lock:
            return sum(armed.hits for armed in self._armed if armed.fault is fault)

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the first fault that befalls a request, and count it."""
        with self._lock:
            for armed in self._armed:
                if armed.left != 0 and armed.fault.matches(method, path):
                    armed.hits += 1
                    armed.left = None if armed.left is None else armed.left - 1
                    return armed.fault
        return None
