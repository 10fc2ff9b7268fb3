"""What guests, other bridges and the world may send to a guest unasked: nothing."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from guest_policies import LOCAL, a_policy
from packets import (
    BAD,
    GOOD,
    GUESTS_MAC,
    OTHERS_MAC,
    Ground,
    checksum,
    conversation,
    new_socket,
    talk,
)
from settling import ways_between
from waiting import eventually

from sandbox.namespaces import (
    BRIDGE,
    ELSEWHERE,
    GATEWAYS,
    GUEST,
    OTHER_GUEST,
    UPLINK,
    Namespace,
    namespace,
)
from supervisor.firewall import live, ruleset
from supervisor.firewall.names import CLOSED, UNASKED, table_name
from supervisor.firewall.policy import Policy
from supervisor.firewall.verdict import Packet, Protocol, Verdict, verdict

ACCEPTED, REJECTED, DROPPED = Verdict.ACCEPTED, Verdict.REJECTED, Verdict.DROPPED
_LIMIT_S = 20.0


@contextmanager
def _second_bridge(ground: Ground) -> Iterator[tuple[Ground, Namespace, Policy]]:
    """The ground with another installation's bridge on it, and a guest of that one's own."""
    host = ground.there.host
    with namespace() as guest:
        host.ip(
            f"""link add guest9 type veth peer name eth0 netns {guest.path} \
                address 02:00:00:00:00:09
            link set guest9 master elsewhere
            link set guest9 up
            route add {_NEIGHBOUR} dev elsewhere"""
        )
        guest.ip(
            f"""link set eth0 up
            addr add {_NEIGHBOUR}/32 dev eth0
            route add default via {ELSEWHERE[0]} dev eth0 onlink"""
        )
        policy = replace(
            a_policy(services=""),
            installation="there",
            bridge="elsewhere",
            subnets=(ip_network(f"{_NEIGHBOUR}/24", strict=False),),
            gateways=(ip_address(ELSEWHERE[0]),),
        )
        try:
            with ways_between(((guest, "eth0"), (host, "guest9"), (host, "elsewhere"))) as ways:
                yield replace(ground, ways=(*ground.ways, *ways)), guest, policy
        finally:
            host.ip("link delete guest9")
            host.ip(f"route delete {_NEIGHBOUR} dev elsewhere")


_NEIGHBOUR = "172.30.5.2"


def _is_heard(
    ground: Ground, source: Namespace, sender: str, guest: Namespace, address: str
) -> bool:
    """Tell whether a guest hears what somebody sends without having been asked."""
    with guest.entered():
        hearing = new_socket(4, socket.SOCK_DGRAM)
    with source.entered():
        sending = new_socket(4, socket.SOCK_DGRAM)
    with hearing, sending:
        hearing.bind((address, 0))
        sending.bind((sender, 0))
        sending.sendto(b"unasked", hearing.getsockname())
        return not ground.is_silent(hearing) and hearing.recv(16) == b"unasked"


def test_guests_on_two_bridges_do_not_reach_each_other(ground: Ground) -> None:
    there = ground.there
    with _second_bridge(ground) as (whole, guest, policy):
        ways = [
            (there.guest, GUEST[0], guest, _NEIGHBOUR),
            (guest, _NEIGHBOUR, there.guest, GUEST[0]),
        ]
        # A cable that has just been plugged in carries nothing yet on a busy machine.
        eventually(lambda: [_is_heard(whole, *way) for way in ways] == [True, True])

        whole.nft.apply(ruleset.render(policy))
        whole.apply(a_policy())

        try:
            assert [_is_heard(whole, *way) for way in ways] == [False, False]
            for bridge in (a_policy(), policy):
                document = whole.nft.table(table_name(bridge.installation, bridge.bridge))
                assert live.read(document or {}).counters[UNASKED].packets == 1
            assert _is_heard(whole, there.host, GATEWAYS[0], there.guest, GUEST[0])
            assert _is_heard(whole, there.host, ELSEWHERE[0], guest, _NEIGHBOUR)
        finally:
            whole.nft.delete(table_name(policy.installation, policy.bridge))


@pytest.mark.parametrize("sender", [BAD, GOOD])
def test_nobody_in_the_world_opens_a_connection_to_a_guest(ground: Ground, sender: str) -> None:
    there = ground.there
    assert _is_heard(ground, there.world, sender, there.guest, GUEST[0])

    ground.apply(a_policy(denied=BAD, allowed=f"{GOOD}, {GOOD}:1-65535"))

    assert not _is_heard(ground, there.world, sender, there.guest, GUEST[0])
    assert ground.live().counters[UNASKED].packets == 1


def test_what_the_world_has_opened_to_a_guest_ends_at_once(ground: Ground) -> None:
    with conversation(ground.there.guest, GUEST[0], ground.there.world) as (far, near):
        talk(far, near)

        ground.apply(a_policy())

        far.send(b"not to be heard")
        assert ground.is_silent(near)


def test_a_guest_hears_that_nobody_listens_where_it_has_sent_to(ground: Ground) -> None:
    ground.apply(a_policy())
    with ground.there.guest.entered():
        asking = new_socket(4, socket.SOCK_DGRAM)
    with asking:
        asking.settimeout(_LIMIT_S)
        asking.connect((GOOD, 9))
        asking.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            asking.recv(16)


@pytest.mark.parametrize(
    ("aim", "is_heard"),
    [(GOOD, True), ("203.0.113.78", True), ("203.0.113.79", True), (BAD, False)],
)
def test_a_denied_router_is_heard_about_what_is_on_its_way_to_others_only(
    ground: Ground, aim: str, *, is_heard: bool
) -> None:
    """Routers tell by such errors how large a packet may be; 79 is allowed, and 78 at its port."""
    there, router = ground.there, "10.0.0.1"
    denied = f"10.0.0.0/8, {BAD}, 203.0.113.78/31"
    ground.apply(a_policy())
    with there.guest.entered():
        asking = new_socket(4, socket.SOCK_DGRAM)
    with asking:
        asking.connect((aim, 443))
        asking.send(b"anybody?")

        ground.apply(a_policy(denied=denied, allowed="203.0.113.78:443, 203.0.113.79"))
        _say_unreachable(there.world, router, *asking.getsockname(), aim)

        assert ground.is_silent(asking) is not is_heard
        if is_heard:
            with pytest.raises(ConnectionRefusedError):
                asking.recv(16)


def _say_unreachable(world: Namespace, router: str, guest: str, port: int, aim: str) -> None:
    """Send an ICMP error about what a guest has sent over UDP to an address's port 443."""
    ends = ip_address(guest).packed + ip_address(aim).packed
    sent = struct.pack("!BBHHHBBH", 0x45, 0, 36, 1, 0, 64, 17, 0) + ends
    sent += struct.pack("!HHHH", port, 443, 16, 0)
    message = struct.pack("!BBHI", 3, 3, 0, 0) + sent
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    with world.entered():
        sender = new_socket(4, socket.SOCK_RAW)
    with sender:
        sender.bind((router, 0))
        sender.sendto(message, (guest, 0))


