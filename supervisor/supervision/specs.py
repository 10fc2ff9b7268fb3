"""What a supervisor is told: its children's specifications and its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pykka import ActorRef

    from supervisor.supervision.backoff import Backoff


class Restart(str, Enum):
    """When a child that ended by itself is started again."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Only after an abnormal end."""
    TEMPORARY = "temporary"
    """Never, and its specification is forgotten at its end."""


class Strategy(str, Enum):
    """Whom a restart concerns."""

    ONE_FOR_ONE = "one_for_one"
    """The child that ended."""
    ONE_FOR_ALL = "one_for_all"
    """All children."""
    REST_FOR_ONE = "rest_for_one"
    """The child that ended and those started after it."""


class AutoShutdown(str, Enum):
    """Whether the end of significant children ends their supervisor."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


class Kind(str, Enum):
    """What a child is, told from its actor class."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"


class Ignore(Enum):
    """The type of IGNORE."""

    IGNORE = "ignore"


class BrutalKill(Enum):
    """The type of BRUTAL_KILL."""

    BRUTAL_KILL = "brutal_kill"


IGNORE: Final = Ignore.IGNORE
"""What a child's `start` returns when it decides, without failure, not to start."""
BRUTAL_KILL: Final = BrutalKill.BRUTAL_KILL
"""The shutdown of a child that is abandoned without being asked to end."""
INFINITY: Final = math.inf
"""A limit that never passes."""

WORKER_SHUTDOWN_S = 5.0
"""How long a worker may take to end when its specification doesn't say."""


@dataclass(frozen=True)
class ChildSpec:
    """How to start, restart and stop one child.

    Attributes:
        id: unique among its supervisor's children; the last part of its path.
        start: starts the actor (`partial(MyActor.start, system, ...)`) or returns IGNORE. Runs
            in the supervisor's thread, and so does the actor's `__init__`: both must be quick.
        restart: when it is started again after it ended by itself.
        shutdown: seconds from being told to end until it is abandoned; BRUTAL_KILL abandons at
            once; None means 5 s for a worker and INFINITY for a supervisor.
        significant: whether its end may end its supervisor, see `AutoShutdown`.
        escalates: whether its failures may end its supervisor. Of one that does not, restarts are
            not counted, and a first start that fails is repeated like any other. It is permanent,
            and its supervisor is one_for_one and has a backoff.
        name: its name in the directory; None means its id.
        log_context: put on each log line from its thread, besides `actor`.
        start_limit: seconds that `on_start` may take; None means 60 s for a worker and INFINITY
            for a supervisor, whose children have limits of their own.
        stuck_limit: seconds in one message, or in none while some wait, after which it is shown as
            stuck; None leaves it to its class, then to the system.
    """

    id: str
    start: Callable[[], ActorRef[Any] | Ignore]
    restart: Restart = Restart.PERMANENT
    shutdown: float | BrutalKill | None = None
    significant: bool = False
    escalates: bool = True
    name: str | None = None
    log_context: Mapping[str, object] | None = None
    start_limit: float | None = None
    stuck_limit: float | None = None

    def __post_init__(self) -> None:
        if not self.id or "/" in self.id:
            raise ValueError(f"a child id is not empty and has no slash, unlike {self.id!r}")
        if self.significant and self.restart is Restart.PERMANENT:
            raise ValueError(
                f"child {self.id!r} is permanent and never ends for good: it can't be significant"
            )
        if not self.escalates and self.restart is not Restart.PERMANENT:
            raise ValueError(
                f"child {self.id!r} does not escalate, so it must be permanent,"
                f" not {self.restart.value}"
            )
        limits = {"shutdown": self.shutdown, "start_limit": self.start_limit}
        for what, limit in limits.items():
            if isinstance(limit, (int, float)) and not limit >= 0:
                raise ValueError(f"child {self.id!r}: {what} is {limit}, must not be negative")


@dataclass(frozen=True)
class SupervisorSpec:
    """What a supervisor does.

    Attributes:
        strategy: whom a restart concerns.
        children: started in this order, stopped in reverse.
        intensity: how many restarts within `period` are tolerated; one more ends the supervisor.
        period: seconds.
        backoff: waits between restarts; None restarts at once.
        auto_shutdown: whether significant children's ends end the supervisor.
        dynamic: whether children come and go at runtime in great number: none at the start,
            one_for_one only, a child that isn't restarted is forgotten, and at the supervisor's
            end all are stopped at once rather than one after the other.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    children: Sequence[ChildSpec] = field(default=())
    intensity: int = 1
    period: float = 5.0
    backoff: Backoff | None = None
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    dynamic: bool = False

    def __post_init__(self) -> None:
        if self.intensity < 0:
            raise ValueError(f"intensity is {self.intensity}, must not be negative")
        if not self.period > 0:
            raise ValueError(f"period is {self.period}, must be more than 0 seconds")
        if self.dynamic and self.children:
            raise ValueError("a dynamic supervisor starts without children: use StartChild")
        if self.dynamic and self.strategy is not Strategy.ONE_FOR_ONE:
            raise ValueError(f"a dynamic supervisor is one_for_one, not {self.strategy.value}")
        seen: set[str] = set()
        for child in self.children:
            if child.id in seen:
                raise ValueError(f"two children have the id {child.id!r}")
            seen.add(child.id)
            self.check(child)

    def check(self, child: ChildSpec) -> None:
        """Raise ValueError if `child` doesn't fit this supervisor."""
        if child.significant and self.auto_shutdown is AutoShutdown.NEVER:
            raise ValueError(
                f"child {child.id!r} is significant, but its supervisor's auto_shutdown is never"
            )
        if child.escalates:
            return
        if self.strategy is not Strategy.ONE_FOR_ONE:
            raise ValueError(
                f"child {child.id!r} does not escalate, but its restart concerns others: its "
                f"supervisor must be one_for_one, not {self.strategy.value}"
            )
        if self.backoff is None or not self.backoff.minimum > 0:
            raise ValueError(
                f"child {child.id!r} does not escalate, so nothing but a backoff slows its "
                "restarts: its supervisor needs one with a minimum of more than 0 seconds"
            )
