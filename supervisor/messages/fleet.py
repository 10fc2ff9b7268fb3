"""What the fleet may be told: by runners, by LXD's events, by workers and the operator."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.causes import Cause
from supervisor.lifecycle import Life
from supervisor.runners.marks import Marks


@dataclass(frozen=True)
class Reconcile:
    """List both sides and repair. Comes from the timer, a signal, the control socket, an edge.

    Asked, it is answered by how many reconciles the fleet will have done when this one is.
    """

    why: str


@dataclass(frozen=True)
class RunnerChanged:
    """A runner has come to another stage, or something else of note has changed in its life."""

    name: str
    life: Life


@dataclass(frozen=True)
class InstanceAppeared:
    """LXD has an instance that no runner's actor answers for."""

    name: str


@dataclass(frozen=True)
class TakenOver:
    """A runner's actor has begun anew, and its instance does not say how far the runner is."""

    name: str


@dataclass(frozen=True)
class Drain:
    """Create no more runners, and let those go that wait for a job; it stands until `Resume`."""


@dataclass(frozen=True)
class Resume:
    """Keep the wanted number again."""


@dataclass(frozen=True)
class InstancesListed:
    """What LXD has of ours, with what each says of itself; or why there is no list.

    Attributes:
        ticket: of the reconcile that it is for.
        instances: by name.
        error: why there is no list.
        cause: the same in a word.
        asked: the names that were asked for one by one, as the list was not believed of them; where
            there is no list, as not all could be asked for, those that LXD has not.
    """

    ticket: int
    instances: Mapping[str, Marks] = field(default_factory=dict)
    error: str = ""
    cause: Cause = Cause.UNKNOWN
    asked: frozenset[str] = frozenset()
