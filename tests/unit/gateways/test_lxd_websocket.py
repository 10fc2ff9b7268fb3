"""A websocket to LXD reads all that LXD has written, however soon LXD closes its side."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
from pathlib import Path

import pytest
from waiting import LIMIT_S

from supervisor.gateways.lxd._websocket import Websocket

PING, MESSAGE, LAST = b"\x89\x09keepalive", b"\x82\x06hello\n", b"\x81\x00"
_PROTOCOLS = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def serve(listening: socket.socket, frames: bytes) -> None:
    """Be LXD at a command that has ended already: say everything, and close."""
    peer, _ = listening.accept()
    with peer:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += peer.recv(1024)
        key = re.findall(rb"(?i)sec-websocket-key: (\S+)", request)[0]
        accepted = base64.b64encode(hashlib.sha1(key + _PROTOCOLS).digest())  # noqa: S324 - the protocol's
        peer.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n%b" % (accepted, frames)
        )


@pytest.mark.parametrize(
    "frames",
    [PING + MESSAGE + LAST, MESSAGE + PING + LAST, PING * 2 + MESSAGE + LAST, MESSAGE + LAST],
)
def test_what_came_before_the_end_is_read_though_a_ping_can_not_be_answered_any_more(
    tmp_path: Path, frames: bytes
) -> None:
    path = tmp_path / "unix.socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        serving = threading.Thread(target=serve, args=(listening, frames))
        serving.start()
        websocket = Websocket(f"ws+unix://{path}")
        websocket.sock.settimeout(LIMIT_S)
        websocket.connect()  # type: ignore[no-untyped-call]
        serving.join(LIMIT_S)
        while websocket.receive():
            pass
        websocket.sock.close()
    assert list(websocket.arrived) == [b"hello\n", b""]
