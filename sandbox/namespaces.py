"""Networks of their own for tests and benchmarks: a host with a bridge, guests, and all the rest.

Nothing leads out of them: packets to any address end in the namespace that stands for the world.
They have no names, so the kernel removes them even if this process is killed. Takes root, iproute2
and util-linux.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_LIBC = ctypes.CDLL(None, use_errno=True)

BRIDGE = "br0"
SUBNETS = ("10.77.0.0/24", "fd77::/64")
GATEWAYS = ("10.77.0.1", "fd77::1")
GUEST = ("10.77.0.2", "fd77::2")
OTHER_GUEST = ("10.77.0.3", "fd77::3")
UPLINK = ("198.18.0.1", "2001:db8:ffff::1")
"""The host's addresses towards the world."""
ELSEWHERE = ("172.30.5.1", "fd99::5:1")
"""The host's addresses at an interface that has nothing to do with guests."""
FORGED = ("192.0.2.0/24", "2001:db8:bad::/48")
"""Addresses that no guest has, to which the world would answer by the host."""
_WORLD = ("198.18.0.2", "2001:db8:ffff::2")
_MACS = {
    "bridge": "02:00:00:00:00:01",
    "host": "02:00:00:00:ff:01",
    "world": "02:00:00:00:ff:02",
}
_QUIET = (
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
    "net.ipv4.conf.all.send_redirects=0",
    "net.ipv4.conf.default.send_redirects=0",
    "net.ipv6.conf.all.disable_ipv6=0",
    "net.ipv6.conf.default.disable_ipv6=0",
    "net.ipv6.conf.default.accept_dad=0",
    "net.ipv6.conf.default.accept_ra=0",
    "net.ipv6.conf.default.router_solicitations=0",
    # The host would tell guests, from time to time, to reach their neighbours without it.
    "net.ipv6.conf.all.accept_redirects=0",
    "net.ipv6.conf.default.accept_redirects=0",
    # Errors are what shows that a packet was refused: none may be held back.
    "net.ipv4.icmp_ratelimit=0",
    "net.ipv6.icmp.ratelimit=0",
)


@dataclass(frozen=True)
class Namespace:
    """A network namespace, which lives as long as this process holds its file open."""

    file: int

    @property
    def path(self) -> str:
        """Where any process finds it."""
        return f"/proc/{os.getpid()}/fd/{self.file}"

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command must be preceded by to run there."""
        return ("nsenter", f"--net={self.path}")

    def run(self, *command: str, script: str = "") -> str:
        """Run a command there, and return what it prints.

        Raises:
            RuntimeError: It failed.
        """
        return _run(*self.prefix, *command, script=script)

    def ip(self, script: str, *options: str) -> None:
        """Carry out commands of `ip`, one a line."""
        self.run("ip", *options, "-batch", "-", script=script)

    def set(self, *settings: str) -> None:
        """Set kernel parameters, as `sysctl` takes them."""
        self.run("sysctl", "--quiet", "--write", *settings)

    def bridge_netfilter(self, *, on: bool) -> bool:
        """Say whether what a bridge hands from port to port is shown to the filters of IP.

        Returns:
            Whether the kernel can do so at all: it can't without the module br_netfilter.
        """
        families = ("iptables", "ip6tables")
        try:
            self.set(*(f"net.bridge.bridge-nf-call-{family}={int(on)}" for family in families))
        except RuntimeError:
            return False
        return True

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have this thread be there: sockets that it makes stay there."""
        here = _current()
        try:
            _call(_LIBC.setns(self.file, _NEW_NETWORK))
            try:
                yield
            finally:
                _call(_LIBC.setns(here, _NEW_NETWORK))
        finally:
            os.close(here)


