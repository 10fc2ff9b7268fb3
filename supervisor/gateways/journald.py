"""systemd's journal, by its native protocol: one entry for each message, with fields.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL
"""

import os
import socket
import struct
import sys
import threading
from collections.abc import Mapping

from logging_journald import JournaldTransport

from supervisor.gateways.standard_error import StandardError

_WARNING = 4


def is_at_standard_error() -> bool:
    """Tell whether the journal is at the other end, by JOURNAL_STREAM of systemd.exec(5)."""
    named = os.environ.get("JOURNAL_STREAM")
    if not named:
        return False
    found = os.fstat(sys.stderr.fileno())
    return named == f"{found.st_dev}:{found.st_ino}"


class Journald:
    """Writes entries, whole, in the order in which they come. Safe for threads.

    Nobody is kept waiting by a journald that hangs. It is given a moment to make room, once; from
    then on what it does not take at once is lost, until it takes an entry again. The first one says
    how many were lost.

    Where nobody is at its socket, entries go to standard error, where `<N>` before a line is its
    priority. Each line is an entry of its own there. Those after the first are indented, so that
    none of them can pass for another message.

    Args:
        identifier: the program's name in the journal.
        patience_s: for how long it may have no room for an entry.
    """

    def __init__(self, identifier: str, patience_s: float = 0.1) -> None:
        self._identifier = identifier
        # Not connected: systemd may make the socket anew.
        self._transport = JournaldTransport(connected=False)
        # By the kernel: where there is no connection, Python would try without a pause.
        limit = struct.pack("@ll", *divmod(int(patience_s * 1_000_000), 1_000_000))
        self._transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._standard_error = StandardError(patience_s)
        self._lost = 0
        self._one_at_a_time = threading.Lock()

    def write(self, text: str, priority: int, fields: Mapping[str, str | int]) -> None:
        """Write an entry.

        Args:
            text: the message.
            priority: one of syslog's.
            fields: more of it, by their names of systemd.journal-fields(7) or of our own; empty
                ones are left out.
        """
        with self._one_at_a_time:
            if self._lost and self._is_taken(_told_of(self._lost), _WARNING, {}):
                self._lose(0)
            if self._lost or not self._is_taken(text, priority, fields):
                self._lose(self._lost + 1)

    def _lose(self, count: int) -> None:
        self._lost = count
        self._transport.socket.setblocking(not count)

    def _is_taken(self, text: str, priority: int, fields: Mapping[str, str | int]) -> bool:
        entry = {
            "MESSAGE": text,
            "PRIORITY": priority,
            "SYSLOG_IDENTIFIER": self._identifier,
            **fields,
        }
        try:
            self._transport.send((name, value) for name, value in entry.items() if value != "")
        except BlockingIOError:
            return False
        except OSError:
            first, *rest = text.split("\n")
            lines = (first, *(f"  {line}" for line in rest))
            return self._standard_error.takes("".join(f"<{priority}>{line}\n" for line in lines))
        return True


def _told_of(lost: int) -> str:
    return f"log: lines lost, as journald did not take any: {lost}"
