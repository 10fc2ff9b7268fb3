"""What the kernel itself tells of changes to its packet filter, without a program in between.

`nft monitor` ends with a signal at some tables of others (seen with 1.0.6, when a table with a
`ct timeout` object goes), and it takes a moment until it hears.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from threading import Event, Thread

from loguru import logger

from supervisor.observation.speaker import for_speaker
from supervisor.throttling.waits import doubled

Listen = Callable[[], socket.socket]
"""Opens a socket on which the kernel tells of changes; raises OSError if it can't."""

_NETLINK_NETFILTER = 12
_GROUP_NFTABLES = 1 << 6  # NFNLGRP_NFTABLES is the seventh
# The kernel gathers notices up to 8 KiB.
_MOST_BYTES = 1 << 16
# A long list comes as hundreds of notices: after the first one, they are told together.
_GATHER_S = 0.1
_AGAIN_S = 1.0
_MOST_AGAIN_S = 5.0
_END_LIMIT_S = 5.0


def listen() -> socket.socket:
    """Listen in this thread's network namespace; what changes from now on is told.

    Raises:
        OSError: it can't be, such as for want of CAP_NET_ADMIN.
    """
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    try:
        opened.bind((0, _GROUP_NFTABLES))
    except BaseException:
        opened.close()
        raise
    return opened


class Monitor:
    """Watches a table in a thread of its own, until it is closed.

    It hears from the moment it is made. Where it can't listen, or no more, it says so in the log,
    tries again ever more seldom, and has the table looked at each time, every few seconds.

    Args:
        listen: opens the socket.
        changed: called after each change of the table, and when one may have been missed.
        about: the table's name.
    """

    def __init__(self, listen: Listen, changed: Callable[[], object], about: str) -> None:
        self._listen = listen
        self._changed = changed
        # In every notice of a table, its rules and its elements; strings end with a zero.
        self._about = about.encode() + b"\0"
        self._closed = Event()
        self._awake, self._waker = socket.socketpair()
        self._failures = 0
        self._thread = Thread(
            target=for_speaker(self._watch),
            args=(self._open(),),
            name="nftables-notices",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """End it; nothing is called any more after this has returned."""
        self._closed.set()
        self._waker.close()  # the other end becomes readable
        self._thread.join(_END_LIMIT_S)

    def _watch(self, notices: socket.socket | None) -> None:
        with self._awake:
            while True:
                if notices:
                    with notices:
                        self._hear(notices)
                if self._closed.wait(doubled(_AGAIN_S, self._failures, _MOST_AGAIN_S)):
                    return
                notices = self._open()
                self._changed()  # whatever was not told meanwhile

    def _hear(self, notices: socket.socket) -> None:
        """Hear until it is closed, or until nothing can be heard any more."""
        waiting = select.poll()
        waiting.register(notices, select.POLLIN)
        waiting.register(self._awake, select.POLLIN)
        while waiting.poll() and not self._closed.is_set():
            try:
                is_told = self._read(notices)
            except OSError as error:
                self._fail(error)
                return
            self._failures = 0
            if is_told:
                self._changed()
                self._closed.wait(_GATHER_S)

    def _read(self, notices: socket.socket) -> bool:
        """Read all that there is, and say whether the table may have changed."""
        is_told = False
        while True:
            try:
                said = notices.recv(_MOST_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return is_told
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                is_told = True  # there was more to tell than there was room for
            else:
                is_told = is_told or self._about in said

    def _open(self) -> socket.socket | None:
        try:
            return self._listen()
        except OSError as error:
            self._fail(error)
            return None

    def _fail(self, error: OSError) -> None:
        self._failures += 1
        if self._failures == 1:
            logger.warning(
                "the kernel's notices of changes to the firewall can't be heard ({}); it is looked "
                "at every few seconds until they can",
                error.strerror or error,
            )