@dataclass(frozen=True)
class Neighbourhood:
    """A host with a bridge, two guests behind it, and a world that answers for every address."""

    host: Namespace
    guest: Namespace
    other: Namespace
    world: Namespace


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make an empty network namespace."""
    here = _current()
    try:
        _call(_LIBC.unshare(_NEW_NETWORK))
        try:
            made = Namespace(_current())
        finally:
            _call(_LIBC.setns(here, _NEW_NETWORK))
    finally:
        os.close(here)
    try:
        made.set(*_QUIET)
        made.ip("link set lo up")
        yield made
    finally:
        os.close(made.file)


@contextmanager
def neighbourhood() -> Iterator[Neighbourhood]:
    """Make a host, its guests and the world around it.

    Neighbours know each other from the beginning: to look for each other takes them time.
    """
    with ExitStack() as stack:
        host, guest, other, world = (stack.enter_context(namespace()) for _ in range(4))
        host.ip(
            f"""link add {BRIDGE} address {_MACS["bridge"]} type bridge mcast_snooping 0
            addr add {GATEWAYS[0]}/24 broadcast + dev {BRIDGE}
            addr add {GATEWAYS[1]}/64 dev {BRIDGE}
            link set {BRIDGE} up
            link add uplink address {_MACS["host"]} type veth peer name uplink netns {world.path} \
                address {_MACS["world"]}
            link add elsewhere type bridge
            link set elsewhere up
            link set uplink up
            addr add {ELSEWHERE[0]}/32 dev elsewhere
            addr add {ELSEWHERE[1]}/128 dev elsewhere
            addr add {UPLINK[0]}/32 dev uplink
            addr add {UPLINK[1]}/128 dev uplink
            route add {FORGED[0]} dev elsewhere
            route add {FORGED[1]} dev elsewhere
            neigh replace {_WORLD[0]} lladdr {_MACS["world"]} dev uplink
            neigh replace {_WORLD[1]} lladdr {_MACS["world"]} dev uplink
            route add default via {_WORLD[0]} dev uplink onlink
            route add default via {_WORLD[1]} dev uplink onlink"""
        )
        host.set("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        _make_world(world)
        for number, (there, addresses) in enumerate(
            [(guest, GUEST), (other, OTHER_GUEST)], start=2
        ):
            port = f"guest{number}"
            mac = f"02:00:00:00:00:{number:02}"
            host.ip(
                f"""link add {port} type veth peer name eth0 netns {there.path} address {mac}
                link set {port} master {BRIDGE}
                link set {port} up
                neigh replace {addresses[0]} lladdr {mac} dev {BRIDGE}
                neigh replace {addresses[1]} lladdr {mac} dev {BRIDGE}"""
            )
            # A guest sends to its neighbours by its gateway too: what the bridge itself hands from
            # one port to another is not IP's business, unless br_netfilter is there.
            there.ip(
                f"""link set eth0 up
                addr add {addresses[0]}/32 dev eth0
                addr add {addresses[1]}/128 dev eth0
                neigh replace {GATEWAYS[0]} lladdr {_MACS["bridge"]} dev eth0
                neigh replace {GATEWAYS[1]} lladdr {_MACS["bridge"]} dev eth0
                route add default via {GATEWAYS[0]} dev eth0 onlink
                route add default via {GATEWAYS[1]} dev eth0 onlink"""
            )
        yield Neighbourhood(host, guest, other, world)


def _make_world(world: Namespace) -> None:
    """Have every address be local there, but those of the host and its guests."""
    world.ip("link set uplink up")
    versions = ((0, "-4", "0.0.0.0/0", 32), (1, "-6", "::/0", 128))
    for number, version, everything, whole in versions:
        own, host, subnet, forged, elsewhere = (
            pair[number] for pair in (_WORLD, UPLINK, SUBNETS, FORGED, ELSEWHERE)
        )
        behind_host = (subnet, forged, f"{elsewhere}/{whole}", f"{host}/{whole}")
        there = "\n".join(f"rule add pref 5 to {network} lookup 100" for network in behind_host)
        world.ip(
            f"""addr add {own}/{whole} dev uplink
            neigh replace {host} lladdr {_MACS["host"]} dev uplink
            route add default via {host} dev uplink onlink table 100
            {there}
            rule add pref 10 lookup local
            rule delete pref 0
            route add local {everything} dev lo table local""",
            version,
        )


def _run(*command: str, script: str = "") -> str:
    done = subprocess.run(
        command, input=script, capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _current() -> int:
    """Open the file of the network namespace that this thread is in."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def _call(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"could not enter a network namespace: {os.strerror(number)}")
