"""Real packets in networks of the test's own: what becomes of them is what the model says."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from guest_policies import LOCAL
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from packets import GROUP, PORTS, Ground, fates

from sandbox.namespaces import (
    BRIDGE,
    ELSEWHERE,
    FORGED,
    GATEWAYS,
    GUEST,
    OTHER_GUEST,
    SUBNETS,
    UPLINK,
)
from supervisor.firewall import live, ruleset
from supervisor.firewall.networks import Address, Destination, Network, Ports, parse_destinations
from supervisor.firewall.policy import Policy
from supervisor.firewall.verdict import Packet, Protocol, Verdict, arrival, verdict

_LINK = IPv6Address("fe80::ff:fe00:1")
_GUESTS_LINK = IPv6Address("fe80::ff:fe00:2")
_OWN = tuple(ip_address(address) for address in GUEST)


_V4 = st.sampled_from(
    [
        *(IPv4Address(a) for a in (GATEWAYS[0], OTHER_GUEST[0], UPLINK[0], ELSEWHERE[0])),
        *map(IPv4Address, ("10.0.0.1", "172.17.0.2", "203.0.113.77", "8.8.8.8", "240.0.0.9")),
    ]
) | st.integers(1 << 24, (224 << 24) - 1).map(IPv4Address)
_V6 = st.sampled_from(
    [
        *(IPv6Address(a) for a in (GATEWAYS[1], OTHER_GUEST[1], UPLINK[1], ELSEWHERE[1])),
        *map(IPv6Address, ("fd77:0:0:1::1", "2001:db8::77", "2606:4700::1111")),
    ]
) | st.integers(0x2000 << 112, (0xFE00 << 112) - 1).map(IPv6Address)


def _network(address: Address, length: int) -> Network:
    return ip_network((address, length), strict=False)


_NETWORKS = st.builds(_network, _V4, st.integers(0, 32)) | st.builds(
    _network, _V6, st.integers(0, 16).map(lambda step: step * 8)
)
_RANGES = st.sampled_from(
    [Ports(53, 53), Ports(443, 443), Ports(8000, 8010), Ports(8005, 8011), Ports(1, 65535)]
)
_POLICIES = st.builds(
    Policy,
    installation=st.just("here"),
    bridge=st.just(BRIDGE),
    subnets=st.just(tuple(map(ip_network, SUBNETS))),
    gateways=st.just(tuple(map(ip_address, GATEWAYS))),
    services=st.sampled_from(
        [
            parse_destinations(f"{GATEWAYS[0]}:8700"),
            parse_destinations(f"{UPLINK[0]}:8700, [{GATEWAYS[1]}]:80-443"),
        ]
    ),
    allowed=st.lists(
        st.builds(Destination, _NETWORKS, st.none()) | st.builds(Destination, _NETWORKS, _RANGES),
        max_size=5,
    ).map(tuple),
    denied=st.lists(_NETWORKS, max_size=6).map(tuple),
)


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Policy, list[Packet]]:
    """Draw a policy, and packets to what it names, to its borders, to the host and to others."""
    policy = draw(_POLICIES)
    named = (*policy.denied, *(entry.network for entry in policy.allowed), *policy.subnets)
    borders = [
        kind(number)
        for network in named
        for kind in (type(network.network_address),)
        for edge in (int(network.network_address), int(network.broadcast_address))
        for number in (edge - 1, edge, edge + 1)
        if 0 <= number < 2**network.max_prefixlen
    ]
    everybody = [ip_address(a) for a in (GROUP, "255.255.255.255", "ff02::1")]
    aims = (
        st.sampled_from(borders) | st.sampled_from([*LOCAL, *LOCAL, _LINK, *everybody]) | _V4 | _V6
    ).filter(_is_sendable)
    return policy, draw(st.lists(aims.flatmap(_packets), min_size=20, max_size=30, unique=True))


def _is_sendable(address: Address) -> bool:
    """Tell whether a guest's own kernel sends to it, and knows where its neighbour is."""
    if address in _OWN:
        return False
    if isinstance(address, IPv4Address):
        return address not in ip_network("0.0.0.0/8") and not address.is_loopback
    known = {_LINK, IPv6Address("ff02::1")}
    return address in known or 0x2000 << 112 <= int(address) < 0xFE80 << 112


def _packets(aim: Address) -> st.SearchStrategy[Packet]:
    version = aim.version == 6
    own = st.just(_OWN[version])
    forged = st.sampled_from([ip_network(FORGED[version])[9], ip_address(GATEWAYS[version])])
    to_one = not aim.is_multicast and str(aim) != "255.255.255.255"
    sent = st.builds(
        Packet,
        # A guest's own kernel does not send to everybody from an address that is not its own.
        source=st.one_of(own, own, own, forged) if to_one else own,
        destination=st.just(aim),
        protocol=st.sampled_from(Protocol if to_one else [Protocol.UDP, Protocol.ECHO]),
        port=st.sampled_from(PORTS),
    )
    if version and to_one:
        # The kernel finds no way for a TCP reset to an address of the link: errors are told only.
        sent |= st.builds(
            Packet,
            source=st.just(_GUESTS_LINK),
            destination=st.just(aim),
            protocol=st.sampled_from([Protocol.UDP, Protocol.ECHO]),
            port=st.sampled_from(PORTS),
        )
    answers = st.builds(
        Packet,
        source=own,
        destination=st.just(aim),
        protocol=st.just(Protocol.UDP),
        port=st.integers(20000, 60000),
        answers=st.just(value=True),
    )
    is_open = to_one and aim != _LINK and not _within_guests(aim)
    return st.one_of(sent, sent, sent, sent, answers) if is_open else sent


def _within_guests(aim: Address) -> bool:
    return aim not in LOCAL and any(aim in ip_network(subnet) for subnet in SUBNETS)


def _wanted(policy: Policy, packet: Packet) -> Verdict:
    """Say what becomes of a packet, and before of what it answers to."""
    aim = packet.destination
    if packet.answers and aim not in LOCAL:
        begun = arrival(policy, aim, packet.protocol, packet.port)
        if begun is not Verdict.ACCEPTED:
            return begun
    return verdict(policy, LOCAL, packet)


@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(case=_cases())
def test_what_becomes_of_a_packet_is_what_the_model_says(
    lasting_ground: Ground, case: tuple[Policy, list[Packet]]
) -> None:
    policy, packets = case
    ground = lasting_ground
    ground.nft.apply(ruleset.render(policy))
    listed = ground.live()

    wanted = [_wanted(policy, packet) for packet in packets]

    found = fates(ground.there, ground.listeners, packets, wanted)

    assert live.fault(policy, listed, None) == ""
    wrong = [(p, f, w) for p, f, w in zip(packets, found, wanted, strict=True) if f != w]
    assert wrong == [], ruleset.render(policy)
