from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.utils import should_bypass_proxies

from supervisor.web.proxies import Proxies, parse_exception, parse_proxy
from supervisor.web.proxy_choice import proxy_for

HTTP, HTTPS = parse_proxy("http://one.example.com:1"), parse_proxy("http://two.example.com:2")


def goes_directly(url: str, *exceptions: str) -> bool:
    proxies = Proxies(HTTP, HTTPS, tuple(parse_exception(entry) for entry in exceptions))
    return proxy_for(url, proxies) is None


def test_the_scheme_of_what_is_asked_for_chooses() -> None:
    assert proxy_for("http://github.test", Proxies(HTTP, HTTPS)) is HTTP
    assert proxy_for("https://github.test", Proxies(HTTP, HTTPS)) is HTTPS
    assert proxy_for("https://github.test", Proxies(HTTP, None)) is None
    assert proxy_for("http://github.test", Proxies(None, HTTPS)) is None


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("https://api.github.com", "api.github.com"),
        ("https://api.github.com", "github.com"),
        ("https://api.github.com", ".github.com"),
        ("https://github.com", ".github.com"),
        ("https://API.GitHub.com", "github.COM"),
        ("https://api.github.com.", "github.com"),
        ("https://ghes.test:8443/api/v3", "ghes.test"),
        ("https://ghes.test:8443/api/v3", "ghes.test:8443"),
        ("https://10.1.2.3/api/v3", "10.1.2.3"),
        ("https://10.1.2.3/api/v3", "10.0.0.0/8"),
        ("https://10.1.2.3:8443/api/v3", "10.1.2.3:8443"),
        ("https://[2001:db8::1]/api/v3", "2001:db8::1"),
        ("https://[2001:db8::1]/api/v3", "[2001:db8::1]"),
        ("https://[2001:db8::1]/api/v3", "2001:db8:0::/48"),
        ("https://[2001:db8::1]:8443/api/v3", "[2001:db8::1]:8443"),
        ("https://api.github.com", "*"),
    ],
)
def test_what_an_exception_means_is_asked_directly(url: str, entry: str) -> None:
    assert goes_directly(url, "other.test", entry)


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("https://api.github.com", "hub.com"),
        ("https://api.github.com", "."),
        ("https://api.github.com", "www.github.com"),
        ("https://ghes.test:8443/api/v3", "ghes.test:443"),
        ("https://ghes.test/api/v3", "10.0.0.0/8"),
        ("https://10.1.2.3/api/v3", "2.3"),
        ("https://11.1.2.3/api/v3", "10.0.0.0/8"),
        ("https://10.1.2.3/api/v3", "2001:db8::/32"),
    ],
)
def test_what_no_exception_means_goes_through_the_proxy(url: str, entry: str) -> None:
    assert not goes_directly(url, entry)


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_this_machine_is_asked_directly(host: str) -> None:
    assert goes_directly(f"http://{host}:8080/api/v3")


LABELS = st.sampled_from(["a", "b", "ab", "test"])
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.1.1", "192.168.3.4"])
PORTS = st.sampled_from(["", ":80", ":8443"])
ENTRIES = st.one_of(
    NAMES,
    NAMES.map(lambda name: f".{name}"),
    st.builds("{}{}".format, NAMES, PORTS),
    ADDRESSES,
    st.builds("{}/{}".format, ADDRESSES, st.integers(1, 32)),
    st.just("*"),
)


@given(host=NAMES | ADDRESSES, port=PORTS, exceptions=st.lists(ENTRIES, max_size=4))
def test_exceptions_mean_what_they_mean_to_requests(
    host: str, port: str, exceptions: list[str]
) -> None:
    url = f"https://{host}{port}/api/v3"
    # To requests a star is nothing unless it stands alone.
    expected = "*" in exceptions or should_bypass_proxies(url, ",".join(exceptions))
    assert goes_directly(url, *exceptions) == expected
