"""GitHub's limits on calls: what is left, when to wait, and how many runners that carries.

Limits and headers: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api.
Times are the monotonic clock's, in seconds: GitHub's own clock and this machine's may differ, so
what GitHub says of moments is turned into spans with the answer's own `Date`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from math import ceil

from supervisor.github.exchange import Answer, Request, http_date

PAGE = 100
"""How many runners a page of a listing holds at most."""

_HOUR_S = 3600.0
_WINDOW_S = 60.0
_POINTS = {"GET": 1, "POST": 5, "DELETE": 5}
_POINTS_A_MINUTE = 900
_FIRST_HOLD_S = 60.0
_LONGEST_HOLD_S = 3600.0
_MOST_POINTS_OF_INQUIRIES = _POINTS_A_MINUTE // 2
_CORE = "core"
_RESOURCES = frozenset({
    _CORE, "actions_runner_registration", "audit_log", "audit_log_streaming",
    "code_scanning_autofix", "code_scanning_upload", "code_search", "dependency_sbom",
    "dependency_snapshots", "graphql", "integration_manifest", "scim", "search", "source_import",
})  # fmt: skip
"""Those of https://docs.github.com/en/rest/rate-limit/rate-limit."""
_NEW_RESOURCE = re.compile(r"[a-z0-9_]{1,40}")
_MOST_NEW_RESOURCES = 4
_REST = "other"


class Priority(IntEnum):
    """Who goes first. A runner that is missing is what people wait for."""

    CREDENTIAL = 0
    REGISTER = 1
    REGISTER_AHEAD = 2
    DELETE = 3
    LIST = 4
    INQUIRE = 5


_KEPT = {Priority.LIST: 0.05, Priority.INQUIRE: 0.5}
"""Which part of an hour's calls is kept for what goes before."""


@dataclass(frozen=True)
class Bucket:
    """One of GitHub's hourly limits: `core`, and those of some endpoints.

    Attributes:
        limit: calls an hour.
        remaining: how many are left until `reset_at`.
        reset_at: when it is full again (monotonic, seconds).
    """

    limit: int
    remaining: int
    reset_at: float


@dataclass(frozen=True)
class Hold:
    """No call before then.

    Attributes:
        until: monotonic, seconds.
        reason: for the operator.
    """

    until: float
    reason: str


