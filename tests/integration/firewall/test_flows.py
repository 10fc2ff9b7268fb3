"""What guests can do over real networks, and what they can't; without the table they could."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from ipaddress import ip_address, ip_network
from threading import Thread

import pytest
from guest_policies import LOCAL, SIGNALS, TABLE, a_policy
from packets import (
    BAD,
    GOOD,
    GUESTS_MAC,
    OTHERS_MAC,
    PORTS,
    Ground,
    connection,
    conversation,
    new_socket,
    talk,
)

from sandbox.namespaces import (
    BRIDGE,
    ELSEWHERE,
    FORGED,
    GATEWAYS,
    GUEST,
    OTHER_GUEST,
    UPLINK,
)
from supervisor.firewall import ruleset
from supervisor.firewall.verdict import Packet, Protocol, Verdict

ACCEPTED, REJECTED, DROPPED = Verdict.ACCEPTED, Verdict.REJECTED, Verdict.DROPPED
_LIMIT_S = 20.0


@pytest.mark.parametrize("flow", [connection, conversation])
def test_a_changed_denylist_ends_a_running_flow_at_once_and_others_go_on(
    ground: Ground, flow: Callable[..., Iterator[list[socket.socket]]]
) -> None:
    there = ground.there
    ground.apply(a_policy(denied="192.168.0.0/16"))
    with flow(there.world, BAD, there.guest) as bad, flow(there.world, GOOD, there.guest) as good:
        talk(*bad)
        talk(*good)

        ground.apply(a_policy(denied=f"192.168.0.0/16, {BAD}"))

        near, far = bad
        far.send(b"not to be heard")
        assert ground.is_silent(near)
        near.send(b"not to be heard either")
        with pytest.raises(OSError, match=r"reset by peer|No route to host"):
            near.recv(16)
        talk(*good)
    assert ground.live().answers.packets >= 1


@pytest.mark.parametrize("flow", [connection, conversation])
def test_a_port_of_the_host_that_is_not_allowed_any_more_closes_under_who_uses_it(
    ground: Ground, flow: Callable[..., Iterator[list[socket.socket]]]
) -> None:
    ground.apply(a_policy(allowed=f"{UPLINK[0]}:1-65535"))
    with flow(ground.there.host, UPLINK[0], ground.there.guest) as (near, far):
        talk(near, far)

        ground.apply(a_policy())

        near.send(b"not to be heard")
        with pytest.raises(OSError, match=r"reset by peer|No route to host"):
            near.recv(16)
        assert ground.is_silent(far)


def test_forged_senders_are_dropped_and_counted(ground: Ground) -> None:
    forged, forged6 = (str(ip_network(network)[9]) for network in FORGED)
    for sender, aim in ((forged, GOOD), (forged6, "2001:db8::9")):
        assert ground.fate(aim, protocol=Protocol.UDP, source=sender) is ACCEPTED

    ground.apply(a_policy())

    pairs = ((forged, GOOD), (forged6, "2001:db8::9"), (GATEWAYS[0], GOOD))
    packets = [
        Packet(
            source=ip_address(sender),
            destination=ip_address(aim),
            protocol=Protocol.UDP,
            port=443,
        )
        for sender, aim in pairs
    ]
    assert set(ground.fates(packets)) == {DROPPED}
    assert ground.live().spoofed.packets == 3
    assert ground.fate(GOOD, protocol=Protocol.UDP) is ACCEPTED


def test_what_other_tables_accept_before_and_after_changes_nothing(ground: Ground) -> None:
    ground.apply(a_policy(denied=BAD))
    chains = [
        f"chain c{number} {{\n type filter hook {hook} priority {priority};\n accept\n }}\n"
        for number, (hook, priority) in enumerate(
            [
                ("prerouting", -300),
                ("prerouting", -151),
                ("prerouting", -149),
                ("forward", -20),
                ("forward", 0),
                ("input", 0),
            ]
        )
    ]
    ground.there.host.run("nft", "-f", "-", script=f"table inet others {{\n {''.join(chains)} }}")

    assert ground.fate(BAD) is REJECTED
    assert ground.fate(UPLINK[0]) is REJECTED
    assert ground.fate(OTHER_GUEST[0]) is REJECTED
    assert ground.fate(GOOD) is ACCEPTED


def test_the_host_reaches_its_guests(ground: Ground) -> None:
    there = ground.there
    ground.apply(a_policy(denied="10.0.0.0/8"))

    for flow in (connection, conversation):
        with flow(there.guest, GUEST[0], there.host) as ends:
            talk(*ends)
    # An error that a guest answers with comes back too: nobody listens at this port.
    with there.host.entered():
        asking = new_socket(4, socket.SOCK_DGRAM)
    with asking:
        asking.settimeout(_LIMIT_S)
        asking.connect((GUEST[0], 9))
        asking.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            asking.recv(16)
    assert ground.live().refused.packets == 0


def test_an_answer_that_comes_too_late_is_no_offence(ground: Ground) -> None:
    ground.apply(a_policy(allowed=f"{UPLINK[0]}:9200"))
    for _ in range(5):
        with ground.there.host.entered():
            answering = new_socket(4, socket.SOCK_DGRAM)
        with ground.there.guest.entered():
            asking = new_socket(4, socket.SOCK_DGRAM)
        with answering:
            answering.bind((UPLINK[0], 9200))
            answering.settimeout(_LIMIT_S)
            with asking:
                asking.sendto(b"name?", (UPLINK[0], 9200))
                answering.connect(answering.recvfrom(16)[1])
            answering.send(b"address")
            with pytest.raises(ConnectionRefusedError):
                answering.recv(16)
    # Each would count; and a packet of a connection from before, which comes late, may.
    assert ground.live().refused.packets < 5


def test_a_scan_of_the_host_finds_what_is_open_and_nothing_else(ground: Ground) -> None:
    def scan() -> set[tuple[str, int, Protocol]]:
        packets = [
            Packet(
                source=ip_address(GUEST[address.version == 6]),
                destination=address,
                protocol=protocol,
                port=port,
            )
            for address in LOCAL
            for protocol in (Protocol.TCP, Protocol.UDP)
            for port in PORTS
        ]
        found = zip(packets, ground.fates(packets), strict=True)
        return {
            (str(packet.destination), packet.port, packet.protocol)
            for packet, fate in found
            if fate is ACCEPTED
        }

    assert len(scan()) == len(LOCAL) * 2 * len(PORTS)

    ground.apply(a_policy(allowed=f"{UPLINK[0]}:8000-8009, [{UPLINK[1]}]:443, {ELSEWHERE[0]}"))

    both = (Protocol.TCP, Protocol.UDP)
    wanted = {(gateway, 53, protocol) for gateway in GATEWAYS for protocol in both}
    wanted |= {(UPLINK[0], port, protocol) for port in (8000, 8005) for protocol in both}
    wanted |= {(UPLINK[1], 443, protocol) for protocol in both}
    wanted |= {(GATEWAYS[0], SIGNALS, Protocol.TCP)}
    assert scan() == wanted


def test_dhcp_and_neighbour_discovery_work(ground: Ground) -> None:
    ground.apply(a_policy(denied="0.0.0.0/0, ::/0"))
    there = ground.there
    for where, device in ((there.guest, "eth0"), (there.host, BRIDGE)):
        where.ip(f"neigh flush dev {device}")

    assert ground.fate(GATEWAYS[1], 53) is ACCEPTED  # neighbours find each other anew

    with there.host.entered():
        server = new_socket(4, socket.SOCK_DGRAM)
        server.bind(("", 67))
    with there.guest.entered():
        link = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(0x0800))
    with server, link:
        server.settimeout(_LIMIT_S)
        link.sendto(_udp_from_nowhere(b"discover"), ("eth0", 0x0800, 0, 0, b"\xff" * 6))
        assert server.recvfrom(64) == (b"discover", ("0.0.0.0", 68))


def _udp_from_nowhere(payload: bytes) -> bytes:
    """Build what a guest without an address sends to find a DHCP server."""
    udp = struct.pack("!HHHH", 68, 67, 8 + len(payload), 0) + payload
    header = bytearray(
        struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    )
    total = sum(struct.unpack("!10H", bytes(header)))
    total = (total >> 16) + (total & 0xFFFF)
    header[10:12] = struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)
    return bytes(header) + udp


def test_what_guests_are_refused_is_counted_for_each_and_goes_on_over_a_replacement(
    ground: Ground,
) -> None:
    ground.apply(a_policy(denied=BAD))
    for protocol in Protocol:
        ground.fate(BAD, protocol=protocol)
    with ground.there.other.entered():
        other = new_socket(4, socket.SOCK_DGRAM)
    with other:
        other.sendto(b"x", (BAD, 443))
    before = ground.live()
    assert before.rejected[GUESTS_MAC].packets == 3
    assert before.rejected[OTHERS_MAC].packets == 1
    assert before.refused.packets == 4

    ground.apply(a_policy(denied=f"{BAD}, 10.0.0.0/8"))

    assert ground.live().rejected == before.rejected
    ground.fate(BAD)
    assert ground.live().rejected[GUESTS_MAC].packets == 4


def test_a_guest_that_floods_a_service_is_held_back_and_others_are_not(ground: Ground) -> None:
    there = ground.there
    ground.apply(a_policy())
    packet = Packet(
        source=ip_address(GUEST[0]),
        destination=ip_address(GATEWAYS[0]),
        protocol=Protocol.TCP,
        port=SIGNALS,
    )

    began = time.monotonic()
    found = ground.fates([packet] * 200)
    took_s = time.monotonic() - began

    # Fifty at once, and then ten a second.
    assert 50 <= found.count(ACCEPTED) <= 50 + 10 * took_s + 1
    assert found.count(DROPPED) == 200 - found.count(ACCEPTED)
    assert ground.live().flooded.packets >= found.count(DROPPED)
    with there.other.entered():
        other = new_socket(4, socket.SOCK_STREAM)
    with other:
        other.settimeout(_LIMIT_S)
        other.connect((GATEWAYS[0], SIGNALS))


def test_there_is_no_moment_without_the_table_while_it_is_replaced(ground: Ground) -> None:
    there = ground.there
    policies = [a_policy(denied=BAD), a_policy(denied=f"{BAD}, 10.0.0.0/8")]
    ground.apply(policies[0])
    with ExitStack() as stack:
        heard = []
        with there.world.entered():
            for address in (BAD, GOOD):
                one = stack.enter_context(new_socket(4, socket.SOCK_DGRAM))
                one.bind((address, 9100))
                heard.append(one)
        to_bad, to_good = heard
        to_good.settimeout(0.05)
        to_bad.setblocking(False)  # noqa: FBT003 - the name of the method says it
        with there.guest.entered():
            sender = stack.enter_context(new_socket(4, socket.SOCK_DGRAM))
        ends = time.monotonic() + 120
        sent, arrived, done = 0, 0, False

        def send() -> None:
            nonlocal sent, arrived
            while not done and time.monotonic() < ends:
                for address in (BAD, GOOD):
                    sender.sendto(b"x", (address, 9100))
                sent += 1
                # No more is sent than is heard. One that comes while the sets change may find them
                # empty, and is lost.
                with suppress(TimeoutError):
                    arrived += len(to_good.recv(1))

        sending = Thread(target=send)
        sending.start()
        replaced = 0
        try:
            while replaced < 50 or (sent < 1000 and time.monotonic() < ends):
                ground.nft.apply(ruleset.render(policies[replaced % 2]))
                replaced += 1
        finally:
            done = True
            sending.join()
        while not ground.is_silent(to_good):
            arrived += len(to_good.recv(1))
        assert sent >= 1000
        assert arrived > sent * 0.9
        with pytest.raises(BlockingIOError):
            to_bad.recv(1)

        ground.nft.delete(TABLE)  # without it, all would have come through
        sender.sendto(b"x", (BAD, 9100))
        assert not ground.is_silent(to_bad)
