"""Packets that are really sent, and what becomes of them."""

from __future__ import annotations

import errno
import select
import selectors
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import count
from threading import Event, Thread

from guest_policies import TABLE
from settling import Way, settle

from sandbox.namespaces import GATEWAYS, GUEST, Namespace, Neighbourhood
from supervisor.firewall import live, ruleset
from supervisor.firewall.live import LiveTable
from supervisor.firewall.networks import Address
from supervisor.firewall.policy import Policy
from supervisor.firewall.verdict import Packet, Protocol, Verdict
from supervisor.gateways import nftables_notices
from supervisor.gateways.nftables import Nftables
from supervisor.gateways.nftables_notices import Listen

PORTS = (53, 80, 443, 8000, 8005, 8010, 8011, 8700)
"""Where host, guest and world listen, over TCP and UDP."""
BAD, GOOD = "203.0.113.77", "203.0.113.99"
"""Of the world: one that is denied where a test says so, and one that never is."""
GUESTS_MAC, OTHERS_MAC = "02:00:00:00:00:02", "02:00:00:00:00:03"
GROUP = "224.0.0.251"
"""What the host listens to besides its own addresses."""

_TRANSPARENT = {4: (socket.IPPROTO_IP, 19), 6: (socket.IPPROTO_IPV6, 75)}
_MARK = b"packet-of-the-test-"
_TOKEN_LENGTH = len(_MARK) + 8
_ADMIN_PROHIBITED = {4: (3, 13), 6: (1, 1)}
_ECHO_REQUEST = {4: 8, 6: 128}
_ANSWER_S = 20.0


class Listeners:
    """Everybody who listens, in one thread; what arrives is known by its token."""

    def __init__(self) -> None:
        self.arrived: set[tuple[str, bytes]] = set()
        self.told: set[bytes] = set()
        self._stack = ExitStack()
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._asked, self._asking = (self._stack.enter_context(end) for end in socket.socketpair())
        self._selector.register(self._asked, selectors.EVENT_READ)
        self._heard_all = Event()
        self._thread = Thread(target=self._serve, name="listeners")

    def start(self) -> None:
        """Hear, until `stop`."""
        self._thread.start()

    def settle(self) -> None:
        """Wait until all that has arrived is known."""
        self._heard_all.clear()
        self._asking.send(b"?")
        assert self._heard_all.wait(_ANSWER_S), "the listeners are at work"

    def stop(self) -> None:
        """Close all sockets."""
        self._stopping = True
        self._asking.send(b"!")
        self._thread.join()
        self._stack.close()
        self._selector.close()

    def listen(self, where: Namespace, name: str, ports: Sequence[int] = PORTS) -> None:
        """Listen at all addresses of a namespace."""
        with where.entered():
            for version in (4, 6):
                for port in ports:
                    tcp = self._made(version, socket.SOCK_STREAM)
                    tcp.bind(("", port))
                    tcp.listen(512)
                    self._selector.register(tcp, selectors.EVENT_READ, (name, "tcp"))
                    udp = self._made(version, socket.SOCK_DGRAM)
                    udp.bind(("", port))
                    if name == "host" and version == 4:
                        joined = socket.inet_aton(GROUP) + socket.inet_aton(GATEWAYS[0])
                        udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
                    self._selector.register(udp, selectors.EVENT_READ, (name, "udp"))
                icmp = self._made(version, socket.SOCK_RAW)
                self._selector.register(icmp, selectors.EVENT_READ, (name, f"icmp{version}"))

    def _made(self, version: int, kind: int) -> socket.socket:
        made = self._stack.enter_context(new_socket(version, kind))
        made.setblocking(False)  # noqa: FBT003 - the name of the method says it
        return made

    def _serve(self) -> None:
        while not self._stopping:
            is_asked = False
            for key, _ in self._selector.select():
                if key.fileobj is self._asked:
                    is_asked = bool(self._asked.recv(1))
                    continue
                name, kind = key.data
                with suppress(OSError):
                    self._hear(key.fileobj, name, kind)  # type: ignore[arg-type]
            if is_asked:  # after all that was there when it was
                self._heard_all.set()

    def _hear(self, heard: socket.socket, name: str, kind: str) -> None:
        while True:
            if kind == "tcp":
                heard.accept()[0].close()
                continue
            data, _ = heard.recvfrom(2048)
            begin = data.find(_MARK)
            if begin < 0:
                continue
            token = data[begin : begin + _TOKEN_LENGTH]
            if kind == "udp":
                self.arrived.add((name, token))
                continue
            version = int(kind[-1])
            icmp = data[(data[0] & 15) * 4 :] if version == 4 else data
            if name == "guest" and (icmp[0], icmp[1]) == _ADMIN_PROHIBITED[version]:
                self.told.add(token)
            elif name != "guest" and icmp[0] == _ECHO_REQUEST[version]:
                self.arrived.add((name, token))


