"""The proxies of a configuration, and those that aproxy could not take."""

from typing import Any

import pytest

from supervisor.config import parse
from tests.unit.config.examples import MINIMUM, SECRET, refusal


@pytest.mark.parametrize("key", ["http-proxy", "https-proxy"])
def test_a_proxy_that_is_refused_is_not_quoted(key: str) -> None:
    line = refusal(**{key: f"http://me:{SECRET}@proxy.example.com"})
    assert line.startswith(f"config.yaml: {key}: must be http://HOST:PORT")


def test_a_proxy_is_shown_to_nobody() -> None:
    config = parse({**MINIMUM, "http-proxy": f"http://me:{SECRET}@proxy:3128"}, "x")
    assert SECRET not in repr(config)
    assert SECRET not in repr(config.proxies)
    assert config.proxies.http is not None
    assert str(config.proxies.http) == "http://proxy:3128"


@pytest.mark.parametrize("nothing", ["", None])
def test_an_empty_proxy_is_none(nothing: str | None) -> None:
    config = parse({**MINIMUM, "http-proxy": nothing, "https-proxy": nothing}, "x")
    assert not config.proxies


@pytest.mark.parametrize(
    "given_", ["a.example, .b.example,,10.0.0.0/8", ["a.example", ".b.example", "10.0.0.0/8"]]
)
def test_hosts_without_a_proxy_are_a_list_or_words_with_commas(given_: object) -> None:
    config = parse({**MINIMUM, "no-proxy": given_}, "x")
    assert config.no_proxy == ("a.example", ".b.example", "10.0.0.0/8")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "use-aproxy: needs a proxy to forward to; for example `http-proxy: http://"),
        ({"http-proxy": ""}, "use-aproxy: needs a proxy to forward to"),
        ({"http-proxy": f"http://me:{SECRET}@p:3128"}, "use-aproxy: aproxy can't log in"),
        ({"https-proxy": "https://p:3128"}, "use-aproxy: aproxy speaks plain HTTP"),
        ({"http-proxy": "http://[::1]:3128"}, "use-aproxy: aproxy speaks IPv4 only"),
        ({"http-proxy": "http://p:80"}, "use-aproxy: what aproxy sends to http://p:80 would"),
        (
            {"http-proxy": "http://192.0.2.1:8080", "aproxy-redirect-ports": "80, 8080"},
            "use-aproxy: what aproxy sends to http://192.0.2.1:8080 would be redirected",
        ),
        (
            {"http-proxy": "http://p:3128", "aproxy-exclude-addresses": "fd00::/8"},
            "aproxy-exclude-addresses: aproxy redirects IPv4 only; leave IPv6 out",
        ),
    ],
)
def test_an_aproxy_that_could_not_work_is_refused(changes: dict[str, Any], reason: str) -> None:
    assert refusal(**{"use-aproxy": True, **changes}).startswith(f"config.yaml: {reason}")


def test_a_proxy_that_aproxy_could_not_take_is_well_without_it() -> None:
    given_ = {"http-proxy": "http://me:x@[::1]:80", "aproxy-exclude-addresses": "fd00::/8"}
    assert parse({**MINIMUM, **given_}, "x").proxies


def test_a_proxy_in_an_excluded_network_may_have_a_port_that_is_redirected() -> None:
    assert parse(
        {**MINIMUM, "use-aproxy": True, "http-proxy": "http://10.0.0.9:80"}, "x"
    ).use_aproxy


def test_a_bad_exception_to_the_proxies_is_named_with_its_position() -> None:
    assert "no-proxy: entry 2, a b: must be a host" in refusal(**{"no-proxy": "localhost, a b"})
