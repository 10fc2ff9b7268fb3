"""Which networks the kernel knows a way to."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

_TABLE = Path("/proc/net/route")
_DESTINATION, _MASK = 1, 7


def routed(table: Path = _TABLE) -> tuple[IPv4Network, ...]:
    """List the IPv4 networks that the main table has routes to, the way to all others apart.

    Addresses stand there as hexadecimal numbers, in the order of bytes that the machine has.

    Raises:
        OSError: the kernel does not show it.
    """
    lines = (line.split() for line in table.read_text().splitlines()[1:])
    found = [
        IPv4Network((_address(line[_DESTINATION]), str(_address(line[_MASK])))) for line in lines
    ]
    return tuple(network for network in found if network.prefixlen)


def _address(text: str) -> IPv4Address:
    return IPv4Address(socket.ntohl(int(text, 16)))
