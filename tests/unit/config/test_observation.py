"""Where the page of metrics is, and where the collector."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from supervisor.config import ConfigError, load, parse
from tests.unit.config.examples import MINIMUM, SECRET, refusal, written


@pytest.mark.parametrize(
    ("given_", "taken"),
    [
        ("10.20.0.5", "10.20.0.5"), ("::1", "::1"), ("[::1]", "::1"),
        ("[2001:DB8::5]", "2001:db8::5"), ("fd00::5", "fd00::5"),
    ],
)  # fmt: skip
def test_the_page_of_metrics_may_be_at_one_address_of_either_family(
    given_: str, taken: str
) -> None:
    config = parse({**MINIMUM, "metrics": {"address": given_}}, "x")
    assert str(config.metrics.address) == taken


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ("::", "must be one address of this host, not one of all or of many"),
        ("0.0.0.0", "must be one address of this host, not one of all or of many"),
        ("[ff02::1]", "must be one address of this host, not one of all or of many"),
        ("::ffff:10.0.0.1", "must be one address of this host, not one of all or of many"),
        ("fe80::1", "must be no address of one link alone: the bridge has such ones, too"),
        ("fe80::1%eth0", "must be no address of one link alone: the bridge has such ones, too"),
        ("[::1]:9101", "must be an IPv4 or IPv6 address of this host, without a port"),
        ("[::1", "must be an IPv4 or IPv6 address of this host, without a port"),
        ("localhost", "must be an IPv4 or IPv6 address of this host, without a port"),
        (7, "must be an IPv4 or IPv6 address of this host, without a port"),
        ("", "must be an IPv4 or IPv6 address of this host, without a port"),
    ],
)
def test_another_address_for_the_page_of_metrics_is_said_with_what_would_be_right(
    given_: Any, reason: str
) -> None:
    line = refusal(metrics={"address": given_})
    assert line == f"config.yaml: metrics.address: {reason}; for example `address: 127.0.0.1`"


def test_the_page_of_metrics_is_not_where_guests_report() -> None:
    line = refusal(metrics={"address": "10.0.0.1"}, signals={"address": "10.0.0.1"})
    assert line.startswith("config.yaml: metrics.address: guests report to 10.0.0.1")
    config = parse({**MINIMUM, "signals": {"address": "127.0.0.1"}}, "x")
    assert config.metrics.address == config.signals.address


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.5:4318",
        "https://[2001:db8::1]:4318/",
        "https://me:pass%21word@otlp.example.com/otlp/v1/traces",
    ],
)
def test_a_collector_is_an_address_with_or_without_a_login(address: str) -> None:
    config = parse({**MINIMUM, "otel-collector-endpoint": address}, "x")
    assert config.otel_collector_endpoint is not None
    assert config.otel_collector_endpoint.get_secret_value() == address


def test_a_collectors_password_is_shown_to_nobody(tmp_path: Path) -> None:
    address = f"http://me:{SECRET}@collector.example.com"
    assert SECRET not in repr(parse({**MINIMUM, "otel-collector-endpoint": address}, "x"))
    refusal(otel_collector_endpoint=f"{address}?x")
    given_ = {
        "name": "fleet",
        "path": "acme",
        "token-file": "/x",
        "otel-collector-endpoint": address,
    }
    path = written(tmp_path / "c.yaml", yaml.safe_dump(given_), mode=0o644)
    with pytest.raises(ConfigError, match="otel-collector-endpoint"):
        load(path)
