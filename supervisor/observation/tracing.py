"""Traces of runners' lives, for an OpenTelemetry collector; nothing at all without one."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from loguru import logger

from supervisor.config import Config
from supervisor.observation.feed import Feed, Record
from supervisor.observation.spans import Spans
from supervisor.observation.trace_standing import TraceStanding
from supervisor.web.proxies import Proxies

if TYPE_CHECKING:
    from supervisor.gateways.collector import Collector

_END_LIMIT = timedelta(seconds=2)
_OPTION = re.compile(r"\bOTEL_[A-Z_]+")
"""What OpenTelemetry's libraries read from the environment: an operator may have set it."""


@dataclass(frozen=True)
class _Wanted:
    url: str
    proxies: Proxies
    instance: str


class Tracing:
    """Watches the feed while a collector is configured. Used by one thread; the feed's are others.

    Args:
        feed: tells of the runners.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._spans = Spans()
        self._lock = threading.Lock()
        self._wanted: _Wanted | None = None
        self._collector: Collector | None = None
        self._standing = TraceStanding()
        self._unmade = ""

    @property
    def warning(self) -> str:
        """Why nothing is sent though it is configured; empty while all is well. For any thread."""
        return self._unmade or self._standing.fault

    @property
    def lost(self) -> int:
        """How many spans are lost since the daemon's start. For any thread."""
        return self._standing.lost

    def use(self, config: Config) -> None:
        """Send to the collector of a configuration from now on, or to none.

        Raises nothing, whatever the libraries do: without traces the fleet goes on. What could not
        be begun is begun with the next configuration, be it the same.
        """
        wanted = _wanted(config)
        if wanted == self._wanted and not self._unmade:
            return
        self._unmade = ""
        try:
            self.close()
            if wanted:
                self._begin(wanted)
        except Exception as error:  # noqa: BLE001 - what the libraries raise differs by their versions
            self._unmade = f"traces: none are sent: {_in_words(error)}"
            logger.error("{}", self._unmade)

    def _begin(self, wanted: _Wanted) -> None:
        # Who has no collector does not pay for the libraries.
        from supervisor.gateways.collector import Address, Collector  # noqa: PLC0415

        self._spans = Spans()
        self._collector = Collector(
            Address(wanted.url), wanted.proxies, wanted.instance, self._standing.begin()
        )
        self._feed.watch(self._hear)
        self._wanted = wanted

    def close(self) -> None:
        """Send what is left, for a moment, and watch no more."""
        self._feed.unwatch(self._hear)
        with self._lock:
            collector, self._collector, self._wanted = self._collector, None, None
        if collector:
            collector.close(_END_LIMIT)
        self._standing.end()

    def _hear(self, record: Record, _at_s: float) -> None:
        with self._lock:
            collector = self._collector
            if collector:
                collector.send(self._spans.hear(record))


def _wanted(config: Config) -> _Wanted | None:
    if config.otel_collector_endpoint is None:
        return None
    return _Wanted(config.otel_collector_endpoint.get_secret_value(), config.proxies, config.name)


def _in_words(error: Exception) -> str:
    """Say why no client can be made, and what to do; its own words may hold a password."""
    if isinstance(error, ImportError):
        return f"the library {error.name} is missing or broken; install the daemon anew"
    if found := _OPTION.search(str(error)):
        return (
            f"{found.group()} can't be used; "
            "set it right in the daemon's environment, and restart the daemon"
        )
    return (
        f"OpenTelemetry's client fails ({type(error).__name__}); "
        "see to OTEL_* in the daemon's environment, and restart the daemon"
    )
