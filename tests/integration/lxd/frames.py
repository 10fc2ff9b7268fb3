"""Ethernet frames, made by hand, sent from within a guest, and caught at the host's interfaces.

Each ends in random bytes, by which it is known again, as a part of what it holds: the kernel cuts
off what is behind.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
import subprocess
import sys
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BROADCAST = "ff:ff:ff:ff:ff:ff"
_ALL_PROTOCOLS = 0x0003
_IPV4, _ARP, _VLAN, _IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD
_UDP, _ICMPV6, _NOTHING_MORE = 17, 58, 59
_EXPERIMENTAL = 0x88B5
_MARK_BYTES = 16
_LIMIT_S = 10
_SENDER = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
    raw.bind(("eth0", 0))
    for line in sys.stdin:
        raw.send(bytes.fromhex(line))
"""


def unknown(source: str, destination: str) -> bytes:
    """Make a frame of a protocol that nobody knows."""
    return _ethernet(source, destination, _EXPERIMENTAL, _mark())


def udp4(
    mac: str, address: str, to_mac: str, to: str, ports: tuple[int, int] = (4000, 4000)
) -> bytes:
    """Make a frame that holds an IPv4 packet with a UDP datagram."""
    datagram = struct.pack("!HHHH", *ports, 8 + _MARK_BYTES, 0) + _mark()
    ends = IPv4Address(address).packed + IPv4Address(to).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, _UDP, 0) + ends
    head = head[:10] + _checksum(head) + head[12:]
    return _ethernet(mac, to_mac, _IPV4, head + datagram)


def arp(mac: str, said_mac: str, said: str, asked: str, *, reply: bool) -> bytes:
    """Make a frame that says which MAC an address is at, or asks so."""
    head = struct.pack("!HHBBH", 1, _IPV4, 6, 4, 2 if reply else 1)
    said_pair = _mac(said_mac) + IPv4Address(said).packed
    asked_pair = bytes(6) + IPv4Address(asked).packed
    return _ethernet(mac, BROADCAST, _ARP, head + said_pair + asked_pair + _mark())


def ip6(mac: str, address: str, to_mac: str, to: str, icmp: bytes = b"") -> bytes:
    """Make a frame that holds an IPv6 packet, with nothing or an ICMPv6 message in it."""
    payload = icmp + _mark()
    head = struct.pack("!IHBB", 6 << 28, len(payload), _ICMPV6 if icmp else _NOTHING_MORE, 255)
    ends = IPv6Address(address).packed + IPv6Address(to).packed
    return _ethernet(mac, to_mac, _IPV6, head + ends + payload)


def neighbour_advertisement(address: str, mac: str) -> bytes:
    """Make the ICMPv6 message that says which MAC an IPv6 address is at."""
    head = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + IPv6Address(address).packed
    return head + b"\2\1" + _mac(mac)


def router_advertisement() -> bytes:
    """Make the ICMPv6 message by which somebody says that he is a router."""
    return struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)


def tagged(frame: bytes, vlan: int) -> bytes:
    """Put a frame into a VLAN."""
    return frame[:12] + struct.pack("!HH", _VLAN, vlan) + frame[12:]


def send_from(pid: int, *frames: bytes) -> None:
    """Send frames in order from the guest that a process is in."""
    subprocess.run(
        ["nsenter", f"--target={pid}", "--net", sys.executable, "-c", _SENDER],
        input="".join(f"{frame.hex()}\n" for frame in frames),
        text=True,
        check=True,
        timeout=_LIMIT_S,
    )


class Listener:
    """Catches what passes an interface of the host, in both directions."""

    def __init__(self, interface: str) -> None:
        # It hears nothing until it is bound to the interface.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((interface, _ALL_PROTOCOLS))
        self._caught: list[bytes] = []

    def close(self) -> None:
        """Catch no more."""
        self._socket.close()

    def waits_for(self, frame: bytes, *, limit_s: float = _LIMIT_S) -> bool:
        """Wait until a frame has come; tell whether it has."""
        deadline = time.monotonic() + limit_s
        while not self.has_seen(frame):
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                self._caught.append(self._socket.recv(2048))
            except TimeoutError:
                return False
        return True

    def has_seen(self, frame: bytes) -> bool:
        """Tell whether a frame has come so far."""
        self._socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._caught.append(self._socket.recv(2048))
        return any(_mark_of(frame) in caught for caught in self._caught)


@contextlib.contextmanager
def listening(*interfaces: str) -> Iterator[list[Listener]]:
    """Catch what passes interfaces of the host."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Listener(name))) for name in interfaces]


def mac_of(interface: str) -> str:
    """Return the MAC of an interface of the host."""
    return Path(f"/sys/class/net/{interface}/address").read_text(encoding="ascii").strip()


def _ethernet(source: str, destination: str, kind: int, payload: bytes) -> bytes:
    return _mac(destination) + _mac(source) + struct.pack("!H", kind) + payload


def _mark() -> bytes:
    return secrets.token_bytes(_MARK_BYTES)


def _mark_of(frame: bytes) -> bytes:
    """Return what a frame is known again by."""
    return frame[-_MARK_BYTES:]


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _checksum(head: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(head) // 2}H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
