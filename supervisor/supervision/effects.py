"""What the supervisor's core wants done: the only way it acts on the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.supervision.errors import SupervisionError
    from supervisor.supervision.reasons import Reason


@dataclass(frozen=True)
class Launch:
    """Start this incarnation of the child."""

    id: str
    incarnation: int


@dataclass(frozen=True)
class Halt:
    """Have this incarnation end, within its limit or else abandoned."""

    id: str
    incarnation: int


@dataclass(frozen=True)
class Wait:
    """Report `delay_passed(token)` after so many seconds."""

    token: int
    seconds: float


@dataclass(frozen=True)
class CancelWait:
    """Forget about that token."""

    token: int


@dataclass(frozen=True)
class RestartDecided:
    """Tell people: the child will be started again."""

    id: str
    reason: Reason
    restarts: int
    seconds: float


@dataclass(frozen=True)
class Answer:
    """Answer an operation.

    Attributes:
        request: what came with the operation.
        id: the child it was about.
        error: why it was refused or failed; None for success.
    """

    request: object
    id: str
    error: SupervisionError | None = None


@dataclass(frozen=True)
class Discard:
    """The child's specification is forgotten."""

    id: str


@dataclass(frozen=True)
class Ready:
    """All children that the supervisor began with are up."""


@dataclass(frozen=True)
class Finished:
    """No child lives any more; the supervisor ends with this reason."""

    reason: Reason


Effect = Launch | Halt | Wait | CancelWait | RestartDecided | Answer | Discard | Ready | Finished
