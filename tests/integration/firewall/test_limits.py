"""What one guest may cost the others and this host."""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Network
from threading import Event, Thread

import pytest
from guest_policies import TABLE, a_policy
from packets import Ground, checksum, conversation, new_socket

from sandbox.namespaces import GATEWAYS, GUEST, Namespace
from supervisor.firewall import limits, ruleset
from supervisor.firewall.names import CROWDED, QUESTIONS, ROUTED
from supervisor.firewall.policy import Policy
from supervisor.firewall.rules import Rule
from supervisor.firewall.verdict import Protocol, Verdict
from supervisor.work.firewall import TableReady, close_if_gone, ensure

_GOOD = "203.0.113.99"
_LIMIT_S = 10.0
_UNSETTLED = 200
"""Packets that a processor's backlog (of 1000) has room for, whatever else is in it."""
_BRIDGES_MAC = bytes.fromhex("020000000001")
_OPTIONS = {"lsrr": 0x83, "ssrr": 0x89}


def _tracked(ground: Ground) -> int:
    """Count the connections that the host keeps track of, when all that was sent has been seen."""
    ground.settle()
    with ground.there.host.entered():
        listed = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)  # NETLINK_NETFILTER
    # IPCTNL_MSG_CT_GET_STATS of this namespace: the number of entries is its one attribute.
    with listed:
        listed.send(struct.pack("=IHHIIBBH", 20, (1 << 8) | 5, 1, 1, 0, 0, 0, 0))
        answer = listed.recv(256)
    return int(struct.unpack_from("!I", answer, 24)[0])


def _open(ground: Ground, guest: Namespace, aim: str, number: int) -> float:
    """Begin many connections over UDP to the world, by one packet each.

    Returns:
        For how many seconds more of them may have been let through at a rate.
    """
    # As long as the test may take: on a busy machine the first are not to end before the last.
    ground.there.host.set("net.netfilter.nf_conntrack_udp_timeout=3600")
    packets = [struct.pack("!HHHH", 1024 + port, 9, 8, 0) for port in range(number)]
    with guest.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    with sender:
        return _flood(ground, sender, packets, (aim, 0))


def _flood(
    ground: Ground, sender: socket.socket, packets: Sequence[bytes], aim: tuple[str, int]
) -> float:
    """Send much, without losing any of it on the way; return the seconds that it has taken."""
    began = time.monotonic()
    for number, packet in enumerate(packets, start=1):
        sender.sendto(packet, aim)
        if number % _UNSETTLED == 0:
            ground.settle()
    ground.settle()
    return time.monotonic() - began


