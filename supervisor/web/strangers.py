"""A web server for clients that mean no good: each gets one answer, little time, a fair share.

waitress alone lets one client hold every connection for as long as it likes, a byte now and then.
Nothing here writes to the log, or the log would be the strangers' to fill.
"""

import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from supervisor.throttling.allowance import Allowances, Rate

_ACCEPTED_AT_ONCE = 64
_MAINTENANCE_S = 1
_AT_REST_S = 30
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Bounds:
    """What strangers may take.

    Attributes:
        connections: at once, of all of them.
        share: of these, at once from one address; of IPv6 from one network of 64 bits.
        rate: new connections from one address likewise.
        lifetime_s: how long a connection may take to bring its request.
        patience_s: how long while others wait for a connection.
    """

    connections: int
    share: int
    rate: Rate
    lifetime_s: float
    patience_s: float


@lru_cache(maxsize=1024)
def client_of(peer: str) -> str:
    """Say who has an address: of IPv6 its network of 64 bits, as one client has all of that."""
    if ":" not in peer:
        return peer
    return str(ip_network((peer.partition("%")[0], 64), strict=False))


class _OneRequest(HTTPRequestParser):
    """Reads the first request of a connection; what follows is not so much as looked at."""

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)  # type: ignore[no-untyped-call]
        return len(data) if self.completed and not self.empty else consumed

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)  # type: ignore[no-untyped-call]
        except ValueError as error:
            # Such as from urlsplit at http://[::1/: waitress 3.0.2 would log it as its own fault.
            raise ParsingError("Start line is invalid") from error
        self.headers["CONNECTION"] = "close"


class _Channel(HTTPChannel):
    parser_class = _OneRequest

    def __init__(self, *args: Any, **options: Any) -> None:
        self.began = time.monotonic()
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]


class StrangersServer(TcpWSGIServer):
    """waitress's server within bounds; all of it runs in the thread of the server's loop.

    Who connects from the very address that is listened at is this host itself: no guest can take
    that address, as the kernel drops what comes from outside with an address of its own. It is
    bounded by the number of all connections only.

    Args:
        bounds: what strangers may take.
        app: what answers.
        sockets: waitress's map of all that the loop looks after.
        answering: the threads in which `app` answers.
        options: where and how, in waitress's words.
    """

    channel_class = _Channel

    def __init__(
        self,
        bounds: Bounds,
        app: Flask,
        sockets: dict[int, Any],
        answering: ThreadedTaskDispatcher,
        **options: Any,
    ) -> None:
        self._bounds = bounds
        self._arrivals = Allowances(bounds.rate)
        adjustments = Adjustments(
            # The bounds are kept below: waitress's own makes it stop accepting, and log that.
            connection_limit=bounds.connections + 2 * _ACCEPTED_AT_ONCE,
            cleanup_interval=_MAINTENANCE_S,
            # A line in the log for each connection of theirs would be theirs to fill the disk with.
            log_socket_errors=False,
            **options,
        )
        super().__init__(app, sockets, dispatcher=answering, adj=adjustments)  # type: ignore[no-untyped-call]

    def run(self) -> None:
        """Look after all that is connected, until everything is closed.

        Where all connections are taken by some that dawdle, nothing else wakes this thread. Where
        there is none, nothing is to be seen to: it would wake up each second for years.
        """
        while self._map:
            pause_s = self._bounds.patience_s if self.active_channels else _AT_REST_S
            wasyncore.loop(pause_s, use_poll=True, map=self._map, count=1)

    def readable(self) -> bool:
        """Tell whether to listen for more: others wait in the kernel's queue meanwhile."""
        listens = super().readable()  # type: ignore[no-untyped-call]
        return bool(listens) and self._has_room()

    def handle_accept(self) -> None:
        """Take in who waits: those who may not stay are gone at once."""
        for _ in range(_ACCEPTED_AT_ONCE):
            # One that has gone again already is no reason to stop: an error here would end all.
            with suppress(OSError):
                found = self.accept() if self._has_room() else None  # type: ignore[no-untyped-call]
                if found is None:
                    return
                self._take_in(*found)

    def _take_in(self, connection: socket.socket, address: tuple[str, int]) -> None:
        if self._may_stay(address[0]):
            self.set_socket_options(connection)  # type: ignore[no-untyped-call]
            self.channel_class(self, connection, address, self.adj, map=self._map)
        else:
            # Without a farewell, which would cost the kernel a minute's memory of it.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            connection.close()

    def maintenance(self, _now: float) -> None:
        """Close what has not brought its request in time, however busily it drips."""
        too_old = time.monotonic() - self._bounds.lifetime_s
        for channel in self.active_channels.values():
            if not channel.requests and channel.began < too_old:
                channel.will_close = True

    def _may_stay(self, peer: str) -> bool:
        if peer == self.effective_host:
            return True
        who, there = client_of(peer), self.active_channels.values()
        theirs = sum(1 for channel in there if client_of(channel.addr[0]) == who)
        return theirs < self._bounds.share and self._arrivals.take(who, time.monotonic())

    def _has_room(self) -> bool:
        """Tell whether one more fits; the oldest that dawdles makes room soon."""
        if len(self.active_channels) < self._bounds.connections:
            return True
        idle = [c for c in self.active_channels.values() if not c.requests and not c.will_close]
        oldest = min(idle, key=lambda channel: channel.began, default=None)
        if oldest is not None and oldest.began < time.monotonic() - self._bounds.patience_s:
            oldest.will_close = True
        return False
