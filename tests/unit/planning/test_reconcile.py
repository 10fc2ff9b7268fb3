"""What a reconcile adopts, deletes, confirms and looks at again."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from supervisor import planning
from supervisor.lifecycle import Stage
from supervisor.planning import Desired, Listing, Plan, Registration, Runner, Suspicion, reconcile
from supervisor.runners.naming import belongs_to, runner_name
from tests.unit.planning.fleets import (
    LONG_AGO,
    NOW,
    desired,
    keys,
    listings,
    look_again,
    named,
    names,
    runner,
    runners,
    wanted,
)


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
