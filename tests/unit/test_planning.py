from dataclasses import replace
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from supervisor import planning
from supervisor.lifecycle import ENDING, Stage
from supervisor.planning import (
    Desired,
    Listing,
    Pace,
    Registration,
    Runner,
    Suspicion,
    balance,
    reconcile,
)

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
LONG_AGO = NOW - timedelta(hours=1)

numbers = st.integers(0, 12)
names = numbers.map(lambda n: f"fleet-{n:08d}")
runners = st.lists(
    st.builds(
        Runner,
        names,
        st.sampled_from(Stage),
        st.sampled_from(["old", "new"]),
        st.sampled_from([LONG_AGO, NOW]),
        st.integers(0, 1),
    ),
    unique_by=lambda r: r.name,
    max_size=12,
)
registrations = st.lists(
    st.builds(
        Registration,
        st.integers(1, 50),
        names | st.sampled_from(["other-00000001", "fleet-2-00000001", "fleet"]),
        st.booleans(),
        st.booleans(),
    ),
    unique_by=(lambda r: r.id, lambda r: r.name),
    max_size=12,
)
desired = st.builds(Desired, st.just("fleet"), st.integers(0, 8), st.just("new"))
listings = st.builds(
    Listing,
    running=st.frozensets(names, max_size=12),
    registrations=st.none() | registrations.map(tuple),
    stopped=st.frozensets(names, max_size=12),
)


def runner(name: str, stage: Stage, generation: str = "new", since: datetime = LONG_AGO) -> Runner:
    return Runner(f"fleet-{name:0>8}", stage, generation, since)


def wanted(count: int) -> Desired:
    return Desired("fleet", count, "new")


def carried_out(want: Desired, before: list[Runner]) -> list[Runner]:
    """Do what a balance asks for, as if LXD and GitHub had done it at once."""
    plan = balance(want, before)
    gone = {name for name, _ in plan.retire}
    made = [runner(f"x{n}", Stage.BOOTING) for n in range(plan.create)]
    return [r for r in before if r.name not in gone] + made


def test_a_fleet_is_filled() -> None:
    assert balance(wanted(3), []).create == 3


def test_a_busy_runner_survives_a_resize() -> None:
    plan = balance(wanted(0), [runner("a", Stage.BUSY), runner("b", Stage.IDLE)])
    assert [name for name, _ in plan.retire] == ["fleet-0000000b"]


def test_a_busy_runner_of_older_settings_is_replaced_before_it_ends() -> None:
    plan = balance(wanted(1), [runner("a", Stage.BUSY, "old")])
    assert (plan.create, plan.retire) == (1, ())


def test_an_idle_runner_of_older_settings_is_retired() -> None:
    plan = balance(wanted(1), [runner("a", Stage.IDLE, "old")])
    assert [name for name, _ in plan.retire] == ["fleet-0000000a"]
    assert plan.create == 0  # its instance is still there


def test_those_that_cannot_take_a_job_go_first() -> None:
    fleet = [runner("a", Stage.IDLE), runner("b", Stage.BOOTING), runner("c", Stage.READY)]
    assert [name for name, _ in balance(wanted(2), fleet).retire] == ["fleet-0000000b"]


def test_an_instance_that_cannot_be_deleted_does_not_cost_the_fleet_a_runner() -> None:
    stuck = runner("a", Stage.FAILED)
    assert balance(wanted(1), [stuck]).create == 0
    assert balance(wanted(1), [replace(stuck, removal_failures=1)]).create == 1


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
    assert planning.to_register_ahead(want, fleet) <= planning.balance(want, gone).create


@given(desired, runners)
def test_a_balance_applied_to_its_own_result_asks_for_nothing(
    want: Desired, fleet: list[Runner]
) -> None:
    after = balance(want, carried_out(want, carried_out(want, fleet)))
    assert (after.create, after.retire) == (0, ())


@given(desired, runners)
def test_a_balance_never_makes_more_instances_than_wanted(
    want: Desired, fleet: list[Runner]
) -> None:
    plan = balance(want, fleet)
    exempt = [
        r
        for r in fleet
        if r.stage is Stage.DELETED
        or (r.stage in {Stage.BUSY, Stage.FINISHED} and r.generation == "old")
        or (r.stage is Stage.FAILED and r.removal_failures)
    ]
    assert plan.create == 0 or len(fleet) - len(exempt) + plan.create <= want.count


@given(desired, runners)
def test_a_balance_retires_neither_busy_nor_ending_runners(
    want: Desired, fleet: list[Runner]
) -> None:
    retired = {name for name, _ in balance(want, fleet).retire}
    spared = {r.name for r in fleet if r.stage is Stage.BUSY or r.stage in ENDING}
    assert not retired & spared


@given(desired, runners)
def test_a_balance_never_goes_below_the_wanted_number(want: Desired, fleet: list[Runner]) -> None:
    retired = {name for name, _ in balance(want, fleet).retire}
    current = [r for r in fleet if r.generation == "new" and r.stage not in ENDING]
    kept = [r for r in current if r.name not in retired]
    assert len(kept) >= min(want.count, len(current))


