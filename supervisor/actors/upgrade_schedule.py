"""When a subject of the upgrades' actor looks: a part of it, in its thread."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import pykka

from supervisor.messages.upgrades import CheckUpgrades
from supervisor.parts import Parts
from supervisor.supervision import System, TellAfter, Timer
from supervisor.supervision.clock import Clock
from supervisor.upgrades import Looks, Standing


@dataclass(frozen=True)
class Surroundings:
    """What a subject needs of the actor that it is a part of.

    Attributes:
        parts: what the actors share.
        system: the supervision system.
        ref: the upgrades' actor, which hands what it is told on to its subjects.
        tell_after: the actor's.
    """

    parts: Parts
    system: System
    ref: pykka.ActorRef[Any]
    tell_after: TellAfter


class Subject(ABC):
    """What the upgrades' actor looks after.

    Args:
        around: the actor, which hands what it is told on to `look` and to what takes it in.

    Attributes:
        what: its name, for people and orders.
    """

    what: ClassVar[str]

    def __init__(self, around: Surroundings) -> None:
        self._parts = around.parts
        self._system = around.system
        self._ref = around.ref
        self._schedule = Schedule(self, around.system.clock, around.tell_after)

    @property
    def looks(self) -> Looks:
        """The looks that it has had."""
        return self._schedule.looks

    @abstractmethod
    def start(self) -> None:
        """Begin, at the actor's start."""

    @abstractmethod
    def order(self, order: CheckUpgrades) -> None:
        """Look, as soon as the order says."""

    @abstractmethod
    def look(self) -> None:
        """Look now, unless that is being done."""

    @abstractmethod
    def standing(self) -> Standing:
        """Say how it stands."""


@dataclass(frozen=True)
class LookDue:
    """It is time to look for a newer one; to be handed to `look`."""

    subject: Subject


class Schedule:
    """Keeps the looks of a subject: one at a time, after an order or by itself.

    Args:
        subject: has the looks.
        clock: tells the time.
        tell_after: the actor's, which is told `LookDue`.
    """

    def __init__(self, subject: Subject, clock: Clock, tell_after: TellAfter) -> None:
        self._subject = subject
        self._clock = clock
        self._tell_after = tell_after
        self._next: Timer | None = None
        self._again_at = 0.0
        self.looks = Looks()

    def order(self, fresh_s: float) -> None:
        """Have a look that begins after this, or that far after the beginning of the last one."""
        self.looks = self.looks.order(self._now(), fresh_s)
        self._plan()

    def begin(self) -> bool:
        """Begin a look; tell whether it is not one that is under way."""
        if self.looks.under_way:
            return False
        self.looks = self.looks.begin(self._now())
        return True

    def end(self, delay_s: float) -> None:
        """End it; the next one comes after so many seconds, if none is ordered."""
        self.looks = self.looks.end()
        self._again_at = self._now() + delay_s
        self._plan()

    def _plan(self) -> None:
        if self.looks.under_way:
            return
        if self._next:
            self._next.cancel()
            self._next = None
        now, wanted_at = self._now(), self.looks.wanted_at
        if self.looks.is_due(now):
            self._subject.look()
        else:
            at = self._again_at if wanted_at is None else min(wanted_at, self._again_at)
            self._next = self._tell_after(max(0.0, at - now), LookDue(self._subject))

    def _now(self) -> float:
        return self._clock.monotonic()