def test_no_guest_fills_the_hosts_table_of_connections(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(limits, "OPENING", (Rule("return", "without a limit"),))
        ground.apply(a_policy())
    before = _tracked(ground)
    _open(ground, ground.there.guest, _GOOD, 6000)
    assert _tracked(ground) - before >= 6000, "without a limit they are all kept track of"
    ground.apply(a_policy())
    before = _tracked(ground)

    took_s = _open(ground, ground.there.other, _GOOD, 6000)

    # Two thousand at once, and then a hundred a second; MOST_TRACKED at the very most.
    more = min(100 * took_s + 1, limits.MOST_TRACKED - 2000)
    assert 2000 <= _tracked(ground) - before <= 2000 + more
    assert ground.live().counters[CROWDED].packets >= 4000 - more
    assert ground.fate(_GOOD) is Verdict.ACCEPTED, "another guest's connection"


def test_no_guest_has_more_connections_than_the_limit_however_slowly_it_opens_them(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    (limit,) = (rule for rule in limits.OPENING if "ct count 4096" in rule.text)
    fewer = replace(limit, text=limit.text.replace("count 4096", "count 50"))
    rules = tuple(fewer if rule is limit else rule for rule in limits.OPENING)
    monkeypatch.setattr(limits, "OPENING", rules)
    ground.apply(a_policy())
    before = _tracked(ground)

    _open(ground, ground.there.guest, "203.0.113.98", 500)

    assert 50 <= _tracked(ground) - before < 60
    assert ground.live().counters[CROWDED].packets >= 440
    # Connections that are there go on, and cost nothing of what is left.
    _open(ground, ground.there.guest, "203.0.113.98", 20)
    assert ground.live().counters[CROWDED].packets <= 460


@contextmanager
def _dns(guest: Namespace, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack, guest.entered():
        made = [stack.enter_context(new_socket(4, socket.SOCK_STREAM)) for _ in range(number)]
        for one in made:
            # Closed, it is reset: nothing is said of it to the next table.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.setblocking(False)  # noqa: FBT003 - the name of the method says it
            one.connect_ex((GATEWAYS[0], 53))
        yield made


def _connected(sockets: list[socket.socket]) -> int:
    return sum(one.connect_ex((GATEWAYS[0], 53)) in {0, 106} for one in sockets)


def test_no_guest_takes_all_connections_to_dns(ground: Ground) -> None:
    there = ground.there
    with _dns(there.guest, 300) as without:
        ground.settle()
        assert _connected(without) == 300
    ground.apply(a_policy())
    with _dns(there.guest, 300) as many, _dns(there.other, 4) as others:
        ground.settle()
        assert _connected(others) == 4
        assert _connected(many) == 4
    assert ground.live().counters[QUESTIONS].packets >= 296


def test_no_guest_floods_dns(ground: Ground) -> None:
    there = ground.there
    ground.apply(a_policy())
    with there.guest.entered():
        asking = new_socket(4, socket.SOCK_DGRAM)
    with asking:
        took_s = _flood(ground, asking, [b"name?"] * 3000, (GATEWAYS[0], 53))

    # A thousand at once, and then two hundred a second.
    refused = ground.live().counters[QUESTIONS].packets
    assert 2000 - (200 * took_s + 1) <= refused <= 2000
    with there.other.entered():
        other = new_socket(4, socket.SOCK_DGRAM)
    with other:
        other.sendto(b"name?", (GATEWAYS[0], 53))
    assert ground.live().counters[QUESTIONS].packets == refused
    assert ground.fate("203.0.113.77", protocol=Protocol.UDP) is Verdict.ACCEPTED


@pytest.mark.parametrize("option", _OPTIONS)
def test_what_names_its_own_way_is_dropped_before_all_else(ground: Ground, option: str) -> None:
    ground.apply(a_policy(allowed="0.0.0.0/0"))
    source, aim, hop = map(socket.inet_aton, (GUEST[0], GATEWAYS[0], _GOOD))
    way = struct.pack("!BBB4sB", _OPTIONS[option], 7, 4, hop, 0)
    header = struct.pack("!BBHHHBBH", 0x47, 0, 36, 0, 0, 64, 17, 0) + source + aim + way
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]

    _send_frame(ground.there.guest, 0x0800, header + struct.pack("!HHHH", 4000, 53, 8, 0))

    assert ground.live().counters[ROUTED].packets == 1


def _send_frame(guest: Namespace, kind: int, packet: bytes) -> None:
    with guest.entered():
        link = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(kind))
    with link:
        link.sendto(packet, ("eth0", kind, 0, 0, _BRIDGES_MAC))


@pytest.mark.parametrize("kind", [0, 2])
def test_what_has_a_routing_header_is_dropped_before_all_else(ground: Ground, kind: int) -> None:
    ground.apply(a_policy())
    source, aim = (socket.inet_pton(socket.AF_INET6, a) for a in (GUEST[1], GATEWAYS[1]))
    routing = struct.pack("!BBBBI", 17, 2, kind, 1, 0) + socket.inet_pton(
        socket.AF_INET6, "2001:db8::77"
    )
    payload = routing + struct.pack("!HHHH", 4000, 53, 8, 0)
    header = struct.pack("!IHBB", 6 << 28, len(payload), 43, 64) + source + aim

    _send_frame(ground.there.guest, 0x86DD, header + payload)

    assert ground.live().counters[ROUTED].packets == 1


def test_the_closed_table_lets_guests_reach_this_host_only_and_resets_nothing(
    ground: Ground,
) -> None:
    policy = a_policy(allowed="0.0.0.0/0")
    ground.nft.apply(ruleset.render_closed(policy))

    assert ground.fate(_GOOD) is Verdict.DROPPED
    assert ground.fate(GATEWAYS[0], 8011) is Verdict.DROPPED
    assert ground.fate(GATEWAYS[0], 53) is Verdict.ACCEPTED
    assert ground.fate(GATEWAYS[1], 53, Protocol.UDP) is Verdict.ACCEPTED
    assert ground.fate(GATEWAYS[0], 8700) is Verdict.ACCEPTED

    ground.apply(policy)

    assert ground.fate(_GOOD) is Verdict.ACCEPTED
    assert TABLE in ground.nft.tables_with_chains()


def _long_policy(denied: str) -> Policy:
    many = tuple(IPv4Network(((11 << 24) + (number << 9), 24)) for number in range(50_000))
    return replace(a_policy(), denied=(IPv4Network(denied), *many))


def test_a_table_of_50_000_networks_that_was_deleted_guards_again_before_it_is_back(
    ground: Ground,
) -> None:
    """Real packets to a denied address, while the daemon's work puts the table back."""
    there, bad = ground.there, "203.0.113.77"
    policy = _long_policy(bad)
    first = ensure(ground.nft, policy, None, None)
    assert isinstance(first, TableReady), first
    with ExitStack() as stack:
        with there.world.entered():
            heard = stack.enter_context(new_socket(4, socket.SOCK_DGRAM))
        heard.bind((bad, 9100))
        heard.setblocking(False)  # noqa: FBT003 - the name of the method says it
        with there.guest.entered():
            sender = stack.enter_context(new_socket(4, socket.SOCK_DGRAM))
        noticed, closed, arrived = Event(), Event(), Counter[bytes]()

        def notice() -> None:
            close_if_gone(ground.nft, policy, first.live)  # a look may be under way
            closed.set()
            noticed.set()

        monitor = ground.nft.monitor(notice, TABLE)
        stack.callback(monitor.close)

        def heal() -> None:
            while noticed.wait(_LIMIT_S) and not healed:
                noticed.clear()
                found = ensure(ground.nft, policy, first.kept, first.live)
                if isinstance(found, TableReady) and found.healed:
                    healed.append(found)

        healed: list[TableReady] = []
        healing = Thread(target=heal)
        healing.start()
        ground.nft.delete(TABLE)
        sent: Counter[bytes] = Counter()
        while healing.is_alive():
            state = b"closed" if closed.is_set() else b"deleted"
            sender.sendto(state, (bad, 9100))
            sent[state] += 1
            with suppress(BlockingIOError):
                arrived[heard.recv(10)] += 1
        healing.join()
        ground.settle()
        with suppress(BlockingIOError):
            while True:
                arrived[heard.recv(10)] += 1
    assert healed
    assert (sent[b"closed"] > 0, arrived[b"closed"]) == (True, 0)


def test_nothing_passes_between_guests_and_a_denied_address_while_a_long_list_is_replaced(
    ground: Ground,
) -> None:
    """Not even on a connection from before: the rules begin, and then the sets are filled."""
    bad = "203.0.113.77"
    ground.apply(a_policy())
    with conversation(ground.there.world, bad, ground.there.guest) as (near, far):
        ground.apply(_long_policy(bad))
        for one in (near, far):
            one.setblocking(False)  # noqa: FBT003 - the name of the method says it
        heard = 0
        done = Event()

        def talk() -> None:
            nonlocal heard
            while not done.is_set():
                for one in (near, far):
                    with suppress(OSError):  # a refusal is told to who has sent
                        one.send(b"not to be heard")
                    with suppress(OSError):
                        heard += len(one.recv(16)) > 0

        talking = Thread(target=talk)
        talking.start()
        try:
            for _ in range(2):
                ground.nft.apply(ruleset.render(_long_policy(bad)))
        finally:
            done.set()
            talking.join()
        ground.settle()
        assert heard == 0
