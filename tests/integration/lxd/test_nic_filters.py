"""What a guest can send from its port of the bridge: real frames, of real guests, on the real LXD.

A frame is sent from within the guest's network, where its root could send it too, and looked for at
the bridge, as the host takes it in, or at the port of another guest. That it is not seen proves
something because another comes right after it and is seen, and because the same frame is seen from
a guest whose port has no filters.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from waiting import eventually

from sandbox.lxd_daemon import free_subnet
from supervisor.gateways.lxd import Lxd
from supervisor.runners.instances import instance_request
from tests.integration.lxd import frames
from tests.integration.lxd.conftest import IDLE
from tests.integration.lxd.frames import BROADCAST, listening, mac_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.private_lxd import PrivateLxd

ALL_NODES = ("33:33:00:00:00:01", "ff02::1")
_LIMIT_S = 15


@dataclass(frozen=True)
class Guest:
    """A running guest.

    Attributes:
        name: of its instance.
        bridge: that its port is on.
        port: the host's end of its interface.
        mac: its own.
        address: that it got by DHCP.
        address6: that it made itself of what the bridge announces; empty where there is none.
        pid: its init.
    """

    name: str
    bridge: str
    port: str
    mac: str
    address: str
    address6: str
    pid: int

    @property
    def gateway(self) -> str:
        """The bridge's own address."""
        return f"{self.address.rpartition('.')[0]}.1"

    @property
    def neighbour(self) -> str:
        """An address of its network that nobody has."""
        return f"{self.address.rpartition('.')[0]}.252"

    @property
    def link_local(self) -> str:
        """The IPv6 address that it has on its link."""
        return f"fe80::{self.address6.split(':', 4)[4]}" if self.address6 else "fe80::1:2:3:4"

    @property
    def prefix6(self) -> str:
        """The bridge's IPv6 network, as far as it is given."""
        return ":".join(self.address6.split(":")[:4])

    @property
    def gateway6(self) -> str:
        """The bridge's own IPv6 address."""
        return f"{self.prefix6}::1"

    @property
    def honest(self) -> bytes:
        """A frame that it may send."""
        return to_host(self, self.mac, self.address)


class Guests:
    """Makes guests, and asks LXD about them."""

    def __init__(self, lxd: Lxd, build: Callable[[str], dict[str, Any]]) -> None:
        self.lxd = lxd
        self._build = build

    def start(
        self, *, filtered: bool = True, network: str = "", ipv6: bool = False, without: str = "-"
    ) -> Guest:
        """Make a guest with the filters of a runner, or without, and wait for its addresses."""
        name = f"nic-{secrets.token_hex(4)}"  # LXD's chains are named after it, machine-wide
        request = self._build(name)
        card = request["devices"]["eth0"]
        card["network"] = network or card["network"]
        dropped = without if filtered else "security."
        kept = {key: value for key, value in card.items() if not key.startswith(dropped)}
        request["devices"]["eth0"] = kept
        self.lxd.create(request, limit_s=30)
        self.lxd.start(name, limit_s=30)
        look = partial(self.look, name, card["network"])

        def addressed() -> Guest | None:
            guest = look()
            return guest if guest.address and (guest.address6 or not ipv6) else None

        return eventually(addressed, "it has its addresses", limit_s=_LIMIT_S, picture=look)

    def look(self, name: str, bridge: str) -> Guest:
        """Ask LXD about a guest."""
        config = self.lxd.instance(name).config
        state = self.lxd._call("look", "get", "instances", name, "state").metadata
        found = ((state["network"] or {}).get("eth0") or {}).get("addresses", [])
        by_family = {one["family"]: one["address"] for one in found if one["scope"] == "global"}
        return Guest(
            name=name,
            bridge=bridge,
            port=config["volatile.eth0.host_name"],
            mac=config["volatile.eth0.hwaddr"],
            address=by_family.get("inet", ""),
            address6=by_family.get("inet6", ""),
            pid=state["pid"],
        )

    def run(self, guest: Guest, script: str) -> str:
        """Run a script in a guest, which must not matter if it runs again."""
        command = ("/bin/sh", "-c", script)
        for _ in range(3):  # a busy LXD may close the connection before the output is through
            output = self.lxd.output_of(guest.name, command, most_bytes=10_000, limit_s=_LIMIT_S)
            if not output.cut:
                break
        assert not output.cut, f"{script}: {output}"
        return output.data.decode()


