"""The tool of the chaos test that stands between the daemon and LXD."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.e2e.chaos.relay import Relay
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_S = 10.0
SHORT_S = 0.2


@pytest.fixture
def target(tmp_path: Path) -> Iterator[socket.socket]:
    """What stands for LXD: it sends back what it gets."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "target.sock"))
        server.listen()
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        yield server


def echo(server: socket.socket) -> None:
    while True:
        try:
            peer, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=echo_to, args=(peer,), daemon=True).start()


def echo_to(peer: socket.socket) -> None:
    with peer:
        try:
            while data := peer.recv(1024):
                peer.sendall(data)
        except OSError:
            return


@pytest.fixture
def relay(tmp_path: Path, target: socket.socket) -> Iterator[Relay]:
    with Relay(tmp_path / "relay.sock", tmp_path / "target.sock") as made:
        yield made


def connect(relay: Relay, first: bytes = b"GET /1.0") -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(LIMIT_S)
    client.connect(str(relay.path))
    client.sendall(first)
    assert client.recv(1024) == first
    return client


def is_cut(client: socket.socket) -> bool:
    try:
        return client.recv(1024) == b""
    except ConnectionError:
        return True


def test_it_passes_on_both_ways_and_the_end_too(relay: Relay) -> None:
    with connect(relay) as client:
        client.sendall(b"more")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1024) == b"more"
        assert client.recv(1024) == b""
    wait_until(lambda: not relay.open_ways(), "nothing is kept", limit_s=LIMIT_S)


def test_a_cut_ends_all_and_others_can_come(relay: Relay) -> None:
    with connect(relay) as client:
        relay.cut()
        assert is_cut(client)
    connect(relay).close()


def test_event_streams_can_be_cut_alone(relay: Relay) -> None:
    with connect(relay) as call, connect(relay, b"GET /1.0/events?type=lifecycle") as events:
        relay.cut(only_event_streams=True)
        assert is_cut(events)
        call.sendall(b"more")
        assert call.recv(1024) == b"more"


def test_what_is_held_comes_later(relay: Relay) -> None:
    with connect(relay) as client:
        relay.hold()
        client.settimeout(SHORT_S)
        client.sendall(b"more")
        with pytest.raises(TimeoutError):
            client.recv(1024)
        client.settimeout(LIMIT_S)
        relay.release()
        assert client.recv(1024) == b"more"


def test_without_its_target_it_ends_each_connection(relay: Relay, tmp_path: Path) -> None:
    (tmp_path / "target.sock").unlink()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LIMIT_S)
        client.connect(str(relay.path))
        assert is_cut(client)
