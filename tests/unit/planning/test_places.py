"""Who is judged by the list of which place, and by which number and name."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from supervisor.lifecycle import Stage
from supervisor.planning import Desired, Listing, Registration, Runner, Suspicion, reconcile
from supervisor.runners.naming import runner_name
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
