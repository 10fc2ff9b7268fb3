"""The sets of addresses that a policy's rules refer to."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType
from typing import TYPE_CHECKING

from supervisor.firewall.networks import Network, collapsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from supervisor.firewall.policy import Policy

MULTICAST = (IPv4Network("224.0.0.0/4"), IPv6Network("ff00::/8"))
TO_EVERYBODY = (IPv4Network("255.255.255.255"), IPv4Network("0.0.0.0/8"))
LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1"))
LINK_LOCAL = IPv6Network("fe80::/10")


@lru_cache(maxsize=2)  # a policy is looked at again and again, and may name 50,000 networks
def sets(policy: Policy) -> Mapping[str, tuple[Network, ...]]:
    """Say which addresses each set must hold: the fewest networks, in order.

    Of a table that is put in place, Linux (6.18) has the rules begin first and then one set after
    the other, in this order and up to 20 ms apart; until then a set is empty. So what is refused
    comes first, and last whose packets are looked at at all: nothing passes a table that is not
    whole.
    """
    suffixed: list[tuple[str, str, Iterable[Network]]] = [
        ("denied", "", policy.denied),
        ("unheard", "", unheard(policy)),
        ("gateways", "", (ip_network(address) for address in policy.gateways)),
        ("allowed", "", policy.allowed_networks()),
    ]
    by_ports = {
        "services": policy.services_by_ports(),
        "endpoints": policy.endpoints_by_ports(),
        "allowed": policy.allowed_by_ports(),
    }
    suffixed += [
        (name, f"-{ports}", there)
        for name, found_at in by_ports.items()
        for ports, there in found_at.items()
    ]
    suffixed.append(("subnets", "", policy.subnets))
    found: dict[str, tuple[Network, ...]] = {}
    for name, suffix, networks in suffixed:
        found[f"{name}4{suffix}"], found[f"{name}6{suffix}"] = collapsed(networks)
    return MappingProxyType(found)


def unheard(policy: Policy) -> tuple[Network, ...]:
    """Give the addresses that mean everybody, or many."""
    broadcasts = (
        IPv4Network(subnet.broadcast_address)
        for subnet in policy.subnets
        if isinstance(subnet, IPv4Network)
    )
    return (*MULTICAST, *TO_EVERYBODY, *broadcasts)
