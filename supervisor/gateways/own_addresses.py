"""Which addresses are this host's own, as the kernel knows them."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import ifaddr

if TYPE_CHECKING:
    from supervisor.firewall.networks import Address, Network

_IPV4 = Path("/proc/self/net/fib_trie")
_IPV6 = Path("/proc/self/net/if_inet6")
_LOCAL = re.compile(r"\|-- ([0-9.]+)\n((?:\s+/[0-9]+ .*\n?)+)")
_LENGTH = re.compile(r"/([0-9]+) host LOCAL")


def of_this_host(ipv4: Path = _IPV4, ipv6: Path = _IPV6) -> tuple[Network, ...]:
    """List what the kernel takes for this host, whichever interface a packet comes by.

    Most are single addresses; all of a network may be this host's, as 127.0.0.0/8 is.

    Raises:
        OSError: the kernel does not show it.
    """
    found: set[IPv4Network] = {
        IPv4Network(f"{address}/{length}")
        for address, routes in _LOCAL.findall(ipv4.read_text())
        for length in _LENGTH.findall(routes)
    }
    lines = ipv6.read_text().splitlines() if ipv6.exists() else ()  # a kernel without IPv6
    others = {IPv6Network(ip_network(IPv6Address(int(line.split()[0], 16)))) for line in lines}
    return (*sorted(found), *sorted(others))


def of_interface(name: str) -> frozenset[Address]:
    """List the addresses of one interface; none if there is no such interface.

    Raises:
        OSError: the kernel does not show it.
    """
    # Those of IPv4 stand under their label, which is the interface's name or NAME:WORD.
    cards = (card for card in ifaddr.get_adapters() if card.name.partition(":")[0] == name)
    found = [one.ip for card in cards for one in card.ips]
    # One of IPv6 comes with its flow and its scope.
    return frozenset(ip_address(one if isinstance(one, str) else one[0]) for one in found)
