"""What a system's observer is told of its actors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

CRASHED = "crashed"
RESTARTED = "restarted"


@dataclass(frozen=True)
class Change:
    """An actor's published state is another word, or it has crashed, or is started again.

    Attributes:
        at: when.
        path: whose.
        id: the last part of that.
        state: what it is now; `CRASHED` for an abnormal end, `RESTARTED` for a start after an end.
        before: what it was; `starting` if it had published nothing.
        reason: why, for people.
        lasted_s: seconds that it was in the state before.
    """

    at: datetime
    path: str
    id: str
    state: str
    before: str
    reason: str
    lasted_s: float


Observer = Callable[[Change], None]
"""Is called in whichever thread notices: it must be quick, and wait for none."""


def observe_nothing(_change: Change) -> None:
    """Be told, and do nothing."""
