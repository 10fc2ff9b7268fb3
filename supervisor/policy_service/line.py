"""The socket under a session's connection, which can be cut while somebody waits for it."""

import socket
from contextlib import suppress
from threading import Lock
from typing import Any

import requests
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from supervisor.web.proxies import Proxy


class Line:
    """The way to a server that a session uses now.

    A limit of time for each read does not end what comes a byte at a time: heads, the words of a
    proxy, and handshakes are read in many. To cut the line ends them all.

    Args:
        session: sends one request at a time.
        url: where to.
        proxy: what it goes through.
    """

    def __init__(self, session: requests.Session, url: str, proxy: Proxy | None) -> None:
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False
        adapter: Any = session.get_adapter(url)
        manager = adapter.proxy_manager_for(str(proxy)) if proxy else adapter.poolmanager
        manager.pool_classes_by_scheme = _pools(self)

    def begin(self) -> None:
        """Be whole for the next request."""
        with self._lock:
            self._is_cut = False

    def cut(self) -> None:
        """End whatever is being sent or received, and let go of the socket. For any thread."""
        with self._lock:
            self._is_cut = True
            self._shut()

    def lay(self, connected: socket.socket) -> None:
        """Take note of a new connection's socket, before anything is sent through it."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            # Its own handle: TLS takes the socket over, and its number is not used again meanwhile.
            self._socket = connected.dup()
            if self._is_cut:
                self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # the other end was faster
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None


def _pools(line: Line) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            line.lay(made)
            return made

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            line.lay(made)
            return made

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