@dataclass(frozen=True)
class Scene:
    """Guests on one bridge: two as runners are, and one whose port has no filters."""

    guest: Guest
    other: Guest
    unfiltered: Guest


@pytest.fixture(scope="module")
def guests(real_lxd: PrivateLxd) -> Iterator[Guests]:
    lxd = Lxd(real_lxd.endpoint)

    def build(name: str) -> dict[str, Any]:
        return instance_request(real_lxd.template(), name=name, user_data=IDLE, metadata={})

    yield Guests(lxd, build)
    for instance in lxd.instances():
        lxd.delete(instance.name, limit_s=30)


@pytest.fixture(scope="module")
def ipv4_only(guests: Guests) -> Scene:
    """A bridge without IPv6, as the fixture makes it."""
    return Scene(guests.start(), guests.start(), guests.start(filtered=False))


@pytest.fixture(scope="module")
def dual(guests: Guests) -> Iterator[Scene]:
    """A bridge with both families, on which guests make their IPv6 addresses themselves."""
    network = f"nic{secrets.token_hex(4)}"
    prefix = f"fd42:a{secrets.token_hex(1)}:b{secrets.token_hex(1)}:1"
    with free_subnet() as subnet:
        addresses = {"ipv4.address": subnet, "ipv6.address": f"{prefix}::1/64"}
        guests.lxd.ensure_network(network, addresses)
    one, two, three = (
        guests.start(network=network, ipv6=True, filtered=filtered)
        for filtered in (True, True, False)
    )
    yield Scene(one, two, three)
    for guest in (one, two, three):
        guests.lxd.delete(guest.name, limit_s=30)
    guests.lxd.delete_network(network)


def to_host(guest: Guest, mac: str, address: str) -> bytes:
    return frames.udp4(mac, address, mac_of(guest.bridge), guest.gateway)


Forgery = Callable[[Guest, Guest], bytes]
FORGERIES: dict[str, Forgery] = {
    "another MAC": lambda me, _: to_host(me, "00:16:3e:00:00:01", me.address),
    "another guest's MAC": lambda me, other: to_host(me, other.mac, me.address),
    "an address of its network that nobody has": lambda me, _: to_host(me, me.mac, me.neighbour),
    "another guest's address": lambda me, other: to_host(me, me.mac, other.address),
    "another guest's MAC and address": lambda me, other: to_host(me, other.mac, other.address),
    "the gateway's address": lambda me, _: to_host(me, me.mac, me.gateway),
    "a foreign address": lambda me, _: to_host(me, me.mac, "198.51.100.7"),
    "no address, and no question for one": lambda me, _: to_host(me, me.mac, "0.0.0.0"),
    "the gateway's address by ARP": lambda me, _: frames.arp(
        me.mac, me.mac, me.gateway, me.gateway, reply=True
    ),
    "another guest's address by ARP": lambda me, other: frames.arp(
        me.mac, me.mac, other.address, me.gateway, reply=False
    ),
    "another guest's MAC by ARP": lambda me, other: frames.arp(
        me.mac, other.mac, me.address, me.gateway, reply=True
    ),
    "another protocol": lambda me, _: frames.unknown(me.mac, BROADCAST),
    "a VLAN": lambda me, _: frames.tagged(to_host(me, me.mac, me.address), 7),
}
IPV6: dict[str, Forgery] = {
    "its link's address": lambda me, _: frames.ip6(me.mac, me.link_local, *ALL_NODES),
    "a router's advertisement": lambda me, _: frames.ip6(
        me.mac, me.link_local, *ALL_NODES, frames.router_advertisement()
    ),
    "a foreign IPv6 address": lambda me, _: frames.ip6(me.mac, "2001:db8::7", *ALL_NODES),
}
DUAL: dict[str, Forgery] = {
    **FORGERIES,
    **IPV6,
    "another IPv6 address of its network": lambda me, _: frames.ip6(
        me.mac, f"{me.prefix6}::77", *ALL_NODES
    ),
    "another guest's IPv6 address": lambda me, other: frames.ip6(
        me.mac, other.address6, *ALL_NODES
    ),
    "the gateway's IPv6 address": lambda me, _: frames.ip6(me.mac, me.gateway6, *ALL_NODES),
    "to be the gateway, of a neighbour": lambda me, _: frames.ip6(
        me.mac,
        me.gateway6,
        *ALL_NODES,
        frames.neighbour_advertisement(me.gateway6, me.mac),
    ),
    "another MAC of a neighbour": lambda me, other: frames.ip6(
        me.mac, me.address6, *ALL_NODES, frames.neighbour_advertisement(me.address6, other.mac)
    ),
}


