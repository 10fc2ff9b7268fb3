"""How many runners to make and which to let go: from the runners with an actor alone."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from supervisor.lifecycle import AVAILABLE, PRESENT, Stage
from supervisor.planning.terms import Desired, Plan, Runner, in_words

_RETIREABLE = (Stage.REQUESTED, Stage.CREATING, Stage.BOOTING, Stage.READY, Stage.IDLE)
_BEYOND_REMOVAL = 3


def balance(desired: Desired, runners: Iterable[Runner], now: datetime) -> Plan:
    """Decide how many runners to make and which to let go, from the runners with an actor alone.

    Those that could take a job and are to be replaced go a few at a time, as others come up in
    their stead: new settings that no runner comes up with cost a few of the old ones, not all.
    Where there is no room for as many as are wanted, a few may lack of those that there is room
    for: else nobody would go, and nobody could come.

    One that GitHub could not be asked to let go is not asked for again at once, nor is another in
    its stead: `retire_again` says when.
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
        (r, f"has waited for a job for {in_words(now - r.ready_at)}")
        for r in current
        if r not in excess and r.ready_at and desired.idle and now - r.ready_at >= desired.idle
    ]
    going = [(r, f"more runners than the {desired.count} wanted") for r in excess]
    going += [(r, why) for r, why in outdated if r.stage not in AVAILABLE]
    serving = sum(r.stage in PRESENT for r in runners)
    spare = serving - len([r for r in excess if r.stage in AVAILABLE])
    spare -= max(0, _at_once(desired, runners) - desired.unavailable)
    replaced = [(r, why) for r, why in (*outdated, *stale) if r.stage in AVAILABLE]
    replaced.sort(key=lambda one: (_is_put_off(one[0], now), one[0].since))
    going += replaced[: max(0, spare)]

    put_off = [r for r, _ in (*going, *replaced) if _is_put_off(r, now)]
    waiting = [r.retire_after for r in put_off if r.retire_after]
    return Plan(
        create=_missing(desired, runners),
        retire=tuple((r.name, why) for r, why in going if not _is_put_off(r, now)),
        retire_again=min(waiting) - now if waiting else None,
    )


def _at_once(desired: Desired, runners: Sequence[Runner]) -> int:
    """Say how many runners there can be for now, beside the instances that LXD fails to delete."""
    most = desired.count - _surplus(desired, runners)
    if desired.room is None:
        return most
    return min(most, desired.room - sum(1 for r in runners if _is_stuck(r)))


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
    """Count the places that are taken."""
    occupied = sum(1 for r in runners if _occupies_a_place(r, desired))
    return _surplus(desired, runners) + occupied


def _surplus(desired: Desired, runners: Sequence[Runner]) -> int:
    """Count the places that are taken by instances which LXD fails to delete.

    One takes none: it must not cost the fleet a runner for ever. But when a tenth of the fleet is
    such, LXD deletes nothing, and each more would fill the host.
    """
    stuck = sum(1 for r in runners if _is_stuck(r))
    return max(0, stuck - max(1, desired.count // 10))


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
