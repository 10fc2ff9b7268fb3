"""Who is one client of a web server for strangers."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Any

import pytest
from flask import Flask
from waitress import wasyncore
from waitress.task import ThreadedTaskDispatcher

from supervisor.throttling.allowance import Rate
from supervisor.web.strangers import Bounds, StrangersServer, client_of

SELDOM = 1 / 86400
"""So few more connections in a second that none is earned during a test."""


class Door:
    """A server's door, at which a test says who stands there."""

    patience_s = 7.0

    def __init__(self, share: int, burst: int) -> None:
        bounds = Bounds(100, share, Rate(burst=burst, per_s=SELDOM), 60.0, self.patience_s)
        self._waiting: list[tuple[socket.socket, tuple[str, int]]] = []
        self._sockets: dict[int, Any] = {}
        self._server = StrangersServer(
            bounds, Flask("test"), self._sockets, ThreadedTaskDispatcher(), host="127.0.0.1", port=0
        )
        self._server.accept = self._accept
        self._far_ends: list[socket.socket] = []

    def _accept(self) -> tuple[socket.socket, tuple[str, int]] | None:
        return self._waiting.pop(0) if self._waiting else None

    def let_in(self, *peers: str) -> list[str]:
        """Have connections come from these, one after the other, and say whose are there then."""
        for peer in peers:
            far_end, near_end = _connected()
            self._far_ends.append(far_end)
            self._waiting.append((near_end, (peer, 7)))
        self._server.handle_accept()
        return [channel.addr[0] for channel in self._server.active_channels.values()]

    def serve(self) -> None:
        self._server.run()

    def close(self) -> None:
        for far_end in self._far_ends:
            far_end.close()
        wasyncore.close_all(self._sockets)  # type: ignore[no-untyped-call]


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far_end = socket.create_connection(listening.getsockname())
        return far_end, listening.accept()[0]


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1:2:3", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_client_of_ipv6_is_all_that_has_its_network(peer: str, client: str) -> None:
    assert client_of(peer) == client


@pytest.mark.parametrize(("share", "burst"), [(2, 100), (100, 2)])
def test_all_addresses_of_one_network_have_one_share_and_one_rate(share: int, burst: int) -> None:
    mine = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::ffff:0:0:4"]
    others = ["2001:db8:0:1::1", "10.0.0.1", "10.0.0.2"]
    with closing(Door(share, burst)) as door:
        assert door.let_in(*mine) == mine[:2]
        assert door.let_in(*others) == [*mine[:2], *others]


def test_only_where_somebody_is_connected_it_wakes_up_to_see_who_dawdles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses_s: list[float] = []

    def loop(pause_s: float, **_: Any) -> None:
        pauses_s.append(pause_s)
        if len(pauses_s) == 1:
            door.let_in("192.0.2.1")
        else:
            door.close()

    with closing(Door(share=1, burst=1)) as door:
        monkeypatch.setattr(wasyncore, "loop", loop)
        door.serve()
    assert pauses_s == [30, Door.patience_s]
