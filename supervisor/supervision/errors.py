"""What can go wrong between a supervisor and those who ask something of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.supervision.reasons import Reason


# How many paths an error message spells out.
_SHOWN = 5


class SupervisionError(Exception):
    """The base of all errors that this package raises on its own account."""


class ChildError(SupervisionError):
    """An operation on a child was refused."""

    problem = "was refused"

    def __init__(self, child_id: str) -> None:
        super().__init__(f"child {child_id!r} {self.problem}")
        self.child_id = child_id


class ChildAlreadyStarted(ChildError):
    """A child of that id lives, or is about to be started again."""

    problem = "is already started"


class ChildAlreadyPresent(ChildError):
    """A specification of that id is there, its child is not running: restart or delete it."""

    problem = "is already present, though not running"


class ChildNotFound(ChildError):
    """No specification has that id."""

    problem = "is not known"


class ChildRunning(ChildError):
    """The operation needs a child that isn't running."""

    problem = "is running"


class ChildRestarting(ChildError):
    """The operation needs a child at rest, and this one is about to be started again."""

    problem = "is being restarted"


class SupervisorStopping(ChildError):
    """The supervisor is ending and takes no more operations."""

    problem = "can't be changed: its supervisor is stopping"


class ChildStartFailed(SupervisionError):
    """A child did not come up.

    Attributes:
        child_id: the child.
        reason: why; `reason.error` is what it raised, if it did.
    """

    def __init__(self, child_id: str, reason: Reason) -> None:
        super().__init__(f"child {child_id!r} did not start: {reason}")
        self.child_id = child_id
        self.reason = reason


class IntensityExceeded(SupervisionError):
    """More restarts happened within the period than the supervisor allows."""

    def __init__(self, child_id: str, reason: Reason, intensity: int, period_s: float) -> None:
        super().__init__(
            f"more than {intensity} restarts within {period_s:g} s;"
            f" the last was for child {child_id!r}: {reason}"
        )
        self.child_id = child_id
        self.reason = reason


class StartLimitPassed(SupervisionError):
    """A child's `on_start` took longer than its specification allows."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"not started within {limit_s:g} s")


class StillAbandoned(SupervisionError):
    """An abandoned incarnation of a child that does not escalate still occupies its thread."""

    def __init__(self, path: str) -> None:
        super().__init__(f"an earlier {path} hangs, and can't be ended")


class TooManyAbandoned(SupervisionError):
    """More actors are stuck beyond help than the process should carry."""

    def __init__(self, paths: list[str], limit: int) -> None:
        shown = ", ".join(paths[:_SHOWN]) + (", …" if len(paths) > _SHOWN else "")
        super().__init__(
            f"{len(paths)} abandoned actors still occupy a thread (limit {limit}): {shown}"
        )


class NameTaken(SupervisionError):
    """Another living actor has that name in the directory."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(f"the name {name!r} belongs to {path}, which is alive")


class StartIgnored(SupervisionError):
    """Raise this in `on_start` to decide, without failure, not to start (OTP's `ignore`)."""


class UnhandledMessage(SupervisionError):
    """The asked actor has no handler for that type of message; it lives on."""


class Crashed(SupervisionError):
    """An actor was told to crash."""


class ThreadLost(SupervisionError):
    """An actor's thread ended without saying why."""
