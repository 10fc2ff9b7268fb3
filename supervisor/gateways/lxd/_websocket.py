"""A websocket to LXD that keeps what arrives, and an error instead of logging it."""

from __future__ import annotations

from collections import deque
from typing import Any

from ws4py.client import WebSocketBaseClient
from ws4py.exc import WebSocketException


class Websocket(WebSocketBaseClient):
    """One connection; a single thread reads from it.

    Attributes:
        arrived: the messages that came and were not taken yet.
        failure: what has ended the connection, if not LXD by its own will.
    """

    def __init__(self, url: str, ssl_options: Any = None) -> None:
        # LXD refuses an origin that differs from the host's name, which a unix socket has not.
        super().__init__(  # type: ignore[no-untyped-call]
            url, ssl_options=ssl_options, exclude_headers=["Origin"]
        )
        self.arrived: deque[bytes] = deque()
        self.failure: Exception | None = None
        self._first = True
        self._is_open = False

    def receive(self) -> bool:
        """Wait for more, as long as the socket's own limit allows; False at the end."""
        try:
            return bool(self.once())  # type: ignore[no-untyped-call]
        except (WebSocketException, OSError, RuntimeError, AttributeError) as error:
            self.failure = error
            return False

    def handshake_ok(self) -> None:
        """Keep nothing: messages are taken from `arrived`."""
        self._is_open = True

    def _write(self, data: bytes) -> None:
        """Write the handshake; later, answer LXD's pings, if it still wants to hear that.

        It begins with a ping, and may have written all it has to say and closed its side before
        that is answered. What has come until then is to be read all the same.
        """
        try:
            super()._write(data)  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError):
            if not self._is_open:
                raise

    def process(self, data: bytes) -> bool:
        """Take bytes that came in one piece with the handshake's answer as if they came later.

        ws4py 0.6 gives them to its parser at once, which takes no more than it asked for: the
        rest, a first ping or message, would be lost and the stream out of step.
        """
        if self._first:
            self._first = False
            if len(data) > self.reading_buffer_size:
                self.buf = data + self.buf
                return True
        return bool(super().process(data))  # type: ignore[no-untyped-call]

    def received_message(self, message: Any) -> None:
        """Keep a message until the reading thread takes it."""
        self.arrived.append(bytes(message.data))

    def unhandled_error(self, error: Exception) -> None:
        """Keep the error for whoever reads."""
        self.failure = error
