"""A pause that GitHub has asked one worker for, and that all of them keep."""

import struct
from mmap import mmap

_FORM = struct.Struct("d")


class Pause:
    """Until when GitHub wants to be asked nothing. For any thread.

    It is in memory that is shared with all processes that are forked from the one that makes it, by
    a clock that they have in common. Nothing is locked, as one that is killed would keep the lock:
    of two workers that are told at once, one may be forgotten, and is told again.
    """

    def __init__(self) -> None:
        self._memory = mmap(-1, _FORM.size)

    @property
    def until(self) -> float:
        """Monotonic, seconds; past if there is none."""
        return float(_FORM.unpack(self._memory[:])[0])

    def extend(self, until: float) -> None:
        """Have it last until then at least."""
        if until > self.until:
            self._memory[:] = _FORM.pack(until)
