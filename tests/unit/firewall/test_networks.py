from __future__ import annotations

from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.firewall.networks import (
    Destination,
    Network,
    Ports,
    collapsed,
    parse_destination,
    parse_destinations,
    parse_network,
    parse_networks,
    split,
)

_V4 = st.builds(
    lambda address, length: ip_network((address, length), strict=False),
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.integers(0, 32),
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_V6 = st.builds(
    lambda address, length: ip_network((address, length), strict=False),
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.integers(0, 128),
).filter(lambda network: not network.subnet_of(_MAPPED))
_NETWORKS = _V4 | _V6
_PORTS = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(
    lambda pair: Ports(min(pair), max(pair))
)


@given(_NETWORKS)
def test_a_network_is_read_as_it_is_written(network: Network) -> None:
    assert parse_network(str(network)) == network


@given(st.builds(Destination, _NETWORKS, st.none() | _PORTS))
def test_a_destination_is_read_as_it_is_written(destination: Destination) -> None:
    assert parse_destination(str(destination)) == destination


@given(st.lists(st.builds(Destination, _NETWORKS, st.none() | _PORTS)))
def test_many_are_read_from_a_list_and_from_a_text_alike(entries: list[Destination]) -> None:
    texts = [str(entry) for entry in entries]

    assert parse_destinations(texts) == tuple(entries)
    assert parse_destinations(" , ".join(texts)) == tuple(entries)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_networks, parse_destinations):
        with suppress(ValueError):
            found = parse(text)
            assert parse([str(entry) for entry in found]) == found


def test_an_address_stands_for_a_network_of_one() -> None:
    assert parse_network("10.1.2.3") == IPv4Network("10.1.2.3/32")
    assert parse_network("2001:DB8::1") == IPv6Network("2001:db8::1/128")


@pytest.mark.parametrize(
    "text",
    ["example.com", "localhost", "a.b", "999.1.1.1", "10.1.2", "10.0.0.0/33", "::/129", "fe80::1%e",
     "10.0.0.0/255.0.0.0", "10.0.0.0/8 ", "0x0a.1.1.1", "010.1.1.1", "", "/8", "@denied4", "1-2"],
)  # fmt: skip
def test_what_nft_might_take_for_a_name_or_another_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no network in CIDR notation and no address"):
        parse_network(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("10.1.2.3/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32"), ("1.2.3.4/0", "0.0.0.0/0")],
)
def test_bits_beyond_a_networks_length_are_refused_with_what_may_be_meant(
    text: str, meant: str
) -> None:
    with pytest.raises(ValueError, match=f"bits set beyond its length: is {meant} meant"):
        parse_network(text)


@pytest.mark.parametrize("text", ["::ffff:10.0.0.1", "::ffff:a00:1", "::ffff:10.0.0.0/104"])
def test_ipv4_that_is_written_as_ipv6_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it as IPv4"):
        parse_network(text)


@pytest.mark.parametrize("text", ["10.1.2.3:0", "10.1.2.3:65536", "10.1.2.3:20-10", "[::1]:0"])
def test_ports_that_there_are_not_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ports from 1 to 65535, the lower one first"):
        parse_destination(text)


@pytest.mark.parametrize(
    "text", ["proxy.example:3128", "[10.1.2.3]:80", "10.1.2.3:", "10.1.2.3:http", "[::1]", ":80"]
)
def test_what_is_no_destination_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no network"):
        parse_destination(text)


@pytest.mark.parametrize("value", ["10.0.0.0/8,,oops, 10.0.0.1", ["10.0.0.0/8", "", " oops"]])
def test_an_entry_that_is_wrong_is_named_with_its_position(value: object) -> None:
    with pytest.raises(ValueError, match=r"^entry 3, oops: is no network"):
        parse_networks(value)


def test_what_is_shown_of_a_wrong_entry_is_short_and_printable() -> None:
    with pytest.raises(ValueError, match=r"^entry 1, x\?{1}x{62}: is no") as caught:
        parse_networks(["x\x1b" + "x" * 500])
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (7, "must be a list, or a text with commas"),
        (None, "must be a list"),
        ({"a": 1}, "must be a list"),
        (["10.0.0.0/8", 7], "entry 2 must be a text"),
    ],
)
def test_what_is_neither_a_list_nor_a_text_is_refused(value: object, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        split(value)


@given(
    st.lists(_NETWORKS | st.sampled_from([IPv4Network(f"10.0.0.{n}/31") for n in range(0, 8, 2)]))
)
def test_collapsing_leaves_the_fewest_networks(networks: list[Network]) -> None:
    few4, few6 = collapsed(networks)

    assert few4 == tuple(collapse_addresses(n for n in networks if isinstance(n, IPv4Network)))
    assert few6 == tuple(collapse_addresses(n for n in networks if isinstance(n, IPv6Network)))


def test_what_has_a_zone_is_refused_as_that_may_be_any_text() -> None:
    network = ip_network(IPv6Address("2001:db8::1%x } ; flush ruleset"))
    with pytest.raises(ValueError, match="must have no zone"):
        collapsed([IPv6Network("::/0"), network])


@given(
    st.lists(_NETWORKS, max_size=12),
    st.lists(st.integers(0, 2**32 - 1).map(IPv4Address)),
    st.lists(st.integers(0, 2**128 - 1).map(IPv6Address)),
)
def test_collapsing_changes_no_membership(
    networks: list[Network], v4: list[IPv4Address], v6: list[IPv6Address]
) -> None:
    few4, few6 = collapsed(networks)
    edges = [
        ip_address(int(edge) + step) if edge.version == 4 else IPv6Address(int(edge) + step)
        for network in networks
        for edge in (network.network_address, network.broadcast_address)
        for step in (-1, 0, 1)
        if 0 <= int(edge) + step < 2**network.max_prefixlen
    ]

    for address in (*v4, *v6, *edges):
        assert any(address in one for one in networks) == any(
            address in one for one in (*few4, *few6)
        )
    assert len(few4) + len(few6) <= len(networks)
    for few in (few4, few6):
        assert list(few) == sorted(few)  # type: ignore[type-var]
        assert not any(one.overlaps(other) for one, other in pairwise(few))
