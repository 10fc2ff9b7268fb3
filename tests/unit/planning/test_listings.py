"""What listing after listing shows: offline runners, lost jobs, and when to list again."""

from dataclasses import replace
from datetime import timedelta

from supervisor.lifecycle import Stage
from supervisor.planning import Listing, Registration, Suspicion, balance, reconcile
from tests.unit.planning.fleets import NOW, look_again, named, runner, wanted


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
