"""Policies for the network of `sandbox.namespaces`."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from sandbox.namespaces import BRIDGE, ELSEWHERE, GATEWAYS, SUBNETS, UPLINK
from supervisor.firewall.names import table_name
from supervisor.firewall.networks import parse_destinations, parse_networks
from supervisor.firewall.policy import Policy

TABLE = table_name("here", BRIDGE)
LOCAL = {ip_address(address) for address in (*GATEWAYS, *UPLINK, *ELSEWHERE)}
"""The host's own addresses."""
SIGNALS = 8700


def a_policy(
    *,
    denied: str = "",
    allowed: str = "",
    services: str = f"{GATEWAYS[0]}:{SIGNALS}",
    elsewhere: str = "",
    closes_ipv6: bool = False,
) -> Policy:
    """Make a policy as an operator writes it."""
    return Policy(
        installation="here",
        bridge=BRIDGE,
        subnets=tuple(map(ip_network, SUBNETS)),
        gateways=tuple(map(ip_address, GATEWAYS)),
        services=parse_destinations(services),
        allowed=parse_destinations(allowed),
        denied=parse_networks(denied),
        elsewhere=parse_destinations(elsewhere),
        closes_ipv6=closes_ipv6,
    )
