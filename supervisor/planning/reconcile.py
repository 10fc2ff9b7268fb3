"""What the two sides show that the actors don't know, and what to do about it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from supervisor.lifecycle import AVAILABLE, Stage
from supervisor.planning.balance import balance
from supervisor.planning.sides import Sides
from supervisor.planning.terms import (
    Desired,
    Listing,
    Patience,
    Plan,
    Registration,
    Runner,
    Suspicion,
    in_words,
)
from supervisor.throttling.waits import doubled

_RUNNING = (
    Stage.BOOTING, Stage.READY, Stage.IDLE, Stage.BUSY, Stage.RETIRING, Stage.FINISHED,
)  # fmt: skip
_SOON = timedelta(seconds=15)
_HEARD_BY = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(minutes=1)
_USUAL = Patience()


def reconcile(
    desired: Desired,
    runners: Sequence[Runner],
    listing: Listing,
    suspicion: Suspicion,
    now: datetime,
    limits: Patience = _USUAL,
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
    sides = Sides(desired.installation, runners, listing)
    adopt = tuple(sorted((listing.running | listing.stopped) - known.keys()))
    adopted = [Runner(name, Stage.BOOTING, desired.generation, now) for name in adopt]
    heard_by = {
        r.name: r.since + _HEARD_BY for r in (*runners, *adopted) if r.stage is Stage.BOOTING
    }
    found = _suspect(runners, sides, suspicion, now, limits, heard_by)
    patience = {name: _patience(known[name], limits) for name in found.offline}
    lost = {name for name, since in found.offline.items() if now - since >= patience[name]}
    balanced = balance(desired, [*runners, *adopted], now)
    retire = {name: why for name, why in balanced.retire if name in known and name not in lost}
    return Plan(
        create=balanced.create,
        adopt=adopt,
        look=tuple(
            r.name for r in runners if r.stage in _RUNNING and r.name not in listing.running
        ),
        retire=tuple(retire.items()),
        offline=tuple(
            (name, f"GitHub has not shown it online for {in_words(patience[name])}")
            for name in found.offline
            if name in lost
        ),
        unregister=tuple(
            r
            for r in sides.unmatched()
            # While a runner of ours has the name, it would take the outcome for its own.
            if r.key in suspicion.unmatched and not r.busy and r.name not in known
        ),
        vanished=tuple(sorted(found.missing & suspicion.missing)),
        jobless=tuple(
            (name, sides.registration_of(known[name]) is not None)
            for name, since in found.workless.items()
            if sides.can_judge(known[name]) and now - since >= limits.workless
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
            and (_says_something_new(registration, r) or _stays_after_all(registration, r, now))
        ),
        suspicion=found,
        list_again=_list_again(found, patience, heard_by, now),
        retire_again=balanced.retire_again,
    )


def _suspect(
    runners: Sequence[Runner],
    sides: Sides,
    before: Suspicion,
    now: datetime,
    limits: Patience,
    heard_by: Mapping[str, datetime],
) -> Suspicion:
    """Note what is not as it should be: what stands on one side only, or differs from ours."""
    unmatched = frozenset(r.key for r in sides.unmatched())
    missing = frozenset(
        r.name
        for r in runners
        if r.stage in AVAILABLE
        and sides.can_judge(r)
        and sides.registration_of(r) is None
        and now - r.since >= limits.unregistered
    )
    unheard = frozenset(name for name, due in heard_by.items() if due <= now)
    is_new = unmatched - before.unmatched or missing - before.missing or unheard - before.unheard
    return Suspicion(
        unmatched,
        missing,
        offline={
            r.name: before.offline.get(r.name, now)
            for r in runners
            # Where GitHub could not be asked, nobody is: after an outage of GitHub's all runners
            # are offline at first, and those that were before it need time to come back too.
            if r.stage in AVAILABLE and sides.is_offline(r)
        },
        workless={
            r.name: before.workless.get(r.name, now)
            for r in runners
            if r.stage is Stage.BUSY
            # Not asked, it is as it was the last time.
            and (sides.is_workless(r) if sides.can_judge(r) else r.name in before.workless)
        },
        unheard=unheard,
        rounds=before.rounds + 1 if is_new else 0,
    )


def _patience(runner: Runner, limits: Patience) -> timedelta:
    return limits.ready if runner.stage is Stage.READY else limits.offline


def _list_again(
    found: Suspicion,
    patience: Mapping[str, timedelta],
    heard_by: Mapping[str, datetime],
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
    waits += [max(_SOON, due - now) for name, due in heard_by.items() if name not in found.unheard]
    if found.rounds:
        waits.append(doubled(_SOON, found.rounds, _LONGEST_WAIT))
    return min(waits, default=None)


def _stays_after_all(registration: Registration, runner: Runner, now: datetime) -> bool:
    """Tell whether one that could not be let go waits for a job again, as nobody wants it gone.

    Its reason may be of an outage of GitHub that is over.
    """
    is_put_off = runner.retire_after is not None and runner.retire_after <= now
    return is_put_off and runner.stage is Stage.IDLE and registration.online


def _says_something_new(registration: Registration, runner: Runner) -> bool:
    if not registration.online:
        return False
    # One that boots and is online has lost its signals, most likely while no daemon ran.
    if registration.busy:
        return runner.stage is Stage.BOOTING or runner.stage in AVAILABLE
    return runner.stage in (Stage.BOOTING, Stage.READY)
