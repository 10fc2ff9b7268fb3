"""Waiting in tests for what others bring about: no longer than it takes, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from conditions import explained

LIMIT_S = 30.0
"""For what takes well under a second on an idle machine; who waits in vain pays it, nobody else."""

_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.1
# So no wait takes much more than a tenth longer than what is waited for, and those who are asked
# have the processor to themselves meanwhile.
_GROWTH = 1.2

Seen = TypeVar("Seen")

_first: list[Callable[[], object]] = []


class Wait(Generic[Seen]):
    """One wait, look by look, for those who spend the pauses between them in their own way.

    Args:
        holds: what is waited for has come about when it returns something true.
        what: that, in words; without them the condition speaks for itself.
        limit_s: how long to wait at most.
        picture: what else a failure's message should show.
    """

    def __init__(
        self,
        holds: Callable[[], Seen],
        what: str = "",
        *,
        limit_s: float = LIMIT_S,
        picture: Callable[[], object] = str,
    ) -> None:
        self.pause_s = _FIRST_PAUSE_S
        self._holds = holds
        self._what = what
        self._limit_s = limit_s
        self._picture = picture
        self._until = time.monotonic() + limit_s

    def look(self) -> Seen:
        """Return what the condition says.

        Raises:
            AssertionError: it does not hold, and the time is over.
        """
        self.leave_out(*_first)
        seen = self._holds()
        if not seen and time.monotonic() > self._until:
            raise AssertionError(self._failure(seen))
        self.pause_s = min(self.pause_s * _GROWTH, _LONGEST_PAUSE_S)
        return seen

    def leave_out(self, *acts: Callable[[], object]) -> None:
        """Do what has limits of its own: the time that it takes does not count."""
        began = time.monotonic()
        for act in acts:
            act()
        self._until += time.monotonic() - began

    def _failure(self, seen: Seen) -> str:
        told = [f"waited {self._limit_s:g} s in vain: {self._what}".rstrip(": ")]
        told += [explained(self._holds, seen), str(self._picture())]
        return "\n".join(filter(None, told))


def eventually(
    holds: Callable[[], Seen],
    what: str = "",
    *,
    limit_s: float = LIMIT_S,
    picture: Callable[[], object] = str,
) -> Seen:
    """Wait until something holds, and return what the condition says then.

    In a world that is all in memory it is looked at when nothing is under way: so it holds in the
    next line, too, and so does whatever else has come of what was done before. What is to be seen
    half-way is held there, at a `Gate`.

    A lambda that has never held is called once more, for the words of the failure: what it asks
    should change nothing, and not wait.

    Args:
        holds: what is waited for has come about when it returns something true.
        what: that, in words; without them the condition speaks for itself.
        limit_s: how long to wait at most.
        picture: what else a failure's message should show.

    Raises:
        AssertionError: it did not come to hold in time; it says what was seen last.
    """
    wait = Wait(holds, what, limit_s=limit_s, picture=picture)
    while not (seen := wait.look()):
        time.sleep(wait.pause_s)
    return seen


@contextmanager
def first(act: Callable[[], object]) -> Iterator[None]:
    """Have something done before each look, inside; the time that takes does not count."""
    _first.append(act)
    try:
        yield
    finally:
        _first.remove(act)
