"""What the fleet's decision is made from, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from supervisor.lifecycle import Stage


@dataclass(frozen=True)
class Desired:
    """What the configuration asks for.

    Attributes:
        installation: the mark on everything that is ours.
        count: how many runners.
        generation: the settings that a runner is made from, as a short hash.
        unavailable: how many runners fewer than wanted may be there while others are replaced.
        idle: how long a runner may wait for a job before a fresh one takes its place; None for
            ever.
        room: how many instances there may be at once, those included that finish a job under
            older settings; None for no such bound.
    """

    installation: str
    count: int
    generation: str
    unavailable: int = 1
    idle: timedelta | None = None
    room: int | None = None


@dataclass(frozen=True)
class Runner:
    """A runner that has an actor, as that actor last told."""

    name: str
    stage: Stage
    generation: str
    since: datetime
    removal_failures: int = 0
    runner_id: int | None = None
    retire_after: datetime | None = None
    ready_at: datetime | None = None
    has_job: bool = False
    place: str = ""


@dataclass(frozen=True)
class Registration:
    """A runner as GitHub lists it.

    Attributes:
        id: GitHub's number, never used again at that place.
        name: what it is called.
        online: it is connected.
        busy: it runs a job, or GitHub has not yet noticed that it died in one.
        ephemeral: it takes one job; all of ours are. True where GitHub does not say.
        place: where it is registered, as `places` names it.
    """

    id: int
    name: str
    online: bool
    busy: bool
    ephemeral: bool = True
    place: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What no other registration has: numbers of two places can be the same."""
        return self.place, self.id


@dataclass(frozen=True)
class Listing:
    """Both sides in full, as the reconcile found them.

    Attributes:
        running: the names of instances that bear our mark and run.
        stopped: of those that don't run.
        registrations: whatever GitHub lists, ours or not.
        places: those that were listed, each in full. A runner of another is not judged.
    """

    running: frozenset[str]
    registrations: tuple[Registration, ...]
    stopped: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset({""})


@dataclass(frozen=True)
class Suspicion:
    """What the last listing had on one side only: acted on when the next one shows it again.

    Between the two listings, and between a listing and its use, runners come and go.

    Attributes:
        unmatched: registrations of ours that nothing stands behind, by place and number.
        missing: runners that should be registered and are not.
        offline: runners that GitHub shows offline, and since when.
        workless: runners at work that GitHub does not show at work, and since when.
        unheard: runners whose guests should have been heard of by now.
        rounds: how many listings in a row have shown something new of those without a time.
    """

    unmatched: frozenset[tuple[str, int]] = frozenset()
    missing: frozenset[str] = frozenset()
    offline: Mapping[str, datetime] = field(default_factory=dict)
    workless: Mapping[str, datetime] = field(default_factory=dict)
    unheard: frozenset[str] = frozenset()
    rounds: int = 0


@dataclass(frozen=True)
class Plan:
    """What the fleet shall do now.

    Attributes:
        create: how many runners to make.
        adopt: instances of ours that have no actor.
        look: runners whose instance LXD does not show running, as it should be by their stage.
        retire: runners to let go, with the reason.
        offline: runners that GitHub has not shown online for too long, with the reason.
        unregister: registrations of ours that nothing stands behind.
        vanished: runners whose registration is gone.
        jobless: runners at work that GitHub has not shown at work for long, and whether they are
            registered still.
        found: runners whose number was not known, and GitHub's number for them.
        confirm: runners of which GitHub knows something new: the name, and whether it is busy.
        suspicion: to be handed to the next plan.
        list_again: how soon both sides are to be listed again; None for the usual interval.
        retire_again: how soon the next runner may be let go of those that GitHub could not be
            asked about; None if there are none.
    """

    create: int = 0
    adopt: tuple[str, ...] = ()
    look: tuple[str, ...] = ()
    retire: tuple[tuple[str, str], ...] = ()
    offline: tuple[tuple[str, str], ...] = ()
    unregister: tuple[Registration, ...] = ()
    vanished: tuple[str, ...] = ()
    jobless: tuple[tuple[str, bool], ...] = ()
    found: tuple[tuple[str, int], ...] = ()
    confirm: tuple[tuple[str, bool], ...] = ()
    suspicion: Suspicion = field(default_factory=Suspicion)
    list_again: timedelta | None = None
    retire_again: timedelta | None = None


@dataclass(frozen=True)
class Patience:
    """How long what GitHub shows of a runner may differ from what is known here.

    Attributes:
        unregistered: how long a runner that became ready may be missing.
        offline: how long it may be offline.
        ready: how long one that became ready may take to be shown online.
        workless: how long one that said it runs a job may be shown without.
    """

    unregistered: timedelta = timedelta(minutes=1)
    offline: timedelta = timedelta(minutes=5)
    ready: timedelta = timedelta(minutes=5)
    workless: timedelta = timedelta(minutes=15)


def in_words(span: timedelta) -> str:
    """Say how long something has lasted."""
    hours = span.total_seconds() / 3600
    return f"{hours:.0f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
