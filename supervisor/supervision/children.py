"""What a supervisor's core knows of each child."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from supervisor.supervision.specs import Restart

if TYPE_CHECKING:
    from supervisor.supervision.reasons import Reason
    from supervisor.supervision.specs import ChildSpec


class ChildState(str, Enum):
    """Where one child is in its life."""

    DOWN = "down"
    """No incarnation lives."""
    WAITING = "waiting"
    """No incarnation lives; one is started when its backoff has passed."""
    STARTING = "starting"
    """Started; its `on_start` has not finished."""
    UP = "up"
    STOPPING = "stopping"
    """Told to end, not yet ended."""


class StartCause(str, Enum):
    """Why a child is started, which decides what its failing to start means."""

    INITIAL = "initial"
    """The supervisor itself starts: its start fails, unless the child does not escalate."""
    REQUESTED = "requested"
    """Somebody asked: they get the error."""
    RESTART = "restart"
    """It counts as one more restart."""


@dataclass
class Child:
    """One child and what is wanted of it.

    Attributes:
        wanted: whether it is to live; what differs from `state` is work to do.
        must_stop: whether the present incarnation has to end, wanted or not.
        in_a_row: restarts since it was last healthy.
        request: the pending start or restart operation, to be answered.
        stop_requests: the pending terminate operations.
    """

    spec: ChildSpec
    cause: StartCause
    wanted: bool = True
    state: ChildState = ChildState.DOWN
    incarnation: int | None = None
    must_stop: bool = False
    restarts: int = 0
    in_a_row: int = 0
    up_since: float | None = None
    wait: int | None = None
    first_start: bool = True
    request: object | None = None
    stop_requests: list[object] = field(default_factory=list)
    last_reason: Reason | None = None

    @property
    def id(self) -> str:
        """The child's id."""
        return self.spec.id

    @property
    def is_alive(self) -> bool:
        """Whether an incarnation lives."""
        return self.state in _ALIVE

    def is_restarted_after(self, reason: Reason) -> bool:
        """Whether it is started again when it ended by itself with that reason."""
        if self.spec.restart is Restart.TRANSIENT:
            return reason.is_abnormal
        return self.spec.restart is Restart.PERMANENT


_ALIVE = frozenset({ChildState.STARTING, ChildState.UP, ChildState.STOPPING})
