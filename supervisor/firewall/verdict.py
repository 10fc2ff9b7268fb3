"""What the ruleset does with a packet: the same decisions, in the same order, as plain code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from supervisor.firewall.addresses import LINK_LOCAL, LOOPBACK, unheard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from supervisor.firewall.networks import Address, Destination, Network
    from supervisor.firewall.policy import Policy

_DNS = 53
_IPV6 = 6


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

    What others send to guests is simple: answers, and errors, to what a guest has opened.

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
    is_closed = policy.closes_ipv6 and source.version == _IPV6
    is_own = source not in policy.gateways and (from_link or _within(source, policy.subnets))
    if is_closed or not is_own:
        return Verdict.DROPPED
    here = {*local, *policy.gateways}
    dialled = _Aim(packet.protocol, aim, packet.port)
    is_host = _is_host(here, aim)
    if _is_offered(policy, dialled) or (packet.answers and is_host):
        return _after_nat(policy, here, packet, dialled)
    if _within(aim, unheard(policy)):
        return Verdict.DROPPED
    if from_link:
        return Verdict.REJECTED
    if not _is_endpoint(policy, dialled):
        near = is_host or _within(aim, (*policy.subnets, LINK_LOCAL))
        if near or not (_is_allowed_port(policy, dialled) or _is_open(policy, aim)):
            return Verdict.REJECTED
    return _after_nat(policy, here, packet, dialled)


@dataclass(frozen=True)
class _Aim:
    protocol: Protocol
    address: Address
    port: int


def _is_offered(policy: Policy, aim: _Aim) -> bool:
    """Tell whether this is what this host has for guests."""
    if aim.protocol is Protocol.ECHO:
        return False
    if aim.port == _DNS and aim.address in policy.gateways:
        return True
    return aim.protocol is Protocol.TCP and _is_in(policy.services, aim)


def _is_endpoint(policy: Policy, aim: _Aim) -> bool:
    """Tell whether this very address is allowed at this port, also where it is this host's."""
    ones = (entry for entry in policy.allowed if entry.is_one_address)
    return aim.protocol is not Protocol.ECHO and _is_in(ones, aim)


def _is_allowed_port(policy: Policy, aim: _Aim) -> bool:
    """Tell whether the address is allowed at this port, alone or among others."""
    return aim.protocol is not Protocol.ECHO and _is_in((*policy.allowed, *policy.elsewhere), aim)


def _is_in(destinations: Iterable[Destination], aim: _Aim) -> bool:
    return any(
        entry.ports is not None and aim.port in entry.ports and aim.address in entry.network
        for entry in destinations
    )


def _is_open(policy: Policy, address: Address) -> bool:
    return _within(address, policy.allowed_networks()) or not _within(address, policy.denied)


def _after_nat(policy: Policy, here: Collection[Address], packet: Packet, dialled: _Aim) -> Verdict:
    """Look again at where the packet goes, when it arrives at this host or is forwarded."""
    aim = _Aim(packet.protocol, *packet.translated) if packet.translated else dialled
    if _is_host(here, aim.address):
        accepted = packet.answers or any(
            _is_offered(policy, one) or _is_endpoint(policy, one) for one in (dialled, aim)
        )
    elif _within(aim.address, policy.subnets):
        accepted = False
    else:
        as_sent = _is_allowed_port(policy, dialled) and not packet.answers
        accepted = as_sent or _is_allowed_port(policy, aim) or _is_open(policy, aim.address)
    return Verdict.ACCEPTED if accepted else Verdict.REJECTED


def _is_host(here: Collection[Address], address: Address) -> bool:
    return address in here or _within(address, LOOPBACK)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
