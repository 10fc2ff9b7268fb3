"""What the ruleset does with a packet: the same decisions, in the same order, as plain code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from supervisor.firewall.ruleset import LINK_LOCAL, LOOPBACK, unheard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from supervisor.firewall.networks import Address, Network
    from supervisor.firewall.policy import Policy

_DNS = 53


class Verdict(Enum):
    """What becomes of a packet of a guest's."""

    ACCEPTED = "accepted"
    REJECTED = "rejected, and the guest is told"
    DROPPED = "dropped"


class Protocol(Enum):
    """What a packet carries."""

    TCP = "tcp"
    UDP = "udp"
    ECHO = "icmp echo"


@dataclass(frozen=True, kw_only=True)
class Packet:
    """A packet that a guest sends. DHCP and neighbour discovery are not told of here.

    Attributes:
        source: Its sender's address.
        destination: Where the guest has sent it to.
        protocol: What it carries.
        port: The destination's; 0 for an echo.
        answers: Whether it belongs to a connection that was opened towards the guest.
        translated: Where destination NAT turns it to, and the port there.
    """

    source: Address
    destination: Address
    protocol: Protocol
    port: int = 0
    answers: bool = False
    translated: tuple[Address, int] | None = None


def verdict(policy: Policy, local: Collection[Address], packet: Packet) -> Verdict:
    """Say what becomes of a packet that comes from the policy's bridge.

    Args:
        policy: What guests may reach.
        local: All addresses of this host, broadcast addresses included.
        packet: The packet.
    """
    source, aim = packet.source, packet.destination
    from_link = source in LINK_LOCAL
    if source in policy.gateways or not (from_link or _within(source, policy.subnets)):
        return Verdict.DROPPED
    here = {*local, *policy.gateways}
    is_host = _is_host(here, aim)
    if _is_offered(policy, packet) or (packet.answers and is_host):
        return _forwarded(policy, here, packet)
    if _within(aim, unheard(policy)):
        return Verdict.DROPPED
    if from_link:
        return Verdict.REJECTED
    if not _is_endpoint(policy, packet, aim, packet.port):
        near = is_host or _within(aim, (*policy.subnets, LINK_LOCAL))
        if near or _is_denied(policy, aim):
            return Verdict.REJECTED
    return _forwarded(policy, here, packet)


def arrival(policy: Policy, source: Address, protocol: Protocol, port: int = 0) -> Verdict:
    """Say what becomes of what the world sends to a guest, unasked.

    Args:
        policy: What guests may reach, and so be reached by.
        source: Its sender, who is not this host.
        protocol: What it carries.
        port: The sender's; 0 for an echo.
    """
    packet = Packet(source=source, destination=source, protocol=protocol, port=port)
    if _is_endpoint(policy, packet, source, port) or not _is_denied(policy, source):
        return Verdict.ACCEPTED
    return Verdict.DROPPED


def _is_offered(policy: Policy, packet: Packet) -> bool:
    """Tell whether it goes to what this host has for guests."""
    if packet.protocol is Protocol.ECHO:
        return False
    if packet.port == _DNS and packet.destination in policy.gateways:
        return True
    return packet.protocol is Protocol.TCP and any(
        service.ports and packet.port in service.ports and packet.destination in service.network
        for service in policy.services
    )


def _is_endpoint(policy: Policy, packet: Packet, aim: Address, port: int) -> bool:
    """Tell whether an address is allowed at this very port."""
    return packet.protocol is not Protocol.ECHO and any(
        entry.ports is not None and port in entry.ports and aim in entry.network
        for entry in policy.allowed
    )


def _is_denied(policy: Policy, aim: Address) -> bool:
    return not _within(aim, policy.allowed_networks()) and _within(aim, policy.denied)


def _forwarded(policy: Policy, here: Collection[Address], packet: Packet) -> Verdict:
    """Look at the packet again after destination NAT, unless it is for this host."""
    aim, port = packet.translated or (packet.destination, packet.port)
    if _is_host(here, aim):
        return Verdict.ACCEPTED
    if _within(aim, policy.subnets):
        return Verdict.REJECTED
    as_sent = _is_endpoint(policy, packet, packet.destination, packet.port)
    if (as_sent and not packet.answers) or _is_endpoint(policy, packet, aim, port):
        return Verdict.ACCEPTED
    return Verdict.REJECTED if _is_denied(policy, aim) else Verdict.ACCEPTED


def _is_host(here: Collection[Address], address: Address) -> bool:
    return address in here or _within(address, LOOPBACK)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