def test_where_ipv6_is_closed_nothing_of_a_guests_ipv6_is_heard(ground: Ground) -> None:
    policy = a_policy(allowed="::/0, [2001:db8::9]:443", closes_ipv6=True)
    aims = [(UPLINK[1], 443), (GATEWAYS[1], 53), ("2001:db8::9", 443), (OTHER_GUEST[1], 443)]
    assert {ground.fate(*aim) for aim in aims} == {ACCEPTED}

    ground.apply(policy)

    packets = [
        Packet(
            source=ip_address(GUEST[1]),
            destination=ip_address(aim),
            protocol=protocol,
            port=port,
        )
        for aim, port in aims
        for protocol in Protocol
    ]
    wanted = [verdict(policy, LOCAL, packet) for packet in packets]
    assert set(wanted) == {DROPPED}
    assert ground.fates(packets) == wanted
    assert ground.live().counters[CLOSED].packets >= len(packets)
    assert ground.live().refused.packets == 0
    assert ground.fate(GOOD) is ACCEPTED
    assert ground.fate(GATEWAYS[0], 53) is ACCEPTED


def test_where_ipv6_is_closed_no_guest_takes_anothers_address_at_the_host(ground: Ground) -> None:
    there = ground.there

    def owner() -> str:
        there.host.ip(f"neigh replace {OTHER_GUEST[1]} lladdr {OTHERS_MAC} dev {BRIDGE} nud stale")
        _advertise(there.guest, OTHER_GUEST[1], GUESTS_MAC)
        ground.settle()
        return there.host.run("ip", "neigh", "show", OTHER_GUEST[1]).split("lladdr ")[1].split()[0]

    assert owner() == GUESTS_MAC

    ground.apply(a_policy(closes_ipv6=True))

    assert owner() == OTHERS_MAC
    there.host.ip(f"neigh flush dev {BRIDGE}")


