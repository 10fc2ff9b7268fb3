"""What guests of one bridge may reach, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from supervisor.firewall.networks import Address, Destination, Network, Ports


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What guests of one bridge may reach.

    Attributes:
        installation: Whose guests they are.
        bridge: The interface that all of them are behind, and nobody else.
        subnets: The bridge's own networks, which guests have their addresses from.
        gateways: The bridge's own addresses, at which DNS and DHCP answer.
        services: What this host offers to guests over TCP: one address each, with ports.
        allowed: What wins over the denylist: networks, and certain ports in them. Ports of one
            address, an endpoint, are open also where the address is this host's.
        elsewhere: What wins over the denylist likewise, but never opens this host.
        denied: Networks that no guest reaches.
        closes_ipv6: Nothing that guests send over IPv6 is heard, whatever else is allowed.
    """

    installation: str
    bridge: str
    subnets: tuple[Network, ...]
    gateways: tuple[Address, ...]
    services: tuple[Destination, ...]
    allowed: tuple[Destination, ...]
    denied: tuple[Network, ...]
    elsewhere: tuple[Destination, ...] = ()
    closes_ipv6: bool = False

    def allowed_networks(self) -> tuple[Network, ...]:
        """Give what is allowed whatever the port."""
        return tuple(entry.network for entry in self.allowed if entry.ports is None)

    def allowed_by_ports(self) -> Mapping[Ports, tuple[Network, ...]]:
        """Give what is allowed at certain ports only, in order of the ports."""
        return _by_ports((*self.allowed, *self.elsewhere))

    def endpoints_by_ports(self) -> Mapping[Ports, tuple[Network, ...]]:
        """Give what is open also where it is this host's: what is allowed of one address."""
        return _by_ports(entry for entry in self.allowed if entry.is_one_address)

    def services_by_ports(self) -> Mapping[Ports, tuple[Network, ...]]:
        """Give where this host's services are, in order of their ports."""
        return _by_ports(self.services)


def _by_ports(destinations: Iterable[Destination]) -> dict[Ports, tuple[Network, ...]]:
    found: dict[Ports, list[Network]] = {}
    for entry in destinations:
        if entry.ports is not None:
            found.setdefault(entry.ports, []).append(entry.network)
    in_order = sorted(found, key=lambda ports: (ports.first, ports.last))
    return {ports: tuple(found[ports]) for ports in in_order}