@dataclass(frozen=True)
class Budget:
    """What is known of the limits.

    Attributes:
        paced: GitHub's published limits for bursts hold: not on an Enterprise Server, where an
            administrator sets them, if any.
        buckets: by GitHub's names for them. Of names that are not known here there are only a
            few, and `other` stands for the rest: any server may name any, and metrics have labels.
        bucket_of: which bucket a kind of request was last counted in.
        hold: a limit for bursts was met, or GitHub asked for patience.
        met: how often in a row, by kind of request.
        spent: points of the last minute, with their times.
    """

    paced: bool = True
    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    bucket_of: Mapping[str, str] = field(default_factory=dict)
    hold: Hold | None = None
    met: Mapping[str, int] = field(default_factory=dict)
    spent: tuple[tuple[float, int], ...] = ()

    def sent(self, request: Request, now: float) -> "Budget":
        """Count a request that goes out now."""
        recent = tuple((at, points) for at, points in self.spent if at > now - _WINDOW_S)
        return replace(self, spent=(*recent, (now, _POINTS[request.verb])))

    def learn(self, request: Request, answer: Answer, now: float) -> "Budget":
        """Take in what an answer that is no refusal for a limit says of the limits."""
        met = {kind: times for kind, times in self.met.items() if kind != _kind(request)}
        return replace(self._read(request, answer, now), met=met)

    def limited(self, request: Request, answer: Answer, now: float) -> "Budget":
        """Take in a refusal for a limit: the hourly one, or one of those for bursts."""
        name = self._resource(answer, now)
        budget = self._read(request, answer, now)
        headers = answer.headers
        wait = _seconds_from(headers.get("retry-after", ""), answer)
        if wait is None and headers.get("x-ratelimit-remaining") == "0":
            bucket = budget.buckets.get(name)
            if bucket and bucket.reset_at > now:
                return budget  # its bucket is empty, and that says all
        # GitHub asks for at least a minute, and for longer each time it goes on: also where the
        # time that it names has proved too short.
        times = self.met.get(_kind(request), 0)
        own = _FIRST_HOLD_S * 2 ** min(times if wait is None else times - 1, 10)
        asked = own if wait is None or times else 0.0
        until = now + min(max(asked, wait or 0.0, 1.0), _LONGEST_HOLD_S)
        met = {**self.met, _kind(request): times + 1}
        return replace(budget, met=met, hold=Hold(until, "GitHub asks for a pause"))

    def wait(self, request: Request, priority: Priority, now: float) -> Hold | None:
        """Say why a request must not be sent now, and when it may; None if it may."""
        if self.hold and now < self.hold.until:
            return self.hold
        name = self.bucket_of.get(_kind(request), _CORE)
        bucket = self.buckets.get(name)
        if bucket and now < bucket.reset_at:
            kept = ceil(bucket.limit * _KEPT.get(priority, 0.0))
            if bucket.remaining <= kept:
                what = f"GitHub's hourly limit of {bucket.limit} calls is used up"
                if bucket.remaining:
                    what = f"the last {bucket.remaining} calls of the hour are kept for runners"
                return Hold(bucket.reset_at, what)
        if self.paced and priority is Priority.INQUIRE:
            return self._wait_for_points(_MOST_POINTS_OF_INQUIRIES, now)
        if self.paced and not request.is_read:
            return self._wait_for_points(_POINTS_A_MINUTE - _POINTS[request.verb], now)
        return None

    def runners_per_hour(self, runners: int, reconcile_interval_s: float) -> int | None:
        """Forecast how many runners an hour the credential can sustain.

        A runner costs one call to register and at most one to delete; a reconcile costs a call for
        each page of runners, counted as if each page had always changed.

        Args:
            runners: how many there are at a time.
            reconcile_interval_s: seconds from one reconcile to the next.

        Returns:
            None where GitHub sets no limit, or has not told yet which holds for registrations.
        """
        core, own = self.buckets.get(_CORE), self.bucket_of.get("register")
        if core is None or own is None:
            return None
        rates = [self._points_an_hour() / (_POINTS["POST"] + _POINTS["DELETE"])] * self.paced
        listings = max(1, ceil(runners / PAGE)) * _HOUR_S / reconcile_interval_s
        calls = 2 if own == _CORE else 1
        rates.append((core.limit - listings) / calls)
        if own != _CORE and own in self.buckets:
            rates.append(self.buckets[own].limit)
        return max(0, int(min(rates)))

    @staticmethod
    def _points_an_hour() -> float:
        return _POINTS_A_MINUTE * _HOUR_S / _WINDOW_S

    def _wait_for_points(self, most: int, now: float) -> Hold | None:
        """Hold until no more than so many points were spent in the last minute."""
        recent = [(at, points) for at, points in self.spent if at > now - _WINDOW_S]
        excess = sum(points for _, points in recent) - most
        for at, points in recent:
            if excess <= 0:
                break
            excess -= points
            now = at + _WINDOW_S
            if excess <= 0:
                return Hold(now, "calls are spread to stay below GitHub's limit for bursts")
        return None

    def _read(self, request: Request, answer: Answer, now: float) -> "Budget":
        headers = answer.headers
        try:
            limit, remaining, reset = (
                int(float(headers[f"x-ratelimit-{part}"]))
                for part in ("limit", "remaining", "reset")
            )
        except (KeyError, ValueError, OverflowError):
            return self
        date = answer.date
        left = reset - date.timestamp() if date else _HOUR_S
        name = self._resource(answer, now)
        bucket = Bucket(limit, max(remaining, 0), now + min(max(left, 0.0), _HOUR_S))
        return replace(
            self,
            buckets={**self._current(now), name: bucket},
            bucket_of={**self.bucket_of, _kind(request): name},
        )

    def _resource(self, answer: Answer, now: float) -> str:
        """Name the bucket that an answer was counted in, by one of few names."""
        name = answer.headers.get("x-ratelimit-resource", _CORE)
        if name in _RESOURCES or name in self.buckets:
            return name
        new = self._current(now).keys() - _RESOURCES - {_REST}
        has_room = len(new) < _MOST_NEW_RESOURCES
        return name if has_room and _NEW_RESOURCE.fullmatch(name) else _REST

    def _current(self, now: float) -> Mapping[str, Bucket]:
        """Leave out buckets that nothing has been counted in for long."""
        used = {_CORE, *self.bucket_of.values()}
        return {
            name: bucket
            for name, bucket in self.buckets.items()
            if name in used or bucket.reset_at > now - _HOUR_S
        }


def _kind(request: Request) -> str:
    """Sort requests as GitHub's limits may: registrations apart from the rest."""
    return "register" if request.verb == "POST" else "other"


def _seconds_from(retry_after: str, answer: Answer) -> float | None:
    """Read Retry-After, which is a number of seconds or a moment."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    moment, date = http_date(retry_after), answer.date
    return (moment - date).total_seconds() if moment and date else None
