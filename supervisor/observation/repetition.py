"""Which log lines are shown, and which are counted, when somebody says the same again and again."""

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

_DIGIT = re.compile(r"\d")
_VARYING = re.compile(r"(?<![\w.:-])(?:\d+(?:\.\d+)?|\d{1,2}:\d\d(?::\d\d)?)(?![\w:-]|\.\d)")


class Line(NamedTuple):
    """What is said, by whom. A tuple, as each line of the log is looked up: that has to be quick.

    Attributes:
        actor: the path of the actor, or empty.
        runner: whom it is about, or empty.
        level: by its name.
        text: without a traceback.
    """

    actor: str
    runner: str
    level: str
    text: str

    @property
    def template(self) -> "Line":
        """What it has in common with those that count as the same: all but numbers and times.

        Digits in words stay: `runner-1` is another than `runner-2`.
        """
        if not _DIGIT.search(self.text):
            return self
        return Line(self.actor, self.runner, self.level, _VARYING.sub("#", self.text))


@dataclass(frozen=True)
class Repeated:
    """How often a line was said without being shown, and the last one of them."""

    line: Line
    times: int
    window_s: float

    def __str__(self) -> str:
        times = "once more" if self.times == 1 else f"{self.times} times more"
        return f"repeated {times} within {self.window_s:.0f} s: {self.line.text}"


@dataclass(slots=True)
class _Window:
    began_at: float
    last: Line
    shown: int = 0
    held_back: int = 0


class Repetition:
    """Shows a line's first few in a window of time, and counts the others.

    A runner's lines are only ever held back for that runner's own: what befalls many runners at
    once is shown for each of them. Of what it forgets it gives the count: none is lost in silence.
    It knows no clock, and is not safe for threads.

    Args:
        shown: how many lines of a kind are shown in a window.
        window_s: how long it lasts, from the first one on.
        most: how many kinds are remembered.
    """

    def __init__(self, shown: int = 5, window_s: float = 60, most: int = 1000) -> None:
        self._shown = shown
        self._window_s = window_s
        self._most = most
        self._windows: dict[Line, _Window] = {}  # the oldest first
        self._over_at = math.inf  # the first of them

    def hear(self, line: Line, now: float) -> bool:
        """Take a line in, after `due`; tell whether it is to be shown.

        Args:
            line: what is said.
            now: by a monotonic clock, in seconds.
        """
        template = line.template
        window = self._windows.get(template)
        if window is None:
            window = self._windows[template] = _Window(now, line)
            self._over_at = min(self._over_at, now + self._window_s)
        window.last = line
        if window.shown < self._shown:
            window.shown += 1
            return True
        window.held_back += 1
        return False

    def due(self, now: float) -> list[Repeated]:
        """Forget the windows that are over, and those whose room is needed; give the counts."""
        if now < self._over_at and len(self._windows) < self._most:
            return []
        over: list[Line] = []
        for template, window in self._windows.items():
            has_room = len(self._windows) - len(over) < self._most
            if has_room and now - window.began_at < self._window_s:
                break
            over.append(template)
        return self._close(over, now)

    def end(self, now: float) -> list[Repeated]:
        """Forget all; give the counts."""
        return self._close(list(self._windows), now)

    def _close(self, templates: list[Line], now: float) -> list[Repeated]:
        counts = []
        for template in templates:
            window = self._windows.pop(template)
            if window.held_back:
                counts.append(Repeated(window.last, window.held_back, now - window.began_at))
        oldest = next(iter(self._windows.values()), None)
        self._over_at = oldest.began_at + self._window_s if oldest else math.inf
        return counts