def _advertise(guest: Namespace, address: str, mac: str) -> None:
    """Say to all on the link whose an address is."""
    option = bytes((2, 1)) + bytes.fromhex(mac.replace(":", ""))
    overrides = 0x20000000
    message = struct.pack("!BBHI", 136, 0, 0, overrides) + ip_address(address).packed + option
    with guest.entered():
        sender = new_socket(6, socket.SOCK_RAW)
        scope = socket.if_nametoindex("eth0")
    with sender:
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sender.sendto(message, ("ff02::1", 0, 0, scope))


@pytest.mark.parametrize("other", OTHER_GUEST)
def test_guests_do_not_reach_each_other_over_their_gateway(ground: Ground, other: str) -> None:
    for protocol in Protocol:
        assert ground.fate(other, protocol=protocol) is ACCEPTED

    ground.apply(a_policy(allowed="10.0.0.0/8, fd00::/8"))

    for protocol in Protocol:
        assert ground.fate(other, protocol=protocol) is REJECTED


@pytest.mark.parametrize("other", OTHER_GUEST)
def test_guests_on_one_bridge_do_not_reach_each_other_where_br_netfilter_is_on(
    ground: Ground, other: str
) -> None:
    there = ground.there
    direct = [(there.guest, OTHER_GUEST), (there.other, GUEST)]
    for guest, addresses in direct:
        guest.ip("\n".join(f"route add {address} dev eth0" for address in addresses))
    try:
        assert ground.fate(other) is ACCEPTED

        ground.apply(a_policy())
        for guest, _ in direct:
            guest.ip("neigh flush dev eth0")

        # Without it the bridge hands on what IP's filters never see; port isolation is for that.
        # That it is refused, and not lost, shows that neighbours still find each other.
        assert ground.fate(other) is (REJECTED if ground.bridged else ACCEPTED)
    finally:
        for guest, addresses in direct:
            guest.ip("\n".join(f"route delete {address} dev eth0" for address in addresses))


@pytest.mark.parametrize("bad", [134, 137])
def test_a_guest_does_not_play_the_router(ground: Ground, bad: int) -> None:
    """Neither by advertisements (134) nor by redirects (137); solicitations (133) are heard."""
    solicitation = 133

    def heard() -> list[int]:
        with ground.there.host.entered():
            listener = new_socket(6, socket.SOCK_RAW)
        with ground.there.guest.entered():
            sender = new_socket(6, socket.SOCK_RAW)
            scope = socket.if_nametoindex("eth0")
        with listener, sender:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            found: list[int] = []
            for kind in (bad, solicitation):
                message = struct.pack("!BBHIQ", kind, 0, 0, 0, 0) + bytes(24)
                sender.sendto(message, ("ff02::1", 0, 0, scope))
                while not ground.is_silent(listener):
                    found.append(listener.recv(256)[0])
            return [kind for kind in found if kind in {bad, solicitation}]

    assert heard() == [bad, solicitation]

    ground.apply(a_policy())

    assert heard() == [solicitation]
