"""The service that guests report to on a real socket, between a fleet and two runners."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from fake_actors import Inbox
from waiting import eventually

from supervisor.actors.signals import SignalsActor
from supervisor.lifecycle import Life, Stage
from supervisor.runners.roster import Entry, digest
from supervisor.supervision import ChildSpec

if TYPE_CHECKING:
    from fake_world import World

NAME = "fleet-aaaaaaaa"
OTHER = "fleet-bbbbbbbb"
HOST = "127.0.0.1"
LIFETIME_S = 60.0
"""How long a request may take here: what a busy machine makes slow is not to be cut off."""


class Service:
    """The signals actor, what its fleet and its runners have heard, and connections to it.

    The token of NAME is "right", that of OTHER "other". A connection's `source` is the guest's
    address; without one it is the host's own.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.port = world.parts.settings.config.signals.port
        self.fleet: list[Any] = []
        self.runner: list[Any] = []
        self.other: list[Any] = []
        system = world.system
        life = Life(Stage.BOOTING, world.clock.now())
        for name, token in ((NAME, "right"), (OTHER, "other")):
            world.parts.roster.put(Entry(name, "g", life, digest(token)))
        world.run(
            ChildSpec("fleet", lambda: Inbox.start(system, self.fleet)),
            ChildSpec(NAME, lambda: Inbox.start(system, self.runner)),
            ChildSpec(OTHER, lambda: Inbox.start(system, self.other)),
            ChildSpec("signals", partial(SignalsActor.start, system, world.parts)),
        )
        eventually(lambda: world.shown("signals")[0] in {"listening", "failing"})
        world.parts.roster.is_complete = True  # the fleet has taken over all there are

    def connect(self, source: str = HOST) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=10, source_address=(source, 0))

    def raw(self, *pieces: bytes, source: str = HOST) -> bytes:
        """Send bytes and give all that comes back until the service closes."""
        with self.connect(source) as sock:
            with contextlib.suppress(OSError):  # it may have closed before all was sent
                for piece in pieces:
                    sock.sendall(piece)
                sock.shutdown(socket.SHUT_WR)
            return self.rest(sock)

    def rest(self, sock: socket.socket) -> bytes:
        """Give all that comes until the service closes."""
        answer = b""
        with contextlib.suppress(OSError):
            while piece := sock.recv(65536):
                answer += piece
        return answer

    def signal(
        self,
        body: bytes = b"signal=ready",
        token: str = "right",
        *,
        name: str = NAME,
        source: str = HOST,
    ) -> int:
        """Report as a guest does."""
        connection = http.client.HTTPConnection(
            HOST, self.port, timeout=10, source_address=(source, 0)
        )
        headers = {"Authorization": f"Bearer {token}"}
        try:
            connection.request("POST", f"/v1/runners/{name}/signals", body, headers)
            return connection.getresponse().status
        finally:
            connection.close()


def request(
    body: bytes = b"signal=ready",
    *,
    line: bytes = f"POST /v1/runners/{NAME}/signals HTTP/1.1".encode(),
    headers: Sequence[bytes] = (b"Authorization: Bearer right",),
    length: bool = True,
) -> bytes:
    """Write a request, a right one unless it is told otherwise."""
    counted = [b"Content-Length: %d" % len(body)] if length else []
    return b"\r\n".join([line, *headers, *counted, b"", body])
