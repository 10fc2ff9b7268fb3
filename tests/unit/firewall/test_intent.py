from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import Config, parse
from supervisor.firewall.intent import Endpoint, endpoints, policy_of, reachable
from supervisor.firewall.networks import Address
from supervisor.firewall.policy import Policy
from supervisor.firewall.verdict import Packet, Protocol, Verdict, verdict

BRIDGE = (ip_interface("10.9.0.1/24"), ip_interface("fd42::1/64"))
FINGERPRINT = "SHA256:ovh8Zf0fzPbDnFyfp1Hrl2nOxNDlWcGEkWVaHnRJ2+s"


def configured(**settings: Any) -> Config:
    given_keys = {key.replace("_", "-"): value for key, value in settings.items()}
    return parse({"name": "fleet", "path": "acme", "token": "s", **given_keys}, "test")


def debug(host: str, port: int) -> dict[str, Any]:
    prints = {"rsa-fingerprint": FINGERPRINT, "ed25519-fingerprint": FINGERPRINT}
    return {"host": host, "port": port, **prints}


def test_a_bridge_brings_its_networks_its_addresses_and_the_ports_of_its_services() -> None:
    policy = policy_of(configured(), BRIDGE, {})
    assert [str(network) for network in policy.subnets] == ["10.9.0.0/24", "fd42::/64"]
    assert [str(address) for address in policy.gateways] == ["10.9.0.1", "fd42::1"]
    assert [str(one) for one in policy.services] == ["10.9.0.1:8642", "10.9.0.1:8643"]
    assert (policy.installation, policy.bridge) == ("fleet", "lxdbr0")


def test_guests_report_where_the_operator_says() -> None:
    config = configured(signals={"address": "10.1.2.3", "port": 99}, policy={"port": 98})
    policy = policy_of(config, BRIDGE, {})
    assert [str(service) for service in policy.services] == ["10.1.2.3:99", "10.1.2.3:98"]


def test_without_a_policy_service_here_its_port_is_closed() -> None:
    policy = policy_of(configured(policy={"mode": "off"}), BRIDGE, {})
    assert [str(service) for service in policy.services] == ["10.9.0.1:8642"]


@pytest.mark.parametrize(
    ("url", "port"), [("https://policy.example", 443), ("https://policy.example:8080/below", 8080)]
)
def test_a_policy_service_elsewhere_stays_open_by_its_addresses(url: str, port: int) -> None:
    config = configured(policy={"mode": "external", "url": url, "token": "s"})
    assert endpoints(config) == (Endpoint("policy.url", "policy.example", port),)
    policy = policy_of(config, BRIDGE, {"policy.example": (ip_address("10.7.0.3"),)})
    assert [str(one) for one in policy.elsewhere] == [f"10.7.0.3:{port}"]
    assert [str(service) for service in policy.services] == ["10.9.0.1:8642"]


def test_a_bridge_without_ipv4_has_no_place_to_report_to() -> None:
    assert policy_of(configured(), BRIDGE[1:], {}).services == ()


def test_the_lists_are_the_operators() -> None:
    policy = policy_of(
        configured(denylist="10.0.0.0/8", allowlist="10.1.2.3:443, 10.4.0.0/16"), BRIDGE, {}
    )
    assert [str(network) for network in policy.denied] == ["10.0.0.0/8"]
    assert [str(one) for one in policy.allowed] == ["10.1.2.3:443", "10.4.0.0/16"]


def test_proxies_stay_open_by_their_addresses_and_nothing_is_opened_for_debug_servers() -> None:
    config = configured(
        http_proxy="http://user:secret@proxy.example:3128",
        https_proxy="http://10.5.0.9:3129",
        ssh_debug=[debug("tmate.example", 10022), debug("fd00::7", 22)],
    )
    assert endpoints(config) == (
        Endpoint("http-proxy", "proxy.example", 3128),
        Endpoint("https-proxy", "10.5.0.9", 3129),
        Endpoint("ssh-debug", "tmate.example", 10022, is_opened=False),
        Endpoint("ssh-debug", "fd00::7", 22, is_opened=False),
    )
    known = {
        "proxy.example": (ip_address("10.7.0.2"), ip_address("fd00::2")),
        "10.5.0.9": (ip_address("10.5.0.9"),),
        "tmate.example": (ip_address("10.7.0.3"),),
        "fd00::7": (ip_address("fd00::7"),),
    }
    policy = policy_of(config, BRIDGE, known)
    assert [str(one) for one in policy.allowed] == ["10.5.0.9:3129"]
    assert [str(one) for one in policy.elsewhere] == ["10.7.0.2:3128", "[fd00::2]:3128"]


def test_what_the_allowlist_opens_stays_open_whatever_name_stands_for_it() -> None:
    config = configured(http_proxy="http://proxy.example:3128", allowlist="10.7.0.2:3128")
    policy = policy_of(config, BRIDGE, {"proxy.example": (ip_address("10.7.0.2"),)})
    assert [str(one) for one in policy.allowed] == ["10.7.0.2:3128"]
    assert policy.elsewhere == ()


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"dockerhub_mirror": "https://mirror.example:5000"}, ("mirror.example", 5000)),
        ({"dockerhub_mirror": "https://[fd00::9]"}, ("fd00::9", 443)),
        ({"github_url": "https://git.example.com"}, ("git.example.com", 443)),
        ({"github_url": "https://git.example.com:8443/api/v3"}, ("git.example.com", 8443)),
        ({"github_url": "http://10.0.0.9"}, ("10.0.0.9", 80)),
    ],
)
def test_a_mirror_and_an_enterprise_server_stay_open(
    settings: dict[str, str], wanted: tuple[str, int]
) -> None:
    config = configured(**settings, denylist="0.0.0.0/0, ::/0")
    (key,) = settings
    host, port = wanted
    assert endpoints(config) == (Endpoint(key.replace("_", "-"), host, port),)
    policy = policy_of(config, BRIDGE, {host: (ip_address("10.8.0.1"),)})
    (opened,) = (*policy.allowed, *policy.elsewhere)
    assert str(opened) == f"10.8.0.1:{port}"


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com",
        "https://api.github.com",
        "https://octocorp.ghe.com",
        "http://127.0.0.1:8080",
        "http://localhost:8080",
        "http://[::1]:8080",
    ],
)
def test_githubs_clouds_and_a_github_on_trial_need_no_exception(url: str) -> None:
    assert endpoints(configured(github_url=url)) == ()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.1.1", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "ff02::1", "::ffff:169.254.169.254", "::ffff:10.0.0.1",
        "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ({"http_proxy": "http://name.example:3128"}, 3128),
        ({"https_proxy": "http://name.example:3128"}, 3128),
        ({"dockerhub_mirror": "https://name.example:80"}, 80),
        ({"github_url": "https://name.example"}, 443),
        ({"policy": {"mode": "external", "url": "https://name.example", "token": "s"}}, 443),
    ],
)
def test_no_name_opens_what_a_host_has_for_itself(
    settings: dict[str, Any], port: int, address: str
) -> None:
    known = {"name.example": (ip_address(address), ip_address("10.7.0.2"))}
    policy = policy_of(configured(**settings), BRIDGE, known)
    assert policy.allowed == ()
    (opened,) = policy.elsewhere
    assert str(opened) == f"10.7.0.2:{port}"


HERE = tuple(map(ip_address, ("10.9.0.1", "192.168.7.1", "fd42::1", "fd77::1")))
"""The host's own addresses."""
_URLS = st.sampled_from(
    [
        lambda host: {"http_proxy": f"http://{host}:3128"},
        lambda host: {"https_proxy": f"http://{host}:3128"},
        lambda host: {"dockerhub_mirror": f"https://{host}:3128"},
        lambda host: {"github_url": f"https://{host}:3128"},
        lambda host: {"policy": {"mode": "external", "url": f"https://{host}:3128", "token": "s"}},
    ]
)