@given(desired, runners, listings, st.frozensets(st.integers(1, 50)), st.frozensets(names))
def test_a_reconcile_adopts_exactly_what_has_no_actor(
    want: Desired,
    fleet: list[Runner],
    listing: Listing,
    unmatched: frozenset[int],
    missing: frozenset[str],
) -> None:
    plan = reconcile(want, fleet, listing, Suspicion(unmatched, missing), NOW)
    assert set(plan.adopt) == (listing.running | listing.stopped) - {r.name for r in fleet}


@given(desired, runners, listings, st.frozensets(st.integers(1, 50)), st.frozensets(names))
def test_a_reconcile_touches_only_registrations_that_are_ours_idle_and_orphaned_twice(
    want: Desired,
    fleet: list[Runner],
    listing: Listing,
    unmatched: frozenset[int],
    missing: frozenset[str],
) -> None:
    plan = reconcile(want, fleet, listing, Suspicion(unmatched, missing), NOW)
    known = {r.name for r in fleet} | listing.running | listing.stopped
    for registration in plan.unregister:
        assert registration.name.startswith("fleet-0")
        assert registration.name not in known
        assert registration.id in unmatched
        assert not registration.busy


@given(desired, runners, listings)
def test_a_first_look_condemns_nobody(want: Desired, fleet: list[Runner], listing: Listing) -> None:
    plan = reconcile(want, fleet, listing, Suspicion(), NOW)
    assert (plan.unregister, plan.vanished) == ((), ())


@given(desired, runners, listings)
def test_without_githubs_list_no_runner_is_judged_by_it(
    want: Desired, fleet: list[Runner], listing: Listing
) -> None:
    everybody = frozenset(r.name for r in fleet)
    blind = replace(listing, registrations=None)
    plan = reconcile(want, fleet, blind, Suspicion(frozenset(), everybody), NOW)
    assert (plan.vanished, plan.unregister, plan.confirm) == ((), (), ())


def test_a_runner_whose_instance_does_not_run_has_a_look_at_it() -> None:
    fleet = [
        runner("a", Stage.BUSY),
        runner("b", Stage.IDLE),
        runner("c", Stage.BUSY),
        runner("d", Stage.CREATING),
    ]
    running, stopped = frozenset({fleet[0].name}), frozenset({fleet[1].name})
    plan = reconcile(wanted(4), fleet, Listing(running, (), stopped), Suspicion(), NOW)
    assert plan.look == (fleet[1].name, fleet[2].name)


def test_a_runner_missing_on_github_twice_has_vanished() -> None:
    idle = runner("a", Stage.IDLE)
    listing = Listing(frozenset([idle.name]), ())
    first = reconcile(wanted(1), [idle], listing, Suspicion(), NOW)
    second = reconcile(wanted(1), [idle], listing, first.suspicion, NOW)
    assert (first.vanished, second.vanished) == ((), (idle.name,))


def test_a_young_runner_may_be_missing_on_github() -> None:
    young = runner("a", Stage.READY, since=NOW)
    plan = reconcile(wanted(1), [young], Listing(frozenset(), ()), Suspicion(), NOW)
    assert not plan.suspicion


def test_github_confirms_what_the_guest_said_and_what_it_could_not_say() -> None:
    fleet = [runner("a", Stage.READY), runner("b", Stage.IDLE), runner("c", Stage.IDLE)]
    listed = (
        Registration(1, "fleet-0000000a", online=True, busy=False),
        Registration(2, "fleet-0000000b", online=True, busy=False),
        Registration(3, "fleet-0000000c", online=True, busy=True),
    )
    plan = reconcile(wanted(3), fleet, Listing(frozenset(), listed), Suspicion(), NOW)
    assert plan.confirm == (listed[0], listed[2])


def test_github_confirms_runners_whose_ready_signal_was_lost() -> None:
    fleet = [runner(name, Stage.BOOTING) for name in "abc"]
    listed = (
        Registration(1, "fleet-0000000a", online=True, busy=False),
        Registration(2, "fleet-0000000b", online=True, busy=True),
        Registration(3, "fleet-0000000c", online=False, busy=False),
    )
    plan = reconcile(wanted(3), fleet, Listing(frozenset(), listed), Suspicion(), NOW)
    assert plan.confirm == listed[:2]


def test_after_failures_creations_wait_ever_longer_and_go_one_by_one() -> None:
    pace = Pace(at_once=4)
    assert pace.admit(10, [], NOW) == 4
    failed = replace(pace, failures=3, last_failure=NOW)
    assert failed.delay(NOW) == timedelta(seconds=4)
    assert failed.admit(10, [], NOW) == 0
    later = NOW + timedelta(seconds=4)
    assert failed.admit(10, [], later) == 1
    assert failed.admit(10, [runner("a", Stage.BOOTING)], later) == 0


@given(st.integers(1, 8), st.integers(0, 100), st.integers(0, 20), runners)
def test_the_pace_is_kept(at_once: int, failures: int, want: int, fleet: list[Runner]) -> None:
    pace = Pace(at_once, failures, NOW if failures else None)
    assert timedelta(0) <= pace.delay(NOW) <= Pace.LONGEST_DELAY
    starting = sum(1 for r in fleet if r.stage in {Stage.REQUESTED, Stage.CREATING})
    admitted = pace.admit(want, fleet, NOW)
    assert 0 <= admitted <= want
    assert admitted == 0 or admitted + starting <= at_once
