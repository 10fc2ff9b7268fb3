"""The worker process: gunicorn's threads, with limits to what one guest may take of them."""

import ctypes
import errno
import os
import struct
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from signal import SIGKILL
from socket import SHUT_RDWR, SO_LINGER, SOL_SOCKET, socket
from time import monotonic
from typing import Any

from gunicorn.util import close_graceful
from gunicorn.workers.gthread import TConn, ThreadWorker

from supervisor.policy.limits import HOST_THREADS
from supervisor.policy_service.guests import Guests

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_ACCEPTED_AT_ONCE = 64
_NOBODY_WAITS = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED)
_RESET = struct.pack("ii", 1, 0)
_LINGER_S = 0.5
"""How long the client may take to have read the answer."""
_LIFETIME_S = 30.0
"""Longer than a check takes. Whoever sends or reads too slowly is cut off then."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """Takes one request of a connection, and closes it.

    Who may stay is decided where connections are accepted, in the main thread, which waits for
    nobody: who may not costs no thread. Those from the very address that is listened at are this
    host's own, as the kernel drops what comes from outside with an address of its own. Some
    threads are for them alone, so that the daemon learns that the service is well whatever guests
    do.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guests: Guests[TConn] = Guests(self.cfg.threads)
        self._hosts: dict[TConn, float] = {}

    def init_process(self) -> None:
        """Serve, as long as there is the master."""
        _die_with_the_master()
        self._for_host = ThreadPoolExecutor(HOST_THREADS)  # its threads are no fork's
        super().init_process()

    def accept(self, listener: socket) -> None:
        """Take in who waits: those who may not stay are gone at once."""
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                client, address = listener.accept()
            except OSError as error:
                if error.errno not in _NOBODY_WAITS:
                    raise
                return
            self._take_in(TConn(self.cfg, client, address, listener.getsockname()))

    def _take_in(self, conn: TConn) -> None:
        if _is_hosts(conn):
            self._hosts[conn] = monotonic()
        else:
            admission = self._guests.admit(conn.client[0], conn, monotonic())
            if not admission.stays:
                # Without a farewell, which would cost the kernel a minute's memory of it.
                conn.sock.setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
                conn.sock.close()
                return
            if admission.instead_of is not None:
                _shut(admission.instead_of)  # its thread notices, and takes the next
        self.nr_conns += 1
        self.enqueue_req(conn)

    def enqueue_req(self, conn: TConn) -> None:
        """Have a connection's request answered, in a thread."""
        is_first = conn in self._hosts and len(self._hosts) <= HOST_THREADS
        pool = self._for_host if is_first else self.tpool
        answering = pool.submit(self.handle, conn)
        answering.add_done_callback(partial(self._answered, conn))

    def _answered(self, conn: TConn, done: Future[object]) -> None:
        self.method_queue.defer(self.finish_request, conn, done)

    def handle(self, conn: TConn) -> bool:
        """Answer a connection's request, in a thread. Nothing that comes after it is read."""
        super().handle(conn)
        close_graceful(conn.sock, _LINGER_S)
        return False

    def finish_request(self, conn: TConn, _done: Future[object]) -> None:
        """Let go of a connection, in the main thread, which waits for nobody.

        gunicorn would wait two seconds here for each client that does not close its end, and accept
        nobody meanwhile.
        """
        self.nr_conns -= 1
        self._hosts.pop(conn, None)
        self._guests.leave(conn.client[0], conn)
        conn.sock.close()

    def murder_pending(self) -> None:
        """Cut off who takes too long; the main thread comes here each second."""
        super().murder_pending()
        too_old = monotonic() - _LIFETIME_S
        hosts = (conn for conn, came in self._hosts.items() if came < too_old)
        for conn in (*self._guests.older_than(too_old), *hosts):
            _shut(conn)


def _is_hosts(conn: TConn) -> bool:
    return bool(conn.client[0] == conn.server[0])


def _die_with_the_master() -> None:
    """Have the kernel kill this process when the master dies: nothing is answered after that.

    gunicorn's workers look for it once a second, and then end what they have begun.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _shut(conn: TConn) -> None:
    with suppress(OSError):  # it is closed
        conn.sock.shutdown(SHUT_RDWR)