def assert_only_without_filters(scene: Scene, forgery: Forgery) -> None:
    for guest in (scene.guest, scene.unfiltered):
        forged, honest = forgery(guest, scene.other), guest.honest
        with listening(guest.port, guest.bridge) as (port, bridge):
            frames.send_from(guest.pid, forged, honest)

            assert port.waits_for(forged), "it left the guest"
            assert bridge.waits_for(honest), "what is honest arrives"
            assert bridge.has_seen(forged) is (guest is scene.unfiltered)


@pytest.mark.parametrize("forgery", [*FORGERIES, *IPV6])
def test_a_guest_of_a_bridge_without_ipv6_cannot_send_as(forgery: str, ipv4_only: Scene) -> None:
    assert_only_without_filters(ipv4_only, {**FORGERIES, **IPV6}[forgery])


@pytest.mark.parametrize("forgery", DUAL)
def test_a_guest_of_a_bridge_with_ipv6_cannot_send_as(forgery: str, dual: Scene) -> None:
    assert_only_without_filters(dual, DUAL[forgery])


BETWEEN: dict[str, Forgery] = {
    "a packet to the other": lambda me, other: frames.udp4(
        me.mac, me.address, other.mac, other.address
    ),
    "a question by ARP": lambda me, other: frames.arp(
        me.mac, me.mac, me.address, other.address, reply=False
    ),
    "a broadcast": lambda me, _: frames.udp4(me.mac, me.address, BROADCAST, "255.255.255.255"),
    "an offer of DHCP": lambda me, _: frames.udp4(
        me.mac, me.address, BROADCAST, "255.255.255.255", (67, 68)
    ),
    "IPv6 to the other": lambda me, other: frames.ip6(
        me.mac, me.address6, other.mac, other.address6
    ),
    "a multicast of IPv6": lambda me, _: frames.ip6(me.mac, me.address6, *ALL_NODES),
}


@pytest.mark.parametrize("message", BETWEEN)
def test_nothing_gets_from_guest_to_guest_on_the_bridge(message: str, dual: Scene) -> None:
    for guest in (dual.guest, dual.unfiltered):
        sent, honest = BETWEEN[message](guest, dual.other), guest.honest
        with listening(guest.port, guest.bridge, dual.other.port) as (port, bridge, others):
            frames.send_from(guest.pid, sent, honest)

            assert port.waits_for(sent), "it left the guest"
            if guest is dual.unfiltered and not others.waits_for(sent, limit_s=2):
                frames.send_from(guest.pid, sent)  # a frame may be lost on a busy machine
                assert others.waits_for(sent)
            assert bridge.waits_for(honest), "what is honest arrives"
            assert others.has_seen(sent) is (guest is dual.unfiltered)


def test_an_honest_guest_reaches_the_host_by_both_families(guests: Guests, dual: Scene) -> None:
    me = dual.guest
    assert answer_to(guests, me, me.gateway) == "hello"
    assert answer_to(guests, me, me.gateway6) == "hello"
    assert "1 packets received" in guests.run(me, f"busybox ping -c 1 -W 5 {me.gateway}")


