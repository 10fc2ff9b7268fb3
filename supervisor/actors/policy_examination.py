"""The examinations of a policy service: one at a time, each with a limit, the next one in time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pykka

from supervisor.supervision import Timer
from supervisor.work.policy import Examined
from supervisor.workers import Workers

ANSWER_LIMIT_S = 15.0
"""Longer than an examination takes whose every step hits its own limit."""


class Examine:
    """It is time to see whether the service does what it should."""


@dataclass(frozen=True)
class Late:
    """An examination takes too long."""

    ticket: int


class Examinations:
    """Has a worker examine a service: a part of the policy's actor, in its thread.

    Args:
        workers: who does it.
        ref: the actor, which is told `Examined` and hands it on.
        tell_after: the actor's.
    """

    def __init__(
        self,
        workers: Workers,
        ref: pykka.ActorRef[Any],
        tell_after: Callable[[float, object], Timer],
    ) -> None:
        self._workers = workers
        self._ref = ref
        self._tell_after = tell_after
        self._next: Timer | None = None
        self.under_way = False
        self.ticket = 0
        """Of the last one; what has another is about something that was before."""

    def outdate(self) -> None:
        """Have what is found by one that is under way count no more."""
        self.ticket += 1

    def begin(self, work: Callable[[int], Examined]) -> None:
        """Begin one; none may be under way.

        Args:
            work: examines, given its ticket.
        """
        self.under_way = True
        self.ticket += 1
        if self._next:
            self._next.cancel()
            self._next = None
        ticket = self.ticket
        self._workers.submit(lambda: work(ticket), self._ref)
        self._tell_after(ANSWER_LIMIT_S, Late(ticket))

    def is_late(self, message: Late) -> bool:
        """Tell whether that one is under way still."""
        return self.under_way and message.ticket == self.ticket

    def after(self, delay_s: float) -> None:
        """Have the actor told to `Examine` after so many seconds."""
        if self._next:
            self._next.cancel()
        self._next = self._tell_after(delay_s, Examine())
