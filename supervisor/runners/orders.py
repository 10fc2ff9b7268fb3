"""Whom an operator's order concerns, decided from the runners there are."""

from collections.abc import Iterable
from enum import Enum

from supervisor.lifecycle import AVAILABLE, ENDING, Stage
from supervisor.runners.roster import Entry


class Whom(str, Enum):
    """Which runners a flush concerns."""

    IDLE = "idle"
    """Those that wait for a job."""
    ALL = "all"
    """Those that start, too; those at work go when their job is done, as all do."""
    FORCE = "force"
    """All, and at once: jobs are lost."""


def to_let_go(entries: Iterable[Entry], whom: Whom) -> list[str]:
    """Name the runners that a flush sends away now."""
    spared = {
        Whom.IDLE: ENDING | (frozenset(Stage) - AVAILABLE),
        Whom.ALL: ENDING | {Stage.BUSY},
        Whom.FORCE: frozenset({Stage.FINISHED, Stage.FAILED, Stage.DELETED}),
    }[whom]
    return [entry.name for entry in entries if entry.life.stage not in spared]


def to_wait_for(entries: Iterable[Entry], whom: Whom) -> list[str]:
    """Name the runners whose end completes a flush."""
    if whom is not Whom.IDLE:
        return [entry.name for entry in entries]
    waiting = AVAILABLE | (ENDING - {Stage.DELETED})
    return [entry.name for entry in entries if entry.life.stage in waiting]
