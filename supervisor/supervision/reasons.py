"""Why an actor ended, in OTP's terms."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class ReasonKind(str, Enum):
    """The kinds of end that restart rules distinguish."""

    NORMAL = "normal"
    """It ended by its own decision."""
    SHUTDOWN = "shutdown"
    """Its supervisor, or whoever runs the tree, told it to end."""
    IGNORED = "ignored"
    """It decided not to start."""
    ABANDONED = "abandoned"
    """It did not end when it had to; what its thread still does is ignored (OTP: killed)."""
    ERROR = "error"
    """It failed."""


@dataclass(frozen=True)
class Reason:
    """Why an actor ended.

    Attributes:
        kind: what restart rules look at.
        text: one line for people.
        error: what was raised, for kind ERROR.
    """

    kind: ReasonKind
    text: str = ""
    error: BaseException | None = None

    @classmethod
    def failed(cls, error: BaseException) -> Reason:
        """Return the reason of an actor that raised `error`."""
        text = str(error).partition("\n")[0]
        name = type(error).__name__
        return cls(ReasonKind.ERROR, f"{name}: {text}" if text else name, error)

    @classmethod
    def abandoned(cls, why: str) -> Reason:
        """Return the reason of an actor that was given up on."""
        return cls(ReasonKind.ABANDONED, why)

    @property
    def is_abnormal(self) -> bool:
        """Whether a transient child with this end is started again."""
        return self.kind in {ReasonKind.ABANDONED, ReasonKind.ERROR}

    def __str__(self) -> str:
        return f"{self.kind.value} ({self.text})" if self.text else self.kind.value


NORMAL = Reason(ReasonKind.NORMAL)
SHUTDOWN = Reason(ReasonKind.SHUTDOWN)
IGNORED = Reason(ReasonKind.IGNORED)


@dataclass(frozen=True, eq=False)
class MonitorRef:
    """One watch over one actor; two watches over the same actor are two of these."""

    path: str
    cell: Any

    def __repr__(self) -> str:
        return f"<MonitorRef of {self.path}>"


@dataclass(frozen=True)
class Down:
    """The one message that a monitor sends: the watched actor has ended.

    Attributes:
        monitor: what `Actor.monitor` returned.
        id: the watched actor's child id.
        reason: why it ended; the real one also if it had ended before it was watched.
    """

    monitor: MonitorRef
    id: str
    reason: Reason
