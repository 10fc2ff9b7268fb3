"""Where the page of metrics is, and where the collector."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from supervisor.config import ConfigError, load, parse
from tests.unit.config.examples import APP, MINIMUM, SECRET, refusal, written


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


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/var/state/metrics.log", "is in state-directory, among the daemon's own files"),
        ("/var/log/../state/journal.sqlite", "is in state-directory, among the daemon's own files"),
        ("/var/state", "is in state-directory, among the daemon's own files"),
        ("/key", "is app.private-key-file too"),
        ("/etc//key", "is policy.token-file too"),
        ("/etc/script", "is image-script too"),
        ("/run/control", "is control.socket too"),
    ],
)
def test_a_metric_log_that_is_another_file_is_refused(path: str, reason: str) -> None:
    given_ = {
        "token": None,
        "app": APP,
        "policy": {"mode": "external", "url": "https://p.example", "token-file": "/etc/key"},
        "image-script": "/etc/script",
        "control": {"socket": "/run/control"},
        "state-directory": "/var/state",
        "metric-log": {"path": path},
    }
    line = refusal(**given_)
    assert line == (
        f"config.yaml: metric-log.path: {Path(path)} {reason}; for example "
        "`path: /var/log/github-runner-supervisor/metrics.log`"
    )


def test_a_metric_log_beside_the_state_directory_is_taken() -> None:
    given_ = {"state-directory": "/var/state", "metric-log": {"path": "/var/state-logs/log"}}
    assert parse({**MINIMUM, **given_}, "x").metric_log.path == Path("/var/state-logs/log")


def test_the_configurations_own_file_is_no_metric_log(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    (tmp_path / "link").symlink_to(tmp_path)
    there = tmp_path / "link" / "c.yaml"
    written(path, yaml.safe_dump({**MINIMUM, "metric-log": {"path": str(there)}}))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert f"{path}: metric-log.path: {there} is this very file; for example" in str(caught.value)
