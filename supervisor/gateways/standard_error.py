"""Standard error, for the log: who reads it may hang, which costs lines, but nobody's time."""

import os
import select
import stat
import sys
import threading
from collections.abc import Callable


class StandardError:
    """Takes what there is room for. Not safe for threads.

    A pipe, socket or terminal whose reader hangs is given a moment to make room, once; from then on
    what it does not take at once is refused, until it takes something again. So is what a full disk
    or a reader that has gone does not take.

    Args:
        patience_s: for how long there may be no room.
    """

    def __init__(self, patience_s: float = 0.1) -> None:
        given = sys.stderr.fileno()
        self._encoding = sys.stderr.encoding
        self._patience_ms = patience_s * 1000
        self._is_stuck = False
        self._begun = b""
        self._descriptor, self._room = given, None
        if _can_be_full(given):
            self._descriptor = _own(given)
            self._room = select.poll()
            self._room.register(self._descriptor, select.POLLOUT)

    def takes(self, text: str) -> bool:
        """Write lines, and tell whether they were taken.

        Those of which only the beginning was count as taken: before the rest nothing else follows.
        """
        if self._begun:
            self._begun = self._left_of(self._begun)
            if self._begun:
                return False
        whole = text.encode(self._encoding, "backslashreplace")
        left = self._left_of(whole)
        if len(left) == len(whole):
            return False
        self._begun = left
        return True

    def _left_of(self, data: bytes) -> bytes:
        """Write what there is room for, and give the rest."""
        left = memoryview(data)
        try:
            while left and self._has_room():
                # Where there is room at all, there is for so much, by pipe(7): nobody waits.
                piece = left[: select.PIPE_BUF] if self._room else left
                left = left[os.write(self._descriptor, piece) :]
        except OSError:
            return bytes(left)
        return bytes(left)

    def _has_room(self) -> bool:
        if self._room:
            self._is_stuck = not self._room.poll(0 if self._is_stuck else self._patience_ms)
        return not self._is_stuck


class Lines:
    """Writes lines whole, in the order in which they come, and counts the lost. Safe for threads.

    Args:
        told_of: gives the line that says how many were lost.
        patience_s: for how long there may be no room for one.
    """

    def __init__(self, told_of: Callable[[int], str], patience_s: float = 0.1) -> None:
        self._told_of = told_of
        self._standard_error = StandardError(patience_s)
        self._lost = 0
        self._one_at_a_time = threading.Lock()

    def write(self, line: str) -> None:
        """Write a line, after the number of those that were lost, if any were."""
        with self._one_at_a_time:
            if self._lost and self._standard_error.takes(self._told_of(self._lost)):
                self._lost = 0
            if self._lost or not self._standard_error.takes(line):
                self._lost += 1


def _can_be_full(descriptor: int) -> bool:
    kind = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(descriptor)


def _own(given: int) -> int:
    """Open a pipe or terminal once more, not to wait for it; others' writes to it stay as they are.

    A socket can't be, nor what belongs to another user: that is only written to as it has room.
    """
    # A terminal with less room than is written would keep its writer waiting, and so would a pipe
    # that somebody else fills at this very moment.
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open(f"/proc/self/fd/{given}", flags)
    except OSError:
        return given
