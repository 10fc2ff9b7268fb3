"""The fleet's decision as a pure function: what is wanted and what is there in, a plan out.

The plan is total (any combination of the two sides has an answer), stable (applied to its own
result it asks for nothing) and bounded (never more instances than wanted, plus those that finish a
job under settings or a number that no longer hold).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from supervisor import naming
from supervisor.lifecycle import AVAILABLE, Stage


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
        recheck: how soon both sides are to be listed again; None for the usual interval.
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
    recheck: timedelta | None = None


_RUNNING = (
    Stage.BOOTING, Stage.READY, Stage.IDLE, Stage.BUSY, Stage.RETIRING, Stage.FINISHED,
)  # fmt: skip
_SOON = timedelta(seconds=15)
_HEARD_BY = timedelta(seconds=30)
_MOST_DOUBLINGS = 2
_BEYOND_REMOVAL = 3
_RETIREABLE = (Stage.REQUESTED, Stage.CREATING, Stage.BOOTING, Stage.READY, Stage.IDLE)


def unseen(
    desired: Desired,
    runners: Iterable[Runner],
    instances: Iterable[str],
    registrations: Iterable[Registration],
) -> frozenset[str]:
    """Name the instances that should be there by GitHub's list, and that LXD's does not show.

    A list can be incomplete. Whoever believes an empty one makes the whole fleet again, beside
    the one that is there.
    """
    ours = {r.name for r in registrations if _is_ours(desired.installation, r)}
    return frozenset(ours - {r.name for r in runners} - set(instances))


def _is_ours(installation: str, registration: Registration) -> bool:
    return registration.ephemeral and naming.belongs_to(installation, registration.name)


def balance(desired: Desired, runners: Iterable[Runner], now: datetime) -> Plan:
    """Decide how many runners to make and which to let go, from the runners with an actor alone.

    Those that could take a job and are to be replaced go a few at a time, as others come up in
    their stead: new settings that no runner comes up with cost a few of the old ones, not all.

    One that GitHub could not be asked to let go is not asked for again at once, nor is another in
    its stead: `recheck` says when.
    """
    runners = list(runners)
    staying = sum(1 for r in runners if _will_stay(r, desired))
    current = [r for r in runners if r.stage in _RETIREABLE and r.generation == desired.generation]
    # Those that can't take a job yet go first, of those the youngest; idle ones by age.
    current.sort(key=lambda r: (r.stage in AVAILABLE, _RETIREABLE.index(r.stage), r.since))
    excess = current[: max(0, staying - desired.count)]

    outdated = [
        (r, "its settings are out of date")
        for r in runners
        if r.stage in _RETIREABLE and r.generation != desired.generation
    ]
    stale = [
        (r, f"has waited for a job for {_in_words(now - r.ready_at)}")
        for r in current
        if r not in excess and r.ready_at and desired.idle and now - r.ready_at >= desired.idle
    ]
    going = [(r, f"more runners than the {desired.count} wanted") for r in excess]
    going += [(r, why) for r, why in outdated if r.stage not in AVAILABLE]
    serving = sum(1 for r in runners if r.stage in AVAILABLE or r.stage is Stage.BUSY)
    spare = serving - len([r for r in excess if r.stage in AVAILABLE])
    spare -= max(0, desired.count - desired.unavailable)
    replaced = [(r, why) for r, why in (*outdated, *stale) if r.stage in AVAILABLE]
    replaced.sort(key=lambda one: (_is_put_off(one[0], now), one[0].since))
    going += replaced[: max(0, spare)]

    put_off = [r for r, _ in (*going, *replaced) if _is_put_off(r, now)]
    waiting = [r.retire_after for r in put_off if r.retire_after]
    return Plan(
        create=_missing(desired, runners),
        retire=tuple((r.name, why) for r, why in going if not _is_put_off(r, now)),
        recheck=min(waiting) - now if waiting else None,
    )


def _missing(desired: Desired, runners: Sequence[Runner]) -> int:
    """Say how many runners there is a place for."""
    occupied = _occupied(runners, desired)
    missing = max(0, desired.count - occupied)
    if desired.room is None:
        return missing
    there = sum(1 for r in runners if r.stage is not Stage.DELETED)
    return min(missing, max(0, desired.room - there))


def _is_put_off(runner: Runner, now: datetime) -> bool:
    return runner.retire_after is not None and runner.retire_after > now


def _in_words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:.0f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"


def to_register_ahead(desired: Desired, runners: Sequence[Runner]) -> int:
    """Say how many places will soon be free and need a new runner.

    Those of runners that have done their job and power off: GitHub takes its time to register a
    runner, and can do so meanwhile.
    """
    current = desired.generation
    ending = sum(1 for r in runners if r.stage is Stage.FINISHED and r.generation == current)
    occupied = _occupied(runners, desired)
    return max(0, min(ending, desired.count - (occupied - ending)))


def _occupied(runners: Sequence[Runner], desired: Desired) -> int:
    """Count the places that are taken.

    An instance that LXD fails to delete takes none: it must not cost the fleet a runner for ever.
    But when a tenth of the fleet is such, LXD deletes nothing, and each more would fill the host.
    """
    stuck = sum(1 for r in runners if _is_stuck(r))
    surplus = max(0, stuck - max(1, desired.count // 10))
    return surplus + sum(1 for r in runners if _occupies_a_place(r, desired))


def _is_stuck(runner: Runner) -> bool:
    """Tell whether LXD fails to delete an instance; once alone it was away, more likely."""
    return runner.stage is Stage.FAILED and runner.removal_failures >= _BEYOND_REMOVAL


def _occupies_a_place(runner: Runner, desired: Desired) -> bool:
    """Tell whether an instance stands in the way of a new one.

    Not one that finishes its job under older settings, nor one that LXD fails to delete.
    """
    if runner.stage is Stage.DELETED:
        return False
    at_work = runner.stage is Stage.BUSY or (runner.stage is Stage.FINISHED and runner.has_job)
    if at_work and runner.generation != desired.generation:
        return False
    return not _is_stuck(runner)


def _will_stay(runner: Runner, desired: Desired) -> bool:
    return runner.generation == desired.generation and (
        runner.stage in _RETIREABLE or runner.stage is Stage.BUSY
    )


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


def reconcile(
    desired: Desired,
    runners: Sequence[Runner],
    listing: Listing,
    suspicion: Suspicion,
    now: datetime,
    limits: Patience = Patience(),
) -> Plan:
    """Compare both sides with the runners that have an actor, and decide what to repair.

    Args:
        desired: what is wanted.
        runners: the runners with an actor, now: later than the listing.
        listing: what LXD and GitHub showed.
        suspicion: what the plan before this one left.
        now: aware, UTC.
        limits: how long what GitHub shows may differ.
    """
    known = {runner.name: runner for runner in runners}
    sides = _Sides(desired.installation, runners, listing)

    instances = listing.running | listing.stopped
    adopt = tuple(sorted(instances - known.keys()))
    unmatched = sides.unmatched()
    missing = frozenset(
        r.name
        for r in runners
        if r.stage in AVAILABLE
        and sides.can_judge(r)
        and sides.registration_of(r) is None
        and now - r.since >= limits.unregistered
    )
    offline = {
        r.name: suspicion.offline.get(r.name, now)
        for r in runners
        # Where GitHub could not be asked, nobody is: after an outage of GitHub's all runners are
        # offline at first, and those that were before it need time to come back too.
        if r.stage in AVAILABLE and sides.is_offline(r)
    }
    workless = {
        r.name: suspicion.workless.get(r.name, now)
        for r in runners
        if r.stage is Stage.BUSY
        # Not asked, it is as it was the last time.
        and (sides.is_workless(r) if sides.can_judge(r) else r.name in suspicion.workless)
    }
    patience = {
        r.name: limits.ready if r.stage is Stage.READY else limits.offline
        for r in runners
        if r.name in offline
    }
    lost = {name for name, since in offline.items() if now - since >= patience[name]}

    adopted = [Runner(name, Stage.BOOTING, desired.generation, now) for name in adopt]
    balanced = balance(desired, [*runners, *adopted], now)
    retire = {name: why for name, why in balanced.retire if name in known and name not in lost}
    keys = frozenset(r.key for r in unmatched)
    booting = {
        r.name: r.since + _HEARD_BY for r in (*runners, *adopted) if r.stage is Stage.BOOTING
    }
    unheard = frozenset(name for name, due in booting.items() if due <= now)
    is_new = bool(
        keys - suspicion.unmatched or missing - suspicion.missing or unheard - suspicion.unheard
    )
    rounds = suspicion.rounds + 1 if is_new else 0
    found = Suspicion(keys, missing, offline, workless, unheard, rounds)
    return Plan(
        create=balanced.create,
        adopt=adopt,
        look=tuple(
            r.name for r in runners if r.stage in _RUNNING and r.name not in listing.running
        ),
        retire=tuple(retire.items()),
        offline=tuple(
            (name, f"GitHub has not shown it online for {_in_words(patience[name])}")
            for name in offline
            if name in lost
        ),
        unregister=tuple(
            r
            for r in unmatched
            # While a runner of ours has the name, it would take the outcome for its own.
            if r.key in suspicion.unmatched and not r.busy and r.name not in known
        ),
        vanished=tuple(sorted(missing & suspicion.missing)),
        jobless=tuple(
            (r.name, sides.registration_of(r) is not None)
            for r in runners
            if sides.can_judge(r)
            and r.name in workless
            and now - workless[r.name] >= limits.workless
        ),
        found=tuple(
            (r.name, registration.id)
            for r in runners
            if r.runner_id is None
            and r.stage in _RUNNING
            and (registration := sides.registration_of(r))
        ),
        confirm=tuple(
            (r.name, registration.busy)
            for r in runners
            if (registration := sides.registration_of(r))
            and r.name not in retire
            and r.name not in lost
            and _says_something_new(registration, r)
        ),
        suspicion=found,
        recheck=_recheck(found, patience, booting, now),
    )


class _Sides:
    """Who belongs to whom: by GitHub's number where it is known, as a runner can be renamed.

    Only within one place: elsewhere the same number, or name, is another runner's.
    """

    def __init__(self, installation: str, runners: Sequence[Runner], listing: Listing) -> None:
        self._installation = installation
        self._places = listing.places
        self._listed = [r for r in listing.registrations if r.place in listing.places]
        self._instances = listing.running | listing.stopped
        self._by_id = {r.key: r for r in self._listed}
        self._by_name = {(r.place, r.name): r for r in self._listed}
        self._known = {r.name: r for r in runners}
        self._ids = {(r.place, r.runner_id) for r in runners}

    def can_judge(self, runner: Runner) -> bool:
        """Tell whether GitHub was asked where that runner is registered."""
        return runner.place in self._places

    def registration_of(self, runner: Runner) -> Registration | None:
        """Find a runner's registration."""
        if runner.runner_id is not None:
            return self._by_id.get((runner.place, runner.runner_id))
        found = self._by_name.get((runner.place, runner.name))
        return found if found and _is_ours(self._installation, found) else None

    def is_offline(self, runner: Runner) -> bool:
        """Tell whether GitHub has a runner and does not see it, nor take it for busy."""
        registration = self.registration_of(runner)
        return registration is not None and not (registration.online or registration.busy)

    def is_workless(self, runner: Runner) -> bool:
        """Tell whether GitHub, asked, shows that a runner is not at work: it is gone, or waits."""
        registration = self.registration_of(runner)
        return registration is None or (registration.online and not registration.busy)

    def unmatched(self) -> list[Registration]:
        """Give the registrations of ours that nothing stands behind."""
        ours = [r for r in self._listed if _is_ours(self._installation, r)]
        return [r for r in ours if not self._is_matched(r)]

    def _is_matched(self, registration: Registration) -> bool:
        runner = self._known.get(registration.name)
        if registration.key in self._ids:
            return True
        if runner is None:
            # It may belong to a runner that is about to be adopted.
            return registration.name in self._instances
        return runner.runner_id is None and runner.place == registration.place


def _recheck(
    found: Suspicion,
    patience: Mapping[str, timedelta],
    booting: Mapping[str, datetime],
    now: datetime,
) -> timedelta | None:
    """Say how soon a suspicion is worth another listing: only a new one is so at once.

    One that stands, such as for a runner that GitHub takes for busy, can wait for the interval: a
    listing of a thousand runners costs ten calls. In a fleet with many short jobs every listing
    shows something new, so that this is once a minute then.
    """
    waits = [
        max(_SOON, since + patience[name] - now)
        for name, since in found.offline.items()
        if now - since < patience[name]
    ]
    # One whose ready signal nobody heard may be seen online.
    waits += [max(_SOON, due - now) for name, due in booting.items() if name not in found.unheard]
    if found.rounds:
        waits.append(_SOON * 2 ** min(found.rounds - 1, _MOST_DOUBLINGS))
    return min(waits, default=None)


def _says_something_new(registration: Registration, runner: Runner) -> bool:
    if not registration.online:
        return False
    # One that boots and is online has lost its signals, most likely while no daemon ran.
    if registration.busy:
        return runner.stage is Stage.BOOTING or runner.stage in AVAILABLE
    return runner.stage in (Stage.BOOTING, Stage.READY)
