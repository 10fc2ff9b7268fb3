from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from otlp_receiver import Receiver, receiving
from waiting import eventually

from supervisor.config import Config, parse
from supervisor.gateways import collector
from supervisor.observation import tracing as tracings
from supervisor.observation.feed import Feed, Kind, Record
from supervisor.observation.tracing import Tracing

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def tracing(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracing]:
    """Trace, with all the time at the end that sending what is left may take."""
    monkeypatch.setattr(tracings, "_END_LIMIT", timedelta(seconds=20))
    made = Tracing(feed)
    yield made
    made.close()


def config(**changes: Any) -> Config:
    return parse({"name": "fleet", "path": "acme", "token": "secret", **changes}, "test")


def to(receiver: Receiver) -> Config:
    return config(**{"otel-collector-endpoint": receiver.url})


def tell_of_one(feed: Feed, name: str) -> None:
    feed.tell(Record(NOW, Kind.RUNNER, name, "booting"))
    feed.tell(Record(NOW, Kind.RUNNER, name, "deleted", "booting"))


def test_what_the_feed_tells_of_runners_is_sent(
    feed: Feed, tracing: Tracing, receiver: Receiver
) -> None:
    tracing.use(to(receiver))
    tell_of_one(feed, "a")
    tracing.close()
    assert [span.name for span in receiver.spans] == ["boot", "runner"]


def test_without_a_collector_nobody_watches(feed: Feed, tracing: Tracing) -> None:
    tracing.use(config())
    assert feed._watchers == ()


def test_another_configuration_turns_it_on_and_off(
    feed: Feed, tracing: Tracing, receiver: Receiver
) -> None:
    tell_of_one(feed, "before")
    tracing.use(to(receiver))
    tell_of_one(feed, "a")
    tracing.use(to(receiver))
    assert len(feed._watchers) == 1
    tracing.use(config())
    tell_of_one(feed, "after")
    assert len(receiver.spans) == 2
    assert feed._watchers == ()


def test_a_closed_one_can_be_turned_on_again(
    feed: Feed, tracing: Tracing, receiver: Receiver
) -> None:
    for name in ("a", "b"):
        tracing.use(to(receiver))
        tell_of_one(feed, name)
        tracing.close()
    assert len(receiver.spans) == 4


def test_a_client_that_can_not_be_made_is_a_warning_and_made_by_the_next_configuration(
    feed: Feed, tracing: Tracing, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "abc")
    tracing.use(to(receiver))
    assert tracing.warning == (
        "traces: none are sent: OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT can't be used; "
        "set it right in the daemon's environment, and restart the daemon"
    )
    assert feed._watchers == ()
    monkeypatch.delenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")
    tracing.use(to(receiver))
    tell_of_one(feed, "a")
    tracing.close()
    assert tracing.warning == ""
    assert len(receiver.spans) == 2


def test_a_library_that_is_missing_is_a_warning(
    tracing: Tracing, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "supervisor.gateways.collector", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    tracing.use(to(receiver))
    assert "the library opentelemetry.sdk.trace is missing" in tracing.warning
    tracing.use(config())
    assert tracing.warning == ""


def test_a_collector_that_refuses_is_a_warning_for_as_long_as_it_is_configured(
    feed: Feed, tracing: Tracing, receiver: Receiver
) -> None:
    receiver.status = 400
    tracing.use(to(receiver))
    for number in range(collector._MOST_AT_ONCE):  # so many are sent without a delay
        tell_of_one(feed, f"runner-{number}")
    eventually(lambda: tracing.warning)
    assert tracing.warning.startswith(f"traces can't be sent to {receiver.url}/v1/traces, and are")
    tracing.use(to(receiver))
    assert tracing.warning
    tracing.use(config())
    assert tracing.warning == ""
    assert tracing.lost == 2 * collector._MOST_AT_ONCE


def test_what_a_library_says_is_not_passed_on_as_it_may_hold_a_password(
    tracing: Tracing, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object) -> None:
        raise ValueError("http://me:hunter2@example.com is no address")

    monkeypatch.setattr(collector, "Collector", fail)
    tracing.use(to(receiver))
    assert "fails (ValueError)" in tracing.warning
    assert "hunter2" not in tracing.warning


def test_without_a_collector_not_even_the_libraries_are_imported() -> None:
    program = """
import sys
from supervisor import daemon
from supervisor.cli import main
sys.exit(any(name.partition(".")[0] == "opentelemetry" for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=50)
    assert done.returncode == 0
