"""The messages that actors and supervisors of this package understand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pykka import ActorRef

    from supervisor.supervision.errors import SupervisionError
    from supervisor.supervision.reasons import Reason
    from supervisor.supervision.specs import ChildSpec, Kind, Restart


@dataclass(frozen=True)
class Crash:
    """Have any actor fail, to see what its supervisor does. Meant for debugging."""

    reason: str = "told to crash"


@dataclass(frozen=True)
class StartChild:
    """Add a child and start it.

    Asked: answers with the child's reference, or IGNORE, when it is up; raises ChildAlreadyStarted,
    ChildAlreadyPresent, ChildStartFailed, SupervisorStopping or ValueError (the specification
    doesn't fit). Told: an error comes to `reply_to`, if given, as `OperationFailed`.
    """

    spec: ChildSpec
    reply_to: ActorRef[Any] | None = None


@dataclass(frozen=True)
class TerminateChild:
    """Stop a child and keep its specification, unless temporary or its supervisor is dynamic.

    Asked: answers None when it has ended; raises ChildNotFound.
    """

    id: str
    reply_to: ActorRef[Any] | None = None


@dataclass(frozen=True)
class RestartChild:
    """Start a child again that isn't running.

    Asked: answers like StartChild; raises ChildNotFound, ChildRunning, ChildRestarting,
    ChildStartFailed or SupervisorStopping.
    """

    id: str
    reply_to: ActorRef[Any] | None = None


@dataclass(frozen=True)
class DeleteChild:
    """Forget the specification of a child that isn't running.

    Asked: answers None; raises ChildNotFound, ChildRunning, ChildRestarting, SupervisorStopping.
    """

    id: str
    reply_to: ActorRef[Any] | None = None


@dataclass(frozen=True)
class WhichChildren:
    """Ask for a tuple of `ChildInfo`, in start order."""


@dataclass(frozen=True)
class CountChildren:
    """Ask for `ChildCounts`."""


Operation = StartChild | TerminateChild | RestartChild | DeleteChild


@dataclass(frozen=True)
class OperationFailed:
    """A told operation was refused or failed.

    Attributes:
        operation: what was told.
        error: what an asker would have got.
    """

    operation: Operation
    error: SupervisionError | ValueError


@dataclass(frozen=True)
class ChildInfo:
    """One child of a supervisor.

    Attributes:
        ref: None unless it is running.
        state: down, waiting (for its backoff), starting, up, stopping; `restarting` while it waits
            for its turn in a group's restart.
    """

    id: str
    ref: ActorRef[Any] | None
    state: str
    kind: Kind
    restart: Restart
    restarts: int


@dataclass(frozen=True)
class ChildCounts:
    """How many children a supervisor has.

    Attributes:
        specs: all, running or not.
        active: those that live.
        supervisors: supervisors among `specs`.
        workers: the others.
    """

    specs: int
    active: int
    supervisors: int
    workers: int


# From here on: between the parts of this package


@dataclass(frozen=True)
class Started:
    """To a supervisor: the child's `on_start` has finished."""

    id: str
    incarnation: int


@dataclass(frozen=True)
class Ended:
    """To a supervisor: the child has ended."""

    id: str
    incarnation: int
    reason: Reason


@dataclass(frozen=True)
class LimitPassed:
    """To a supervisor: the child has not started, or not stopped, in time."""

    id: str
    incarnation: int
    what: Literal["start", "stop"]


@dataclass(frozen=True)
class DelayPassed:
    """To a supervisor: a wait is over."""

    token: int


@dataclass(frozen=True)
class Fail:
    """To a supervisor: stop your children and end with this reason."""

    reason: Reason
