"""systemd's journal, by its native protocol: one entry for each message, with fields.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL
"""

import os
import sys
from collections.abc import Mapping

from logging_journald import JournaldTransport


def is_at_standard_error() -> bool:
    """Tell whether the journal is at the other end, by JOURNAL_STREAM of systemd.exec(5)."""
    named = os.environ.get("JOURNAL_STREAM")
    if not named:
        return False
    found = os.fstat(sys.stderr.fileno())
    return named == f"{found.st_dev}:{found.st_ino}"


class Journald:
    """Writes entries. Safe for threads: each entry is sent by one call, whole."""

    def __init__(self) -> None:
        # Not connected: systemd may make the socket anew.
        self._transport = JournaldTransport(connected=False)

    def write(self, fields: Mapping[str, str | int]) -> bool:
        """Write an entry; tell whether journald has it.

        Args:
            fields: by their names of systemd.journal-fields(7) or of our own; empty ones are left
                out.
        """
        given = ((name, value) for name, value in fields.items() if value != "")
        try:
            self._transport.send(given)
        except OSError:
            return False
        return True
