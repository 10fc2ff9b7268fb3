"""Traces of runners' lives, for an OpenTelemetry collector; nothing at all without one."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from supervisor.config import Config
from supervisor.feed import Feed, Record
from supervisor.proxies import Proxies
from supervisor.spans import Spans

if TYPE_CHECKING:
    from supervisor.gateways.collector import Collector

_END_LIMIT = timedelta(seconds=2)


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

    def use(self, config: Config) -> None:
        """Send to the collector of a configuration from now on, or to none."""
        wanted = _wanted(config)
        if wanted == self._wanted:
            return
        self.close()
        self._wanted = wanted
        if wanted is None:
            return
        # Who has no collector does not pay for the libraries.
        from supervisor.gateways.collector import Address, Collector  # noqa: PLC0415

        self._spans = Spans()
        self._collector = Collector(Address(wanted.url), wanted.proxies, wanted.instance)
        self._feed.watch(self._hear)

    def close(self) -> None:
        """Send what is left, for a moment, and watch no more."""
        self._feed.unwatch(self._hear)
        with self._lock:
            collector, self._collector, self._wanted = self._collector, None, None
        if collector:
            collector.close(_END_LIMIT)

    def _hear(self, record: Record) -> None:
        with self._lock:
            collector = self._collector
            if collector:
                collector.send(self._spans.hear(record))


def _wanted(config: Config) -> _Wanted | None:
    if config.otel_collector_endpoint is None:
        return None
    return _Wanted(config.otel_collector_endpoint.get_secret_value(), config.proxies, config.name)
