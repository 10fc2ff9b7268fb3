"""The document that says how a daemon is: `status --json`, `/v1/status`."""

from collections.abc import Mapping
from typing import Any, TypedDict


class InShort(TypedDict):
    """How something is, in a word, a sentence for people, and the cause in a word."""

    state: str
    reason: str
    cause: str


class FleetStatus(InShort):
    """How the fleet's actor is.

    Attributes:
        since: when it came into that state; None while there is none.
    """

    since: str | None


class PartStatus(InShort):
    """How a part is that each new runner needs.

    Attributes:
        in_place: whether it is there.
    """

    in_place: bool


class FormerPlaceStatus(TypedDict):
    """What is left at a place where nothing is registered any more.

    Attributes:
        place: which, in words.
        stages: how many runners of it are in which stage.
        reason: why it can't be asked; empty if it can.
    """

    place: str
    stages: dict[str, int]
    reason: str


class Status(TypedDict):
    """How a daemon is. Moments are in ISO 8601.

    Attributes:
        health: a word of `Health`.
        name: the installation's.
        path: the organisation, or the repository, that the runners are of.
        wanted: how many runners are configured.
        present: how many can take a job, or run one.
        draining_since: when a drain was ordered; None without one.
        stages: how many runners are in which stage.
        fleet: how its actor is.
        short_since: since when there have been fewer runners than wanted; None if there are not.
        parts: what each new runner needs, by its name.
        upgrades: how what is kept current is.
        last_failure: the runner that failed last; None if none is known.
        github: its address, and what the actor of that name publishes.
        former_places: what is left at places that were configured before.
        problems: what is wrong, in words.
        causes: of each of these, in a word.
        remedies: of each of these, what to do.
        warnings: what is not as it should be and costs no runner.
    """

    health: str
    name: str
    path: str
    wanted: int
    present: int
    draining_since: str | None
    stages: dict[str, int]
    fleet: FleetStatus
    short_since: str | None
    parts: dict[str, PartStatus]
    upgrades: InShort
    last_failure: dict[str, Any] | None
    github: Mapping[str, Any]
    former_places: list[FormerPlaceStatus]
    problems: list[str]
    causes: list[str]
    remedies: list[str]
    warnings: list[str]


class StatusAnswer(Status):
    """What the control socket answers.

    Attributes:
        memory: the host's; None where that is not known.
    """

    memory: dict[str, Any] | None