@pytest.mark.parametrize("filtered", [True, False])
def test_a_guest_that_changes_its_mac_or_address_is_cut_off(
    filtered: bool,
    guests: Guests,
) -> None:
    me = guests.start(filtered=filtered)
    answer, within_s = ("", 2) if filtered else ("hello", 10)
    mine, another = f"{me.address}/24 dev eth0", f"{me.neighbour}/24 dev eth0"
    assert answer_to(guests, me, me.gateway) == "hello"

    guests.run(me, f"ip address del {mine}; ip address add {another}")
    assert answer_to(guests, me, me.gateway, within_s=within_s) == answer
    guests.run(me, f"ip address del {another}; ip address add {mine}")
    assert answer_to(guests, me, me.gateway) == "hello"
    guests.run(me, "ip link set eth0 down address 00:16:3e:00:00:01; ip link set eth0 up")
    assert answer_to(guests, me, me.gateway, within_s=within_s) == answer


@pytest.mark.parametrize("forgery", ["another guest's MAC", "the gateway's address"])
def test_where_lxd_cannot_filter_ipv6_it_filters_the_rest(
    forgery: str, guests: Guests, ipv4_only: Scene
) -> None:
    me = guests.start(without="security.ipv6_filtering")
    assert answer_to(guests, me, me.gateway) == "hello"
    assert_only_without_filters(replace(ipv4_only, guest=me), FORGERIES[forgery])


def test_each_filtered_guest_has_an_address_of_its_own_at_once(guests: Guests) -> None:
    """LXD picks the address, gives it again as soon as it is free, and DHCP hands it out."""
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: guests.start(), range(4)))
    assert len({guest.address for guest in made}) == 4
    for guest in made[:2]:
        guests.lxd.delete(guest.name, limit_s=30)

    again = guests.start()

    assert again.address in {guest.address for guest in made[:2]}
    assert answer_to(guests, again, again.gateway) == "hello"


@pytest.mark.parametrize("ending", ["the host stops it", "it dies"])
def test_filters_go_with_their_instance(ending: str, guests: Guests) -> None:
    guest = guests.start()
    assert guest.port in rules()

    if ending == "it dies":
        os.kill(guest.pid, signal.SIGKILL)
        eventually(lambda: guest.name not in {one.name for one in guests.lxd.instances()})
    else:
        guests.lxd.delete(guest.name, limit_s=30)

    assert guest.port not in rules()


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_filters_hold_while_lxd_is_down_and_after(
    how: str, fragile: PrivateLxd, fragile_lxd: Lxd
) -> None:
    def build(name: str) -> dict[str, Any]:
        return instance_request(fragile.template(), name=name, user_data=IDLE, metadata={})

    guests = Guests(fragile_lxd, build)
    scene = Scene(guests.start(), guests.start(), guests.start(filtered=False))

    getattr(fragile.daemon, how)()

    assert_only_without_filters(scene, FORGERIES["the gateway's address"])
    fragile.daemon.start()
    assert_only_without_filters(scene, FORGERIES["the gateway's address"])
    fresh = Scene(guests.start(), scene.other, scene.unfiltered)
    assert_only_without_filters(fresh, FORGERIES["the gateway's address"])


def answer_to(guests: Guests, guest: Guest, address: str, *, within_s: int = 10) -> str:
    """Connect from within a guest to a server of the host; return what it says there, in time."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        closing(socket.create_server((address, 0), family=family)) as server,
        ThreadPoolExecutor(1) as threads,
    ):
        server.settimeout(_LIMIT_S)

        def greet() -> None:
            with contextlib.suppress(TimeoutError, OSError):
                while True:  # `run` may connect more than once
                    connection, _ = server.accept()
                    with closing(connection):
                        connection.sendall(b"hello")

        greeting = threads.submit(greet)
        command = f"timeout {within_s} nc {address} {server.getsockname()[1]} </dev/null"
        said = guests.run(guest, command)
        server.shutdown(socket.SHUT_RDWR)
        greeting.result(_LIMIT_S)
    return said


def rules() -> str:
    listing = ["nft", "list", "table", "bridge", "lxd"]
    return subprocess.run(listing, capture_output=True, text=True, check=True).stdout