def new_socket(version: int, kind: int) -> socket.socket:
    """Make a socket of either family; of a raw one it is ICMP."""
    protocol = 0
    if kind == socket.SOCK_RAW:
        protocol = socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6
    made = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind, protocol)
    if version == 6 and kind != socket.SOCK_RAW:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if kind == socket.SOCK_STREAM:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def listening_in(host: Namespace) -> Listen:
    """Have the kernel's notices of a namespace heard."""

    def listen() -> socket.socket:
        with host.entered():
            return nftables_notices.listen()

    return listen


@dataclass(frozen=True)
class Ground:
    """Where packets are sent, the host's nftables, and whether br_netfilter is on."""

    there: Neighbourhood
    listeners: Listeners
    ways: tuple[Way, ...]
    nft: Nftables
    bridged: bool

    def apply(self, policy: Policy) -> None:
        """Put the policy's table in place."""
        self.nft.apply(ruleset.render(policy, self.live().rejected))

    def settle(self) -> None:
        """Wait until nothing that was sent is under way, and what has arrived is known."""
        settle(self.ways)
        self.listeners.settle()

    def live(self) -> LiveTable:
        """List the table, when all that was sent has been through it."""
        self.settle()
        return live.read(self.nft.table(TABLE) or {"nftables": []})

    def fate(
        self,
        aim: str,
        port: int = 443,
        protocol: Protocol = Protocol.TCP,
        *,
        source: str = "",
    ) -> Verdict:
        """Send one packet from the guest, and say what has become of it."""
        there = ip_address(aim)
        whose = ip_address(source or GUEST[there.version == 6])
        packet = Packet(source=whose, destination=there, protocol=protocol, port=port)
        return self.fates([packet])[0]

    def fates(self, packets: Sequence[Packet]) -> list[Verdict]:
        """Send packets from the guest, all at once, and say what has become of each.

        What has neither arrived nor been refused, when nothing is under way, was dropped.
        """
        with ExitStack() as stack, self.there.guest.entered():
            sent = [_send(self.there, stack, packet) for packet in packets]
            self.settle()
            return [_fate(self.listeners, one) for one in sent]

    def is_silent(self, hearing: socket.socket) -> bool:
        """Tell whether a socket has heard nothing when all that was sent has arrived."""
        self.settle()
        return not select.select([hearing], [], [], 0)[0]


@contextmanager
def listening(there: Neighbourhood) -> Iterator[Listeners]:
    """Have everybody listen."""
    listeners = Listeners()
    try:
        listeners.listen(there.host, "host")
        listeners.listen(there.world, "world")
        listeners.listen(there.other, "other")
        listeners.listen(there.guest, "guest", ())
        listeners.start()
        try:
            yield listeners
        finally:
            listeners.stop()
    except BaseException:
        listeners._stack.close()
        raise


@contextmanager
def connection(server: Namespace, address: str, client: Namespace) -> Iterator[list[socket.socket]]:
    """A TCP connection: the client's end and the server's."""
    with ExitStack() as stack:
        with server.entered():
            listener = stack.enter_context(new_socket(4, socket.SOCK_STREAM))
        listener.bind((address, 0))
        listener.listen()
        with client.entered():
            near = stack.enter_context(new_socket(4, socket.SOCK_STREAM))
        near.settimeout(_ANSWER_S)
        near.connect(listener.getsockname())
        far = stack.enter_context(listener.accept()[0])
        far.settimeout(_ANSWER_S)
        yield [near, far]


