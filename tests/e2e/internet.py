"""What guests reach beyond the host: a network namespace that the host routes to."""

from __future__ import annotations

import secrets
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 7000
_SERVER = f"""
import socketserver

class Greet(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"hello\\n")
        while self.request.recv(4096):
            pass

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

Server(("", {PORT}), Greet).serve_forever()
"""


@dataclass(frozen=True)
class Internet:
    """Two hosts that greet who connects to `PORT`, in networks of their own.

    Attributes:
        one: the address of the first.
        other: that of the second.
        near: an address of this host on the way there.
    """

    one: str
    other: str
    near: str

    def network(self, address: str) -> str:
        """Give the network of a host."""
        return f"{address.rpartition('.')[0]}.0/24"


@contextmanager
def internet() -> Iterator[Internet]:
    """Make it; whatever happens, it is gone afterwards. Its networks are for such tests only."""
    number = _free_number()
    namespace, link = f"inet-{secrets.token_hex(4)}", f"in{secrets.token_hex(4)}"
    made = Internet(f"198.18.{number}.10", f"198.19.{number}.10", f"198.19.{number}.1")
    with ExitStack() as undo:
        _ip("netns", "add", namespace)
        undo.callback(_ip, "netns", "delete", namespace)  # the link and the routes go with it
        inside = ("-netns", namespace)
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("address", "add", f"{made.near}/24", "dev", link)
        _ip("link", "set", link, "up")
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "address", "add", f"{made.other}/24", "dev", "eth0")
        _ip(*inside, "address", "add", f"{made.one}/32", "dev", "lo")
        _ip(*inside, "link", "set", "eth0", "up")
        _ip(*inside, "route", "add", "default", "via", made.near)
        _ip("route", "add", made.network(made.one), "via", made.other)
        command = ("ip", "netns", "exec", namespace, sys.executable, "-c", _SERVER)
        server = subprocess.Popen(command)
        undo.callback(server.wait, 10)
        undo.callback(server.kill)
        wait_until(lambda: _listens(namespace), "the hosts listen")
        yield made


def _free_number() -> int:
    """Pick networks that nobody on this machine has a route to."""
    taken = _ip("route", "show")
    numbers = [n for n in range(1, 255) if f"198.19.{n}." not in taken]
    return secrets.choice(numbers)


def _listens(namespace: str) -> bool:
    listed = ("ip", "netns", "exec", namespace, "ss", "-Hltn", f"sport = :{PORT}")
    done = subprocess.run(listed, capture_output=True, text=True, check=True, timeout=10)
    return bool(done.stdout)


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout
