from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import planning
from supervisor.lifecycle import AVAILABLE, ENDING, Stage
from supervisor.planning import (
    Desired,
    Listing,
    Plan,
    Registration,
    Runner,
    Suspicion,
    balance,
    reconcile,
)
from supervisor.runners.naming import belongs_to, runner_name

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
LONG_AGO = NOW - timedelta(hours=1)

numbers = st.integers(0, 12)
names = numbers.map(lambda n: runner_name("fleet", f"{n:010d}"))
strangers = st.sampled_from(
    [
        runner_name("other", "0000000001"),
        runner_name("fleet-2", "0000000001"),
        "fleet",
        "fleet-00000001",
        "fleet-buildserver1",
    ]
)
places = st.sampled_from(["", "https://github.com/acme"])
listed_places = st.frozensets(places)
keys = st.tuples(places, st.integers(1, 50))
runners = st.lists(
    st.builds(
        Runner,
        names,
        st.sampled_from(Stage),
        st.sampled_from(["old", "new"]),
        st.sampled_from([LONG_AGO, NOW]),
        st.integers(0, 1),
        st.none() | st.integers(1, 50),
        place=places,
        has_job=st.booleans(),
    ),
    unique_by=(lambda r: r.name, lambda r: (r.place, r.runner_id or r.name)),
    max_size=12,
)
registrations = st.lists(
    st.builds(
        Registration,
        st.integers(1, 50),
        names | strangers,
        st.booleans(),
        st.booleans(),
        st.booleans(),
        places,
    ),
    unique_by=(lambda r: r.key, lambda r: (r.place, r.name)),
    max_size=12,
)
desired = st.builds(
    Desired,
    st.just("fleet"),
    st.integers(0, 8),
    st.just("new"),
    st.integers(1, 8),
    st.none() | st.just(timedelta(minutes=30)),
)
listings = st.builds(
    Listing,
    running=st.frozensets(names, max_size=12),
    registrations=registrations.map(tuple),
    stopped=st.frozensets(names, max_size=12),
    places=listed_places,
)


_COMING_UP = (Stage.REQUESTED, Stage.CREATING, Stage.BOOTING)
_CAN_GO = (Stage.REQUESTED, Stage.CREATING, Stage.BOOTING, Stage.READY, Stage.IDLE)


def runner(name: str, stage: Stage, generation: str = "new", since: datetime = LONG_AGO) -> Runner:
    return Runner(named(name), stage, generation, since)


def named(name: str) -> str:
    return runner_name("fleet", f"{name:0>10}")


def wanted(count: int) -> Desired:
    return Desired("fleet", count, "new")


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


def test_what_only_github_shows_is_to_be_looked_at_more_closely() -> None:
    known, listed, hidden = named("a"), named("b"), named("c")
    registered = [
        Registration(n, name, online=True, busy=False)
        for n, name in enumerate((known, listed, hidden))
    ]
    others = [
        Registration(8, runner_name("other", "0000000001"), online=True, busy=False),
        Registration(9, named("d"), online=True, busy=False, ephemeral=False),
    ]
    fleet = [runner("a", Stage.IDLE)]
    assert planning.unseen(wanted(3), fleet, [listed], registered + others) == {hidden}


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


@given(desired, runners, listings, st.frozensets(keys), st.frozensets(names))
def test_a_reconcile_adopts_exactly_what_has_no_actor(
    want: Desired,
    fleet: list[Runner],
    listing: Listing,
    unmatched: frozenset[tuple[str, int]],
    missing: frozenset[str],
) -> None:
    plan = reconcile(want, fleet, listing, Suspicion(unmatched, missing), NOW)
    assert set(plan.adopt) == (listing.running | listing.stopped) - {r.name for r in fleet}


@given(desired, runners, listings, st.frozensets(keys), st.frozensets(names))
def test_a_reconcile_touches_only_registrations_that_are_ours_idle_and_orphaned_twice(
    want: Desired,
    fleet: list[Runner],
    listing: Listing,
    unmatched: frozenset[tuple[str, int]],
    missing: frozenset[str],
) -> None:
    plan = reconcile(want, fleet, listing, Suspicion(unmatched, missing), NOW)
    numbers_known = {(r.place, r.runner_id) for r in fleet}
    names_known = (listing.running | listing.stopped) - {r.name for r in fleet}
    for registration in plan.unregister:
        assert belongs_to("fleet", registration.name)
        assert registration.ephemeral
        assert registration.key not in numbers_known
        assert registration.place in listing.places
        assert registration.name not in names_known
        assert registration.name not in {r.name for r in fleet}
        assert registration.key in unmatched
        assert not registration.busy


def test_a_guest_that_is_not_heard_of_is_looked_for_on_github_soon() -> None:
    """Its ready signal may have been lost, such as while no daemon ran."""
    booting = runner("a", Stage.BOOTING, since=NOW)
    plans = look_again((), booting, times=4, apart=timedelta(seconds=20))
    assert [plan.list_again for plan in plans] == [
        timedelta(seconds=30), timedelta(seconds=15), timedelta(seconds=15), None,
    ]  # fmt: skip


@given(desired, runners, listings)
def test_a_first_look_condemns_nobody(want: Desired, fleet: list[Runner], listing: Listing) -> None:
    plan = reconcile(want, fleet, listing, Suspicion(), NOW)
    assert (plan.unregister, plan.vanished) == ((), ())


@given(desired, runners, listings)
def test_without_githubs_list_no_runner_is_judged_by_it(
    want: Desired, fleet: list[Runner], listing: Listing
) -> None:
    everybody = frozenset(r.name for r in fleet)
    blind = replace(listing, places=frozenset())
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
    assert plan.suspicion == Suspicion()
    assert plan.list_again is None


def test_github_confirms_what_the_guest_said_and_what_it_could_not_say() -> None:
    fleet = [runner("a", Stage.READY), runner("b", Stage.IDLE), runner("c", Stage.IDLE)]
    listed = (
        Registration(1, named("a"), online=True, busy=False),
        Registration(2, named("b"), online=True, busy=False),
        Registration(3, named("c"), online=True, busy=True),
    )
    plan = reconcile(wanted(3), fleet, Listing(frozenset(), listed), Suspicion(), NOW)
    assert plan.confirm == ((named("a"), False), (named("c"), True))


def test_github_confirms_one_that_could_not_be_let_go_once_nobody_wants_it_gone() -> None:
    put_off = (NOW - timedelta(seconds=1), NOW + timedelta(seconds=1), None)
    fleet = [
        replace(runner(name, Stage.IDLE), retire_after=moment)
        for name, moment in zip("abc", put_off, strict=True)
    ]
    listed = tuple(
        Registration(number, r.name, online=True, busy=False) for number, r in enumerate(fleet)
    )
    listing = Listing(frozenset(r.name for r in fleet), listed)
    plan = reconcile(wanted(3), fleet, listing, Suspicion(), NOW)
    assert plan.confirm == ((named("a"), False),)
    too_many = reconcile(wanted(0), fleet, listing, Suspicion(), NOW)
    assert named("a") in dict(too_many.retire)
    assert too_many.confirm == ()


def test_github_confirms_runners_whose_ready_signal_was_lost() -> None:
    fleet = [runner(name, Stage.BOOTING) for name in "abc"]
    listed = (
        Registration(1, named("a"), online=True, busy=False),
        Registration(2, named("b"), online=True, busy=True),
        Registration(3, named("c"), online=False, busy=False),
    )
    plan = reconcile(wanted(3), fleet, Listing(frozenset(), listed), Suspicion(), NOW)
    assert plan.confirm == ((named("a"), False), (named("b"), True))


@given(
    desired,
    runners,
    listings,
    st.builds(
        Suspicion,
        st.frozensets(keys),
        st.frozensets(names),
        st.dictionaries(names, st.sampled_from([LONG_AGO, NOW])),
        st.dictionaries(names, st.sampled_from([LONG_AGO, NOW])),
    ),
)
def test_a_reconcile_that_is_carried_out_leaves_nothing_to_be_carried_out(
    want: Desired, fleet: list[Runner], listing: Listing, suspicion: Suspicion
) -> None:
    plan = reconcile(want, fleet, listing, suspicion, NOW)
    for _ in range(6):  # adopting makes a surplus, retiring makes room, what is missing is missed
        fleet, listing = done(plan, fleet, listing)
        plan = reconcile(want, fleet, listing, plan.suspicion, NOW)
    assert (plan.create, plan.adopt, plan.retire, plan.vanished) == (0, (), (), ())
    assert (plan.unregister, plan.confirm, plan.jobless) == ((), (), ())


def done(plan: Plan, fleet: list[Runner], listing: Listing) -> tuple[list[Runner], Listing]:
    """Do what a plan asks for, as if LXD and GitHub had done it at once."""
    gone = {name for name, _ in plan.retire} | set(plan.vanished)
    gone |= {name for name, registered in plan.jobless if not registered}
    told = {name: Stage.IDLE for name, registered in plan.jobless if registered}
    told |= {name: Stage.BUSY if busy else Stage.IDLE for name, busy in plan.confirm}
    after = [replace(r, stage=told.get(r.name, r.stage)) for r in fleet if r.name not in gone]
    after += [Runner(name, Stage.BOOTING, "new", LONG_AGO) for name in plan.adopt]
    after += [runner(f"m{len(after)}n{n}", Stage.BOOTING) for n in range(plan.create)]
    lost = {(r.place, r.runner_id) for r in fleet if r.name in gone}
    registrations = tuple(
        r
        for r in listing.registrations
        if r not in plan.unregister and r.name not in gone and r.key not in lost
    )
    return after, Listing(
        listing.running - gone, registrations, listing.stopped - gone, listing.places
    )


def look_again(
    listed: tuple[Registration, ...], *fleet: Runner, times: int = 2, apart: timedelta = timedelta()
) -> list[Plan]:
    """Reconcile again and again, each time with the suspicion of the time before."""
    plans: list[Plan] = []
    suspicion = Suspicion()
    listing = Listing(frozenset(r.name for r in fleet), listed)
    for number in range(times):
        now = NOW + number * apart
        plans.append(reconcile(wanted(len(fleet)), fleet, listing, suspicion, now))
        suspicion = plans[-1].suspicion
    return plans


HERE, THERE = "https://github.com/acme/demo", "https://github.com/acme"


@given(
    desired,
    runners,
    listings,
    st.builds(
        Suspicion,
        st.frozensets(keys),
        st.frozensets(names),
        st.dictionaries(names, st.just(LONG_AGO)),
        st.dictionaries(names, st.just(LONG_AGO)),
    ),
)
def test_a_runner_is_judged_by_the_list_of_its_own_place_alone(
    want: Desired, fleet: list[Runner], listing: Listing, suspicion: Suspicion
) -> None:
    plan = reconcile(want, fleet, listing, suspicion, NOW)
    judged = {*plan.vanished, *dict(plan.jobless), *dict(plan.confirm), *plan.suspicion.offline}
    judged |= plan.suspicion.missing
    judged |= {name for name, why in plan.retire if "offline" in why}
    place_of = {r.name: r.place for r in fleet}
    assert {place_of[name] for name in judged} <= listing.places
    elsewhere = [r for r in listing.registrations if r.place not in listing.places]
    assert not set(elsewhere) & set(plan.unregister)


@given(desired, runners, listings, st.frozensets(keys), st.frozensets(names))
def test_what_one_place_lists_changes_nothing_for_runners_of_another(
    want: Desired,
    fleet: list[Runner],
    listing: Listing,
    unmatched: frozenset[tuple[str, int]],
    missing: frozenset[str],
) -> None:
    suspicion = Suspicion(unmatched, missing)
    other = Registration(4711, named("stray"), online=True, busy=True, place=THERE)
    here = replace(listing, places=listing.places - {THERE})
    there = replace(
        here,
        places=here.places | {THERE},
        registrations=(*(r for r in here.registrations if r.place != THERE), other),
    )
    without = reconcile(want, fleet, here, suspicion, NOW)
    with_other = reconcile(want, fleet, there, suspicion, NOW)
    ours = {r.name for r in fleet if r.place != THERE}
    for plan in (without, with_other):
        assert plan.adopt == without.adopt
    assert ours & set(without.vanished) == ours & set(with_other.vanished)
    assert {c for c in without.confirm if c[0] in ours} == {
        c for c in with_other.confirm if c[0] in ours
    }


def test_a_busy_runner_of_a_former_place_is_not_judged_by_the_list_of_the_new_one() -> None:
    busy = replace(runner("a", Stage.BUSY, "old"), runner_id=7, place=THERE)
    suspicion = Suspicion()
    # The same number and even the same name are another's there.
    for listed in ((), (Registration(7, busy.name, online=True, busy=False, place=HERE),)):
        listing = Listing(frozenset([busy.name]), listed, places=frozenset({HERE}))
        for hours in range(3):
            now = NOW + timedelta(hours=hours)
            plan = reconcile(wanted(0), [busy], listing, suspicion, now)
            suspicion = plan.suspicion
            assert (plan.jobless, plan.vanished, plan.retire, plan.confirm) == ((), (), (), ())
            assert (plan.look, plan.unregister) == ((), ())


