"""The worker process: gunicorn's threads, with limits to what one guest may take of them."""

import ctypes
import os
from collections import Counter
from concurrent.futures import Future
from contextlib import suppress
from signal import SIGKILL
from socket import SHUT_RDWR
from threading import Lock, Timer
from typing import Any

from gunicorn.util import close_graceful
from gunicorn.workers.gthread import TConn, ThreadWorker

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SHARE = 8
"""Connections of one address at a time in one worker: a guest needs one."""
_LINGER_S = 0.5
"""How long the client may take to have read the answer."""
_LIFETIME_S = 30.0
"""Longer than a check takes. Whoever sends or reads too slowly is cut off then."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """Guests run other people's code, which must not keep others from being answered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open: Counter[str] = Counter()
        self._lock = Lock()

    def init_process(self) -> None:
        """Serve, as long as there is the master."""
        _die_with_the_master()
        super().init_process()

    def handle(self, conn: TConn) -> object:
        """Handle a connection, in a thread."""
        address = conn.client[0]
        with self._lock:
            if self._open[address] >= _SHARE:
                return False
            self._open[address] += 1
        end = Timer(_LIFETIME_S, _shut, (conn,))
        end.daemon = True
        try:
            end.start()
            result: object = super().handle(conn)
            if result is False:
                close_graceful(conn.sock, _LINGER_S)
        finally:
            end.cancel()
            with self._lock:
                self._open[address] -= 1
                if not self._open[address]:
                    del self._open[address]
        return result

    def finish_request(self, conn: TConn, done: Future[object]) -> None:
        """Let go of a connection, in the main thread, which waits for nobody.

        gunicorn would wait two seconds here for each client that does not close its end, and accept
        nobody meanwhile.
        """
        if done.cancelled() or done.exception() or done.result() is not False:
            super().finish_request(conn, done)
        else:
            self.nr_conns -= 1
            conn.sock.close()


def _die_with_the_master() -> None:
    """Have the kernel kill this process when the master dies: nothing is answered after that.

    gunicorn's workers look for it once a second, and then end what they have begun.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _shut(conn: TConn) -> None:
    with suppress(OSError):  # it is closed
        conn.sock.shutdown(SHUT_RDWR)
