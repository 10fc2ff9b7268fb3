import re
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.firewall.networks import parse_networks
from supervisor.guest.aproxy import PORT, Aproxy, fault_of
from supervisor.web.proxies import Proxy

PROXY = Proxy("http://10.0.0.9:3128")


def test_a_proxy_at_a_port_that_is_not_redirected_is_well() -> None:
    assert fault_of(PROXY, (80, 443), ()) == ""
    assert fault_of(Proxy("http://proxy.example.com:3128"), (80, 443), ()) == ""


def test_a_proxy_at_an_address_that_is_excluded_may_have_any_port() -> None:
    excluded = parse_networks("10.0.0.0/8")
    assert fault_of(Proxy("http://10.0.0.9:443"), (80, 443), excluded) == ""


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://u:s3cr3t@proxy:3128", "log in at a proxy: name http://proxy:3128 without"),
        ("https://proxy:3128", "https://proxy:3128 must begin with http://"),
        ("http://[2001:db8::1]:3128", "IPv4 only: http://[2001:db8::1]:3128 must be at"),
        ("http://proxy:443", "http://proxy:443 would be redirected to itself"),
        ("http://192.0.2.1:80", "(aproxy-redirect-ports: 80, 443)"),
    ],
)
def test_a_proxy_that_aproxy_can_not_forward_to_is_refused(url: str, reason: str) -> None:
    fault = fault_of(Proxy(url), (80, 443), parse_networks("10.0.0.0/8"))
    assert reason in fault
    assert "s3cr3t" not in fault


def test_an_excluded_network_does_not_help_a_proxy_known_by_its_name() -> None:
    assert fault_of(Proxy("http://proxy:80"), (80,), parse_networks("0.0.0.0/0")) != ""


networks = st.ip_addresses(v=4).flatmap(
    lambda ip: st.integers(0, 32).map(lambda length: IPv4Network(f"{ip}/{length}", strict=False))
)


@given(st.lists(networks), st.lists(st.ip_addresses(v=4), max_size=2), st.sets(st.integers(1, 9)))
def test_the_rules_name_the_ports_and_all_that_goes_directly(
    excluded: list[IPv4Network], direct: list[IPv4Address], ports: set[int]
) -> None:
    text = Aproxy(PROXY, tuple(sorted(ports)), tuple(excluded)).ruleset(direct)
    shown, redirected = re.findall(r"elements = \{ (.*) \}", text)
    wanted = [IPv4Network("127.0.0.0/8"), *excluded, *map(IPv4Network, direct)]
    found = [IPv4Network(one) for one in shown.split(", ")]
    assert found == list(collapse_addresses(wanted))
    assert redirected == ", ".join(map(str, sorted(ports)))
    assert f"redirect to :{PORT} " in text


def test_quic_is_refused_where_https_is_redirected() -> None:
    assert "udp dport 443 reject" in Aproxy(PROXY, (80, 443), ()).ruleset()
    assert "udp" not in Aproxy(PROXY, (80, 8443), ()).ruleset()


def test_every_rule_says_why() -> None:
    rules = re.findall(
        r"^ +(?:fib|ip|ip6|meta|jump) .*$", Aproxy(PROXY, (443,), ()).ruleset(), re.MULTILINE
    )
    assert rules
    assert [rule for rule in rules if ' comment "' not in rule] == []
