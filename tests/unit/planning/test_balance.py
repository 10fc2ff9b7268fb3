"""How many are made and let go, and whom it costs."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import planning
from supervisor.lifecycle import AVAILABLE, ENDING, Stage
from supervisor.planning import Desired, Runner, balance
from tests.unit.planning.fleets import NOW, desired, named, runner, runners, wanted

_COMING_UP = (Stage.REQUESTED, Stage.CREATING, Stage.BOOTING)
_CAN_GO = (Stage.REQUESTED, Stage.CREATING, Stage.BOOTING, Stage.READY, Stage.IDLE)


def carried_out(want: Desired, before: list[Runner], step: int = 0) -> list[Runner]:
    """Do what a balance asks for, as if LXD, GitHub and the guests had done it at once."""
    plan = balance(want, before, NOW)
    gone = {name for name, _ in plan.retire}
    made = [runner(f"x{step}x{n}", Stage.IDLE, since=NOW) for n in range(plan.create)]
    kept = [r for r in before if r.name not in gone]
    return [replace(r, stage=Stage.IDLE) if r.stage in _COMING_UP else r for r in kept] + made


def settled(want: Desired, fleet: list[Runner]) -> list[Runner]:
    """Do what is asked for until nothing is; each step replaces one at the least."""
    for step in range(2 * len(fleet) + 4):
        fleet = carried_out(want, fleet, step)
    return fleet


def test_a_fleet_is_filled() -> None:
    assert balance(wanted(3), [], NOW).create == 3


def test_a_busy_runner_survives_a_resize() -> None:
    plan = balance(wanted(0), [runner("a", Stage.BUSY), runner("b", Stage.IDLE)], NOW)
    assert [name for name, _ in plan.retire] == [named("b")]


def test_a_busy_runner_of_older_settings_is_replaced_before_it_ends() -> None:
    plan = balance(wanted(1), [runner("a", Stage.BUSY, "old")], NOW)
    assert (plan.create, plan.retire) == (1, ())


def test_where_room_is_short_a_busy_runner_of_older_settings_is_replaced_when_it_ends() -> None:
    want, busy = replace(wanted(2), room=2), runner("a", Stage.BUSY, "old")
    assert balance(want, [busy], NOW).create == 1
    assert balance(want, [busy, runner("b", Stage.IDLE)], NOW).create == 0
    assert balance(want, [replace(busy, stage=Stage.DELETED)], NOW).create == 2


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))
def test_where_there_is_room_for_the_fleet_of_before_one_of_another_size_replaces_it(
    before: int, count: int, unavailable: int
) -> None:
    fleet = [runner(f"a{n}", Stage.IDLE, "old") for n in range(before)]
    for step in range(2 * (before + count)):
        are_old = any(r.generation == "old" for r in fleet)
        room = min(before, count) if are_old else count
        fleet = carried_out(replace(wanted(count), unavailable=unavailable, room=room), fleet, step)
    assert [r.generation for r in fleet] == ["new"] * count


def ended(before: Runner) -> list[Runner]:
    """Have a job end, and what was on its way out be gone, unless LXD fails to delete it."""
    if before.stage is Stage.BUSY:
        return [replace(before, stage=Stage.FINISHED, has_job=True)]
    return [] if before.stage in ENDING and not is_stuck(before) else [before]


def is_stuck(one: Runner) -> bool:
    return one.stage is Stage.FAILED and one.removal_failures >= 3


@given(
    runners.map(lambda some: [replace(r, removal_failures=3 * r.removal_failures) for r in some]),
    st.integers(0, 8),
    st.integers(1, 8),
    st.none() | st.integers(0, 8),
)
def test_whatever_was_there_the_fleet_is_whole_when_jobs_have_ended(
    fleet: list[Runner], count: int, unavailable: int, room_before: int | None
) -> None:
    room = None
    for step in range(4 * (len(fleet) + count + 1)):
        if room_before is not None:
            room = min([room_before] * any(r.generation == "old" for r in fleet) + [count])
        fleet = [left for one in fleet for left in ended(one)]
        want = replace(wanted(count), unavailable=unavailable, room=room)
        fleet = carried_out(want, fleet, step)
    stuck = [r for r in fleet if is_stuck(r)]
    serving = [r for r in fleet if r not in stuck]
    possible = count - max(0, len(stuck) - 1)
    if room is not None:
        possible = min(possible, room - len(stuck))
    assert all(r.generation == "new" and r.stage in AVAILABLE for r in serving)
    assert max(0, possible) <= len(serving) <= count


@pytest.mark.parametrize(("room", "stuck"), [(None, 2), (2, 1)])
def test_instances_that_cannot_be_deleted_keep_no_older_runner_from_being_replaced(
    room: int | None, stuck: int
) -> None:
    left = [replace(runner(f"s{n}", Stage.FAILED), removal_failures=3) for n in range(stuck)]
    want, old = replace(wanted(2), room=room), runner("a", Stage.IDLE, "old")
    assert [name for name, _ in balance(want, [*left, old], NOW).retire] == [old.name]
    assert balance(want, left, NOW).create == 1


@given(desired, runners, st.integers(0, 8))
def test_there_are_never_more_instances_than_there_is_room_for(
    want: Desired, fleet: list[Runner], room: int
) -> None:
    plan = balance(replace(want, room=room), fleet, NOW)
    there = [r for r in fleet if r.stage is not Stage.DELETED]
    assert plan.create == 0 or len(there) + plan.create <= room
    assert plan.create <= balance(want, fleet, NOW).create


def test_an_idle_runner_of_older_settings_is_retired() -> None:
    plan = balance(wanted(1), [runner("a", Stage.IDLE, "old")], NOW)
    assert [name for name, _ in plan.retire] == [named("a")]
    assert plan.create == 0  # its instance is still there


def test_those_that_cannot_take_a_job_go_first() -> None:
    fleet = [runner("a", Stage.IDLE), runner("b", Stage.BOOTING), runner("c", Stage.READY)]
    assert [name for name, _ in balance(wanted(2), fleet, NOW).retire] == [named("b")]


def test_an_instance_that_cannot_be_deleted_does_not_cost_the_fleet_a_runner() -> None:
    stuck = runner("a", Stage.FAILED)
    assert balance(wanted(1), [replace(stuck, removal_failures=3)], NOW).create == 1


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_an_instance_takes_its_place_while_lxd_may_be_away(failures: int) -> None:
    going = replace(runner("a", Stage.FAILED), removal_failures=failures)
    assert balance(wanted(1), [going], NOW).create == 0


def test_instances_that_cannot_be_deleted_do_not_fill_the_host() -> None:
    stuck = [replace(runner(n, Stage.FAILED), removal_failures=3) for n in ("a", "b", "c")]
    assert balance(wanted(3), stuck[:1], NOW).create == 3
    assert balance(wanted(3), stuck, NOW).create == 1
    assert balance(wanted(30), stuck, NOW).create == 30


def test_a_successor_is_registered_while_a_runner_powers_off() -> None:
    fleet = [runner("a", Stage.FINISHED), runner("b", Stage.IDLE)]
    assert planning.to_register_ahead(wanted(2), fleet) == 1


def test_nobody_is_registered_ahead_for_a_place_that_goes_or_is_taken() -> None:
    fleet = [runner("a", Stage.FINISHED), runner("b", Stage.IDLE)]
    assert planning.to_register_ahead(wanted(1), fleet) == 0
    older = [runner("a", Stage.FINISHED, "old"), runner("b", Stage.REQUESTED)]
    assert planning.to_register_ahead(wanted(1), older) == 0


@given(desired, runners)
def test_no_more_are_registered_ahead_than_will_be_created(
    want: Desired, fleet: list[Runner]
) -> None:
    gone = [r for r in fleet if r.stage is not Stage.FINISHED]
    assert planning.to_register_ahead(want, fleet) <= planning.balance(want, gone, NOW).create


@given(desired, runners)
def test_a_balance_applied_to_its_own_result_asks_for_nothing(
    want: Desired, fleet: list[Runner]
) -> None:
    after = balance(want, settled(want, fleet), NOW)
    assert (after.create, after.retire) == (0, ())


@given(desired, runners)
def test_a_balance_never_makes_more_instances_than_wanted(
    want: Desired, fleet: list[Runner]
) -> None:
    plan = balance(want, fleet, NOW)
    exempt = [
        r
        for r in fleet
        if r.stage is Stage.DELETED
        or (r.stage is Stage.BUSY and r.generation == "old")
        or (r.stage is Stage.FINISHED and r.generation == "old" and r.has_job)
        or (r.stage is Stage.FAILED and r.removal_failures > 2)
    ]
    assert plan.create == 0 or len(fleet) - len(exempt) + plan.create <= want.count


@given(desired, runners)
def test_a_balance_retires_neither_busy_nor_ending_runners(
    want: Desired, fleet: list[Runner]
) -> None:
    retired = {name for name, _ in balance(want, fleet, NOW).retire}
    spared = {r.name for r in fleet if r.stage is Stage.BUSY or r.stage in ENDING}
    assert not retired & spared


@given(desired, runners)
def test_a_replacement_never_goes_below_the_wanted_number_by_more_than_the_step(
    want: Desired, fleet: list[Runner]
) -> None:
    def serving(some: list[Runner]) -> int:
        return sum(1 for r in some if r.stage in AVAILABLE or r.stage is Stage.BUSY)

    retired = {name for name, _ in balance(want, fleet, NOW).retire}
    left = [r for r in fleet if r.name not in retired]
    assert serving(left) >= min(serving(fleet), want.count - want.unavailable)


@given(desired, runners)
def test_a_balance_that_is_carried_out_leaves_nothing_out_of_date_that_could_go(
    want: Desired, fleet: list[Runner]
) -> None:
    left = settled(want, [r for r in fleet if r.stage not in ENDING])
    assert not [r for r in left if r.generation == "old" and r.stage in _CAN_GO]


def test_idle_runners_of_older_settings_go_a_few_at_a_time() -> None:
    fleet = [runner(name, Stage.IDLE, "old") for name in "abcd"]
    want = replace(wanted(4), unavailable=2)
    assert len(balance(want, fleet, NOW).retire) == 2
    # Those in their stead are not there yet: so long nobody else goes.
    half = [*fleet[:2], runner("x", Stage.BOOTING), runner("y", Stage.BOOTING)]
    assert balance(want, half, NOW).retire == ()
    up = [*fleet[:2], runner("x", Stage.READY, since=NOW), runner("y", Stage.READY, since=NOW)]
    assert len(balance(want, up, NOW).retire) == 2


def test_old_runners_go_on_where_new_settings_bring_none_up() -> None:
    fleet = [runner(name, Stage.IDLE, "old") for name in "abc"]
    broken = [*fleet, runner("x", Stage.FAILED)]
    assert balance(wanted(4), broken, NOW).retire == ()


def test_a_starting_runner_of_older_settings_goes_at_once() -> None:
    fleet = [runner("a", Stage.BOOTING, "old"), runner("b", Stage.IDLE, "old")]
    assert [name for name, _ in balance(wanted(2), fleet, NOW).retire] == [named("a")]


def test_one_that_has_waited_for_a_job_for_too_long_is_replaced() -> None:
    want = replace(wanted(3), idle=timedelta(hours=24))
    waiting = [
        replace(runner(name, Stage.IDLE), ready_at=NOW - timedelta(hours=hours))
        for name, hours in (("a", 23), ("b", 24), ("c", 30))
    ]
    (gone,) = balance(want, waiting, NOW).retire
    assert gone in {
        (named("b"), "has waited for a job for 24 hours"),
        (named("c"), "has waited for a job for 30 hours"),
    }


def test_an_idle_runner_that_goes_keeps_its_place_until_its_instance_is_gone() -> None:
    """Unlike one that has done a job under older settings: more than wanted would be there."""
    going = runner("a", Stage.FINISHED, "old")
    assert balance(wanted(1), [going], NOW).create == 0
    assert balance(wanted(1), [replace(going, has_job=True)], NOW).create == 1
