"""What a build says, line by line: harmless to a terminal, without secrets, and not without end."""

from collections import deque
from collections.abc import Callable, Iterable

from supervisor.guest.logs import without_secrets
from supervisor.text.printable import one_line

MOST_BYTES = 2**20
_LONGEST_LINE = 2000
_LAST_LINES = 3
_STEP = "step: "


class BuildLog:
    """One build's words, on their way to whoever keeps them. One thread writes.

    Attributes:
        step: what the build was last at, as it has announced it itself.

    Args:
        note: takes each line.
        secrets: values that may stand in none.
    """

    def __init__(self, note: Callable[[str], object], secrets: Iterable[str] = ()) -> None:
        self.step = ""
        self._note = note
        self._secrets = tuple(secrets)
        self._left = MOST_BYTES
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    def write(self, line: str) -> None:
        """Take one line: beyond a megabyte of all lines it is remembered, and not passed on."""
        line = without_secrets(one_line(line), self._secrets)[:_LONGEST_LINE]
        if not line:
            return
        if line.startswith(_STEP):
            self.step = line.removeprefix(_STEP)
        self._last.append(line)
        if self._left <= 0:
            return
        self._left -= len(line.encode()) + 1
        self._note(line if self._left > 0 else "(the rest is left out)")

    def ending(self) -> str:
        """Say the last lines as one."""
        return " / ".join(self._last)