def test_an_orphan_is_known_by_its_place_and_its_number() -> None:
    idle = replace(runner("a", Stage.IDLE), runner_id=7, place=HERE)
    orphan = Registration(7, named("b"), online=False, busy=False, place=THERE)
    own = Registration(7, idle.name, online=True, busy=False, place=HERE)
    listing = Listing(frozenset([idle.name]), (own, orphan), places=frozenset({HERE, THERE}))
    first = reconcile(wanted(1), [idle], listing, Suspicion(), NOW)
    second = reconcile(wanted(1), [idle], listing, first.suspicion, NOW)
    assert (first.unregister, second.unregister) == ((), (orphan,))


def test_a_renamed_runner_is_known_by_its_number() -> None:
    idle = replace(runner("a", Stage.IDLE), runner_id=7)
    renamed = Registration(7, "somebody-renamed-it", online=True, busy=True)
    for plan in look_again((renamed,), idle):
        assert (plan.vanished, plan.unregister) == ((), ())
        assert plan.confirm == ((idle.name, True),)


def test_a_registration_of_our_name_and_another_number_is_not_ours() -> None:
    idle = replace(runner("a", Stage.IDLE), runner_id=7)
    other = Registration(8, idle.name, online=True, busy=False)
    first, second = look_again((other,), idle)
    assert (first.vanished, first.unregister) == ((), ())
    assert second.vanished == (idle.name,)
    # The runner would take it for its own that the other has been deleted.
    assert second.unregister == ()
    listing = Listing(frozenset(), (other,))
    assert reconcile(wanted(1), [], listing, second.suspicion, NOW).unregister == (other,)


def test_a_registration_that_nothing_stands_behind_is_deleted_unless_it_is_busy() -> None:
    idle, busy = (Registration(n, named(f"x{n}"), online=False, busy=n == 2) for n in (1, 2))
    first, second, third = look_again((idle, busy), times=3)
    assert (first.unregister, second.unregister) == ((), (idle,))
    assert first.list_again == timedelta(seconds=15)
    assert (second.list_again, third.list_again) == (None, None)  # the busy one can wait


def test_persistent_runners_and_those_of_others_are_never_touched() -> None:
    others = (
        Registration(1, named("a"), online=False, busy=False, ephemeral=False),
        Registration(2, "fleet-buildserver1", online=False, busy=False),
        Registration(3, runner_name("fleet-2", "0000000001"), online=False, busy=False),
        Registration(4, "fleet-00000001", online=False, busy=False),
    )
    for plan in look_again(others, times=3):
        assert plan.unregister == ()


def test_a_runner_that_is_offline_for_too_long_is_let_go() -> None:
    idle = replace(runner("a", Stage.IDLE), runner_id=7)
    offline = Registration(7, idle.name, online=False, busy=False)
    plans = look_again((offline,), idle, times=3, apart=timedelta(minutes=3))
    assert [plan.offline for plan in plans[:2]] == [(), ()]
    assert [plan.list_again for plan in plans] == [timedelta(minutes=5), timedelta(minutes=2), None]
    assert plans[2].offline == ((idle.name, "GitHub has not shown it online for 5 minutes"),)


def test_one_that_comes_back_online_begins_anew() -> None:
    idle = replace(runner("a", Stage.IDLE), runner_id=7)
    offline = Registration(7, idle.name, online=False, busy=False)
    suspicion = look_again((offline,), idle, times=1)[0].suspicion
    online = Listing(frozenset([idle.name]), (replace(offline, online=True),))
    plan = reconcile(wanted(1), [idle], online, suspicion, NOW + timedelta(minutes=9))
    assert (plan.retire, plan.suspicion) == ((), Suspicion())


def test_after_an_outage_of_githubs_a_runner_has_its_time_anew_to_come_online() -> None:
    idle = replace(runner("a", Stage.IDLE), runner_id=7)
    offline = Registration(7, idle.name, online=False, busy=False)
    suspicion = look_again((offline,), idle, times=1)[0].suspicion
    blind = Listing(frozenset([idle.name]), (), places=frozenset())
    later = NOW + timedelta(minutes=9)
    plan = reconcile(wanted(1), [idle], blind, suspicion, later)
    assert (plan.retire, plan.suspicion, plan.list_again) == ((), Suspicion(), None)
    plan = reconcile(wanted(1), [idle], Listing(blind.running, (offline,)), plan.suspicion, later)
    assert (plan.retire, plan.suspicion.offline) == ((), {idle.name: later})