def _fate(policy: Policy, aim: Address, port: int) -> Verdict:
    own = ip_address("10.9.0.7" if aim.version == 4 else "fd42::7")
    packet = Packet(source=own, destination=aim, protocol=Protocol.TCP, port=port)
    return verdict(policy, HERE, packet)


@given(_URLS, st.sampled_from(HERE), st.integers(1, 65535))
def test_no_name_opens_this_host(
    made: Callable[[str], dict[str, Any]], aim: Address, port: int
) -> None:
    config = configured(**made("name.example"))
    policy = policy_of(config, BRIDGE, {"name.example": (aim,)})
    assert _fate(policy, aim, port) is _fate(policy_of(configured(), BRIDGE, {}), aim, port)
    assert _fate(policy, aim, 3128) is Verdict.REJECTED


@given(_URLS, st.sampled_from(HERE))
def test_an_operator_opens_a_port_of_this_host_by_its_address(
    made: Callable[[str], dict[str, Any]], aim: Address
) -> None:
    host = f"[{aim}]" if aim.version == 6 else str(aim)
    policy = policy_of(configured(**made(host)), BRIDGE, {str(aim): (aim,)})
    assert _fate(policy, aim, 3128) is Verdict.ACCEPTED
    assert _fate(policy, aim, 3129) is Verdict.REJECTED


@given(aim=st.ip_addresses(), port=st.integers(1, 65535), is_named=st.booleans())
def test_a_debug_server_opens_nothing(*, aim: Address, port: int, is_named: bool) -> None:
    host = "name.example" if is_named else str(aim)
    lists = {"denylist": "10.0.0.0/8, fd00::/8"}
    policy = policy_of(configured(ssh_debug=[debug(host, port)], **lists), BRIDGE, {host: (aim,)})
    assert policy == policy_of(configured(**lists), BRIDGE, {})


ADDRESSES = st.one_of(
    st.ip_addresses(),
    *(st.ip_addresses(network=network) for network in ("169.254.0.0/16", "fe80::/10", "fc00::/7")),
    st.ip_addresses(v=4).map(lambda address: IPv6Address(f"::ffff:{address}")),
)


@given(ADDRESSES)
def test_what_can_be_reached_is_another_hosts_and_one_hosts(address: Address) -> None:
    meant = getattr(address, "ipv4_mapped", None) or address
    is_special = (
        meant.is_loopback
        or meant.is_link_local
        or meant.is_multicast
        or meant.is_unspecified
        or (meant.version == 4 and meant.is_reserved)
    )
    assert not (is_special and reachable(address))


@given(st.ip_addresses(v=6), st.text(st.characters(exclude_characters="%/"), min_size=1))
def test_no_address_with_a_zone_can_be_reached(address: Address, zone: str) -> None:
    assert not reachable(IPv6Address(f"{address}%{zone}"))


@given(
    st.sampled_from(["10.0.0.0/8", "192.168.0.0/16", "8.0.0.0/8", "2000::/3", "fd42::/16"]).flatmap(
        lambda network: st.ip_addresses(network=network)
    )
)
def test_private_and_public_addresses_can_be_reached(address: Address) -> None:
    assert reachable(address)


@given(st.lists(st.ip_addresses(v=4), unique=True), st.randoms())
def test_the_order_in_which_a_resolver_answers_makes_no_other_policy(
    addresses: list[IPv4Address], random: Any
) -> None:
    config = configured(http_proxy="http://proxy.example:3128")
    shuffled = random.sample(addresses, len(addresses))
    first = policy_of(config, BRIDGE, {"proxy.example": tuple(addresses)})
    assert policy_of(config, BRIDGE, {"proxy.example": tuple(shuffled)}) == first
