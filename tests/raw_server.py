"""A server on loopback that says to each request exactly the bytes that a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Say = Callable[["Asked"], None]
_LIMIT_S = 10


class Asked:
    """One request, and the connection that it came on."""

    def __init__(self, connection: socket.socket, done: threading.Event) -> None:
        self._connection = connection
        self._done = done
        text = b""
        while b"\r\n\r\n" not in text and (piece := connection.recv(4096)):
            text += piece
        lines = text.decode().split("\r\n")
        self.path = lines[0].split()[1] if lines[0] else ""
        pairs = (line.split(": ", 1) for line in lines[1:] if ": " in line)
        self.headers = {name.lower(): value for name, value in pairs}

    @property
    def start(self) -> int:
        """Where the part that is asked for begins."""
        return int(self.headers.get("range", "bytes=0-")[6:].partition("-")[0])

    def say(self, content: bytes) -> None:
        self._connection.sendall(content)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer with these headers, `_` for `-`; the length is that of the body."""
        headers.setdefault("Content_Length", str(len(body)))
        head = [f"HTTP/1.1 {status} Words", "Connection: close"]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value]
        self.say("\r\n".join([*head, "", ""]).encode() + body)

    def pause(self, limit_s: float) -> bool:
        """Wait; False when the test is over, and nobody needs to be answered any more."""
        return not self._done.wait(limit_s)


class RawServer:
    """Where it is, and what came."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[Asked] = []

    def url(self, path: str = "/runner.tar.gz", login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.port}{path}"


@contextmanager
def raw_server(say: Say) -> Iterator[RawServer]:
    """Serve, each connection in a thread of its own, until the block ends."""
    done = threading.Event()

    def lead(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(_LIMIT_S)
            asked = Asked(connection, done)
            server.asked.append(asked)
            say(asked)

    def accept() -> None:
        while not done.is_set():
            with suppress(TimeoutError):
                connection, _ = listening.accept()
                threads.append(threading.Thread(target=lead, args=(connection,), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        server = RawServer(listening.getsockname()[1])
        threads = [threading.Thread(target=accept, daemon=True)]
        threads[0].start()
        try:
            yield server
        finally:
            done.set()
            for thread in threads:
                thread.join(_LIMIT_S)