@contextmanager
def conversation(
    server: Namespace, address: str, client: Namespace
) -> Iterator[list[socket.socket]]:
    """The same over UDP."""
    with ExitStack() as stack:
        with server.entered():
            far = stack.enter_context(new_socket(4, socket.SOCK_DGRAM))
        far.bind((address, 0))
        with client.entered():
            near = stack.enter_context(new_socket(4, socket.SOCK_DGRAM))
        near.connect(far.getsockname())
        near.send(b"hello")
        far.settimeout(_ANSWER_S)
        near.settimeout(_ANSWER_S)
        far.connect(far.recvfrom(16)[1])
        yield [near, far]


def talk(near: socket.socket, far: socket.socket) -> None:
    """Have both ends of a connection or conversation hear each other."""
    near.send(b"ping")
    assert far.recv(16) == b"ping"
    far.send(b"pong")
    assert near.recv(16) == b"pong"


@dataclass
class _Sent:
    packet: Packet
    used: socket.socket
    token: bytes = b""
    opener: socket.socket | None = None

    @property
    def is_to_one(self) -> bool:
        aim = self.packet.destination
        return not aim.is_multicast and str(aim) != "255.255.255.255"


_numbers = count()


def _send(there: Neighbourhood, stack: ExitStack, packet: Packet) -> _Sent:
    version = packet.source.version
    number = next(_numbers)
    token = _MARK + f"{number:08}".encode()
    kinds = {
        Protocol.TCP: socket.SOCK_STREAM,
        Protocol.UDP: socket.SOCK_DGRAM,
        Protocol.ECHO: socket.SOCK_RAW,
    }
    used = stack.enter_context(new_socket(version, kinds[packet.protocol]))
    used.setsockopt(*_TRANSPARENT[version], 1)
    used.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    used.setblocking(False)  # noqa: FBT003 - the name of the method says it
    port = 0 if packet.protocol is Protocol.ECHO else packet.port
    used.bind(_at(packet.source, 0))
    aim = _at(packet.destination, port)
    if packet.protocol is Protocol.TCP:
        used.connect_ex(aim)
        return _Sent(packet, used)
    if packet.answers:
        opener = stack.enter_context(_opened(there, packet, used))
        used.sendto(token, aim)
        return _Sent(packet, used, token, opener)
    payload = token
    if packet.protocol is Protocol.ECHO:
        # Each is a connection of its own to the host, which translates only the first of one.
        header = struct.pack("!BBHHH", _ECHO_REQUEST[version], 0, 0, number & 0xFFFF, 1)
        payload = header[:2] + struct.pack("!H", checksum(header + token)) + header[4:] + token
    used.sendto(payload, aim)
    return _Sent(packet, used, token)


def _opened(there: Neighbourhood, packet: Packet, used: socket.socket) -> socket.socket:
    """Have the host say something to the guest over UDP, from where the packet is to go."""
    with there.host.entered():
        opener = new_socket(packet.source.version, socket.SOCK_DGRAM)
    opener.setsockopt(*_TRANSPARENT[packet.source.version], 1)
    opener.setblocking(False)  # noqa: FBT003 - the name of the method says it
    opener.bind((str(packet.destination), packet.port))
    opener.sendto(b"hello", (str(packet.source), used.getsockname()[1]))
    assert select.select([used], [], [], _ANSWER_S)[0], "the guest was not reached"
    used.recv(16)
    return opener


def _fate(listeners: Listeners, sent: _Sent) -> Verdict:
    if sent.packet.protocol is Protocol.TCP:
        error = sent.used.connect_ex(_at(sent.packet.destination, sent.packet.port))
        if error in {0, errno.EISCONN}:
            return Verdict.ACCEPTED
        return Verdict.REJECTED if error == errno.ECONNREFUSED else Verdict.DROPPED
    if sent.opener is not None and select.select([sent.opener], [], [], 0)[0]:
        return Verdict.ACCEPTED
    # What is said to everybody is heard by other guests if the bridge alone hands it on.
    hearers = ("host", "world", "other") if sent.is_to_one else ("host", "world")
    if any((hearer, sent.token) in listeners.arrived for hearer in hearers):
        return Verdict.ACCEPTED
    return Verdict.REJECTED if sent.token in listeners.told else Verdict.DROPPED


def _at(address: Address, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    if address.version == 4:
        return str(address), port
    scope = socket.if_nametoindex("eth0") if address.is_link_local or address.is_multicast else 0
    return str(address), port, 0, scope


def checksum(data: bytes) -> int:
    """Sum data up as ICMP and IP do."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
