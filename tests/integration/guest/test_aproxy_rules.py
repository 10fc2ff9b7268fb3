"""The rules that redirect to aproxy, in a kernel: a guest and a container in it, as namespaces.

Neither has a route to anywhere but the other: what is sent to the internet ends there unanswered.
"""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest

from supervisor.guest.aproxy import PORT, Aproxy
from supervisor.web.proxies import Proxy

EXCLUDED, HOST = IPv4Address("10.8.0.1"), IPv4Address("10.8.0.2")
APROXY = Aproxy(Proxy("http://10.8.0.3:3128"), (80, 443), (IPv4Network(EXCLUDED),))

# Answers with what it is called, or with where the connection was to go before it was redirected.
SERVER = """
import socket, sys, threading
def where(one):
    found = one.getsockopt(socket.SOL_IP, 80, 16)  # SO_ORIGINAL_DST
    return "%s:%d" % (socket.inet_ntoa(found[4:8]), int.from_bytes(found[2:4], "big"))
def serve(server, name):
    while True:
        one, _ = server.accept()
        one.sendall((name or where(one)).encode())
        one.close()
def echo(server, name):
    while True:
        server.sendto(name.encode(), server.recvfrom(9)[1])
for port, name in zip(sys.argv[2::2], sys.argv[3::2]):
    family = socket.AF_INET6 if name else socket.AF_INET
    server = socket.create_server(("", int(port)), family=family, dualstack_ipv6=bool(name))
    threading.Thread(target=serve, args=(server, name)).start()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind((sys.argv[1], 443))
threading.Thread(target=echo, args=(datagrams, "direct")).start()
print("listens", flush=True)
"""
CLIENT = """
import json, socket, sys
def ask(kind, host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as one:
        one.settimeout(0.5)
        try:
            one.connect((host, port))
            if kind == "udp":
                one.send(b"x")
            return one.recv(99).decode()
        except TimeoutError:
            return "silence"
        except (ConnectionRefusedError, PermissionError):  # the latter by its own rules
            return "refused"
print(json.dumps([ask(*each) for each in json.loads(sys.argv[1])]))
"""
GUEST = """
link set lo up
link set eth0 up
addr add 10.9.0.1/24 dev veth0
addr add fd09::1/64 dev veth0 nodad
addr add 2001:db8:9::1/64 dev veth0 nodad
link set veth0 up
route add 10.8.0.0/29 via 10.9.0.2
route add default dev eth0
route add ::/0 dev eth0
"""
CONTAINER = f"""
link set lo up
link set internet up
addr add 10.9.0.2/24 dev veth0
addr add {EXCLUDED}/32 dev veth0
addr add {HOST}/32 dev veth0
addr add fd09::2/64 dev veth0 nodad
addr add 2001:db8:9::2/64 dev veth0 nodad
link set veth0 up
route add default via 10.9.0.1
route add ::/0 via fd09::1
"""


class Namespace:
    """A network namespace, with a server in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        run("ip", "netns", "add", name)

    def configure(self, commands: str) -> None:
        run("ip", "-n", self.name, "-batch", "-", given=commands)

    def run(self, *command: str, given: str = "") -> str:
        return run("ip", "netns", "exec", self.name, *command, given=given)

    def serve(self, datagrams_at: IPv4Address, *ports_and_names: str) -> "subprocess.Popen[str]":
        command = ["ip", "netns", "exec", self.name, sys.executable, "-c", SERVER]
        command += [str(datagrams_at), *ports_and_names]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        assert server.stdout.readline() == "listens\n"
        return server

    def ask(self, *each: tuple[str, str, int]) -> list[str]:
        answers: list[str] = json.loads(self.run(sys.executable, "-c", CLIENT, json.dumps(each)))
        return answers

    def remove(self) -> None:
        run("ip", "netns", "delete", self.name)


def run(*command: str, given: str = "") -> str:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode:
        pytest.fail(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, Namespace]]:
    """Return the guest, which has loaded the rules, and the container."""
    mark = secrets.token_hex(3)
    made: list[Namespace] = []
    servers: list[subprocess.Popen[str]] = []
    try:
        guest = Namespace(f"guest-{mark}")
        made.append(guest)
        container = Namespace(f"container-{mark}")
        made.append(container)
        for link, peer in (("veth0", "veth0"), ("eth0", "internet")):
            run(
                *("ip", "-n", guest.name, "link", "add", link, "type", "veth"),
                *("peer", "name", peer, "netns", container.name),
            )
        guest.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        guest.configure(GUEST)
        container.configure(CONTAINER)
        rules = APROXY.ruleset([HOST])
        for _ in range(2):  # an instance may load them again
            guest.run("nft", "-f", "-", given=rules)
        servers.append(guest.serve(IPv4Address("127.0.0.1"), "80", "guest", str(PORT), ""))
        servers.append(container.serve(EXCLUDED, "80", "direct"))
        yield {"guest": guest, "container": container}
    finally:
        for server in servers:
            server.kill()
            server.wait()
        for namespace in made:
            namespace.remove()


@pytest.mark.parametrize("place", ["guest", "container"])
@pytest.mark.parametrize("port", [80, 443])
def test_what_is_sent_to_the_internet_goes_to_aproxy(
    places: dict[str, Namespace], place: str, port: int
) -> None:
    assert places[place].ask(("tcp", "203.0.113.10", port)) == [f"203.0.113.10:{port}"]


@pytest.mark.parametrize("place", ["guest", "container"])
def test_another_port_is_left_alone(places: dict[str, Namespace], place: str) -> None:
    asked = [("tcp", "203.0.113.10", 81), ("udp", "203.0.113.10", 80), ("tcp", "2001:db8::1", 81)]
    assert places[place].ask(*asked) == ["silence"] * 3


def test_excluded_networks_and_the_host_are_reached_directly(places: dict[str, Namespace]) -> None:
    asked = [("tcp", str(EXCLUDED), 80), ("tcp", str(HOST), 80), ("udp", str(EXCLUDED), 443)]
    assert places["guest"].ask(*asked) == ["direct"] * 3
    assert places["guest"].ask(("tcp", "10.8.0.4", 80)) == ["10.8.0.4:80"]


def test_what_the_guest_serves_itself_is_reached(places: dict[str, Namespace]) -> None:
    asked = [("tcp", "127.0.0.1", 80), ("tcp", "10.9.0.1", 80), ("tcp", "::1", 80)]
    assert places["guest"].ask(*asked) == ["guest"] * 3
    assert places["container"].ask(("tcp", "10.9.0.1", 80)) == ["guest"]


@pytest.mark.parametrize("place", ["guest", "container"])
def test_what_would_go_around_aproxy_is_refused_at_once(
    places: dict[str, Namespace], place: str
) -> None:
    asked = [
        ("udp", "203.0.113.10", 443),
        ("udp", "2001:db8::1", 443),
        ("tcp", "2001:db8::1", 443),
        ("tcp", "2001:db8::1", 80),
    ]
    assert places[place].ask(*asked) == ["refused"] * 4


def test_private_ipv6_is_reached_directly(places: dict[str, Namespace]) -> None:
    assert places["guest"].ask(("tcp", "fd09::2", 80)) == ["direct"]
