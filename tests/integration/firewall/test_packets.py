"""Real packets in networks of the test's own: what becomes of them is what the model says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from guest_policies import LOCAL
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from packets import GROUP, PORTS, Ground

from sandbox.namespaces import (
    BRIDGE,
    ELSEWHERE,
    FORGED,
    GATEWAYS,
    GUEST,
    OTHER_GUEST,
    SUBNETS,
    UPLINK,
    Namespace,
)
from supervisor.firewall import live, ruleset
from supervisor.firewall.networks import Address, Destination, Network, Ports, parse_destinations
from supervisor.firewall.policy import Policy
from supervisor.firewall.verdict import Packet, Protocol, Verdict, verdict

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


_PLACES = {
    version: st.sampled_from([ip_address(address) for address in (*near, *far)])
    for version, near, far in (
        (4, (GATEWAYS[0], UPLINK[0], ELSEWHERE[0], OTHER_GUEST[0]), ("203.0.113.77", "10.0.0.1")),
        (6, (GATEWAYS[1], UPLINK[1], ELSEWHERE[1], OTHER_GUEST[1]), ("2001:db8::77",)),
    )
}
_LINKS = {"ip": "169.254.0.0/16", "ip6": "fe80::/10"}


def _network(address: Address, length: int) -> Network:
    return ip_network((address, length), strict=False)


_NETWORKS = st.builds(_network, _V4, st.integers(0, 32)) | st.builds(
    _network, _V6, st.integers(0, 16).map(lambda step: step * 8)
)
_HERE = st.sampled_from(sorted(LOCAL, key=str))
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
    elsewhere=st.lists(
        st.builds(Destination, (_V4 | _V6 | _HERE).map(ip_network), _RANGES), max_size=3
    ).map(tuple),
)


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Policy, list[Packet]]:
    """Draw a policy, and packets to what it names, to its borders, to the host and to others."""
    policy = draw(_POLICIES)
    opened = (entry.network for entry in (*policy.allowed, *policy.elsewhere))
    named = (*policy.denied, *opened, *policy.subnets)
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
    packets = draw(st.lists(aims.flatmap(_packets), min_size=20, max_size=30, unique=True))
    return policy, _translated(draw, packets)


def _translated(draw: st.DrawFn, packets: list[Packet]) -> list[Packet]:
    """Have the host turn some of what is sent to other places, its own among them."""
    turned: dict[tuple[Address, Protocol, int], tuple[Address, int] | None] = {}
    found = []
    for packet in packets:
        if packet.answers or packet.source == _GUESTS_LINK or not _is_one(packet.destination):
            found.append(packet)
            continue
        port = 0 if packet.protocol is Protocol.ECHO else packet.port
        aim = (packet.destination, packet.protocol, port)
        if aim not in turned:
            places = _PLACES[packet.source.version]
            turned[aim] = draw(st.none() | st.tuples(places, st.sampled_from(PORTS)))
        found.append(replace(packet, translated=turned[aim]))
    return found


def _translate(host: Namespace, packets: list[Packet]) -> None:
    """Put in place what turns these packets, as Docker and kube-proxy would."""
    rules = {_translation(packet) for packet in packets if packet.translated}
    name = "table inet translations"
    chain = "chain c { type nat hook prerouting priority dstnat;\n" + "\n".join(rules) + "\n}"
    host.run("nft", "-f", "-", script=f"{name}\ndelete {name}\n{name} {{\n{chain}\n}}\n")


def _translation(packet: Packet) -> str:
    assert packet.translated
    to, port = packet.translated
    ip = "ip6" if to.version == 6 else "ip"
    where = f"{ip} saddr != {_LINKS[ip]} {ip} daddr {packet.destination}"
    if packet.protocol is Protocol.ECHO:
        icmp = "icmpv6" if to.version == 6 else "icmp"
        return f"{where} {icmp} type echo-request dnat {ip} to {to}"
    there = f"[{to}]:{port}" if to.version == 6 else f"{to}:{port}"
    return f"{where} {packet.protocol.value} dport {packet.port} dnat {ip} to {there}"


def _is_one(address: Address) -> bool:
    return not address.is_multicast and str(address) != "255.255.255.255"


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
    to_one = _is_one(aim)
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
    return st.one_of(sent, sent, sent, sent, answers) if aim in LOCAL else sent


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
    _translate(ground.there.host, packets)

    wanted = [_seen(ground, packet, verdict(policy, LOCAL, packet)) for packet in packets]

    found = ground.fates(packets)

    assert live.fault(policy, listed, None) == ""
    wrong = [
        (p, f, w)
        for p, f, w in zip(packets, found, wanted, strict=True)
        if _seen(ground, p, f) != w
    ]
    assert wrong == [], ruleset.render(policy)


def _seen(ground: Ground, packet: Packet, fate: Verdict) -> Verdict:
    # With br_netfilter a guest is not told of a refusal after NAT (`_after_nat` in test_nat).
    untold = ground.bridged and packet.translated and fate is Verdict.REJECTED
    return Verdict.DROPPED if untold else fate