def test_a_fleet_that_always_shows_something_new_is_listed_once_a_minute() -> None:
    suspicion, waits = Suspicion(), []
    for number in range(6):
        passing = Registration(number, named(f"x{number}"), online=False, busy=False)
        plan = reconcile(wanted(0), [], Listing(frozenset(), (passing,)), suspicion, NOW)
        suspicion = plan.suspicion
        waits.append(plan.list_again)
    assert waits == [timedelta(seconds=s) for s in (15, 30, 60, 60, 60, 60)]


def test_a_runner_that_is_offline_does_not_put_off_a_look_at_what_is_new() -> None:
    idle = replace(runner("a", Stage.IDLE), runner_id=7)
    offline = Registration(7, idle.name, online=False, busy=False)
    orphan = Registration(8, named("x"), online=False, busy=False)
    suspicion = look_again((offline,), idle, times=1)[0].suspicion
    listing = Listing(frozenset([idle.name]), (offline, orphan))
    # An orphan that is new, a runner that is offline for too long in 16 or 20 seconds.
    for seconds in (284, 280):
        now = NOW + timedelta(seconds=seconds)
        plan = reconcile(wanted(1), [idle], listing, suspicion, now)
        assert plan.list_again == timedelta(seconds=15)


def test_a_busy_runner_may_be_offline_for_as_long_as_it_likes() -> None:
    """GitHub shows one whose network fails so, and its job may still run."""
    busy = replace(runner("a", Stage.BUSY), runner_id=7)
    for is_busy in (True, False):
        offline = Registration(7, busy.name, online=False, busy=is_busy)
        for plan in look_again((offline,), busy, times=3, apart=timedelta(hours=1)):
            assert (plan.retire, plan.offline, plan.vanished) == ((), (), ())
            assert plan.unregister == ()


def test_no_wait_for_another_listing_is_hot() -> None:
    idle = replace(runner("a", Stage.IDLE), runner_id=7)
    offline = Registration(7, idle.name, online=False, busy=False)
    plans = look_again((offline,), idle, times=2, apart=timedelta(minutes=5, microseconds=-1))
    assert plans[1].list_again == timedelta(seconds=15)


def test_a_job_that_github_does_not_show_for_a_while_is_lost() -> None:
    busy = replace(runner("a", Stage.BUSY), runner_id=7)
    idle = Registration(7, busy.name, online=True, busy=False)
    for listed, registered in (((), False), ((idle,), True)):
        plans = look_again(listed, busy, times=3, apart=timedelta(minutes=8))
        assert [plan.jobless for plan in plans] == [(), (), ((busy.name, registered),)]


def test_a_job_that_github_shows_is_not_lost() -> None:
    busy = replace(runner("a", Stage.BUSY), runner_id=7)
    for online in (True, False):
        at_work = Registration(7, busy.name, online=online, busy=True)
        plans = look_again((at_work,), busy, times=3, apart=timedelta(minutes=8))
        assert not any(plan.jobless for plan in plans)


def test_one_that_could_not_be_retired_is_left_until_it_is_due_and_so_are_the_others() -> None:
    refused = replace(runner("a", Stage.IDLE), retire_after=NOW + timedelta(seconds=20))
    fleet = [refused, runner("b", Stage.IDLE, since=NOW)]
    plan = balance(wanted(1), fleet, NOW)
    assert plan.retire == ()
    assert plan.retire_again == timedelta(seconds=20)
    later = balance(wanted(1), fleet, NOW + plan.retire_again)
    assert [name for name, _ in later.retire] == [refused.name]


def test_a_reconcile_does_not_list_both_sides_again_for_one_that_could_not_be_retired() -> None:
    refused = replace(runner("a", Stage.IDLE), retire_after=NOW + timedelta(seconds=20))
    fleet = [refused, runner("b", Stage.IDLE, since=NOW)]
    numbers = enumerate((one.name for one in fleet), start=1)
    listed = tuple(Registration(n, name, online=True, busy=False) for n, name in numbers)
    listing = Listing(frozenset(one.name for one in fleet), listed)
    plan = reconcile(wanted(1), fleet, listing, Suspicion(), NOW)
    assert (plan.list_again, plan.retire_again) == (None, timedelta(seconds=20))
