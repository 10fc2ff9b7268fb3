"""Whom the core has started again after a death, and when that is too often."""

from __future__ import annotations

from supervisor.supervision import Backoff, IntensityExceeded, Restart, Strategy
from supervisor.supervision.core import Phase
from supervisor.supervision.effects import Discard, Finished, Halt, Ready, RestartDecided, Wait
from supervisor.supervision.reasons import SHUTDOWN
from tests.unit.supervision.core.sets_and_lists import (
    ABC,
    CRASHED,
    LONE,
    child,
    running,
    stages,
    world_of,
)


def test_one_for_one_restarts_the_dead_child_alone() -> None:
    world = running(*ABC)
    assert stages(world.ends("b")) == ["launch b"]


def test_one_for_all_stops_the_others_in_reverse_then_starts_all_in_order() -> None:
    world = running(*ABC, strategy=Strategy.ONE_FOR_ALL)
    world.ends("b")
    world.all_come_up()
    assert stages(world.seen) == ["halt c", "halt a", "launch a", "launch b", "launch c"]


def test_rest_for_one_leaves_those_started_before_alone() -> None:
    world = running(*ABC, strategy=Strategy.REST_FOR_ONE)
    world.ends("b")
    world.all_come_up()
    assert stages(world.seen) == ["halt c", "launch b", "launch c"]


def test_a_second_death_while_the_group_stops_is_not_counted_and_nothing_is_doubled() -> None:
    world = running(*ABC, strategy=Strategy.ONE_FOR_ALL)
    world.ends("b")
    world.ends("a")
    world.all_come_up()
    assert [each for each in world.seen if isinstance(each, RestartDecided)] == [
        RestartDecided("b", CRASHED, 1, 0.0)
    ]
    assert stages(world.seen) == ["halt c", "launch a", "launch b", "launch c"]


def test_a_death_while_the_group_starts_begins_it_anew_and_counts() -> None:
    world = running(*ABC, strategy=Strategy.ONE_FOR_ALL)
    world.ends("c")
    for stopped in ("b", "a"):
        world.ends(stopped, SHUTDOWN)
    world.comes_up("a")
    world.seen.clear()
    world.ends("a")
    world.all_come_up()
    assert stages(world.seen) == ["halt b", "launch a", "launch b", "launch c"]


def test_an_earlier_death_during_a_rest_for_one_restart_widens_it() -> None:
    world = running(*ABC, strategy=Strategy.REST_FOR_ONE)
    world.ends("c")
    world.seen.clear()
    world.ends("b")
    world.all_come_up()
    assert stages(world.seen) == ["halt c", "launch b", "launch c"]


def test_temporary_children_of_a_group_are_stopped_and_forgotten() -> None:
    world = running(child("a"), child("t", Restart.TEMPORARY), strategy=Strategy.ONE_FOR_ALL)
    world.ends("a")
    world.all_come_up()
    assert set(world.up) == {"a"}
    assert Discard("t") in world.seen


def test_a_group_restart_also_starts_children_that_were_terminated_as_in_otp() -> None:
    world = running(*ABC, strategy=Strategy.ONE_FOR_ALL)
    world.apply(world.core.terminate_child("c", "request"))
    world.ends("c", SHUTDOWN)
    world.ends("a")
    world.all_come_up()
    assert set(world.up) == {"a", "b", "c"}


def test_a_start_that_keeps_failing_escalates() -> None:
    world = running(child("a"), intensity=3)
    world.ends("a")
    world.ends("a")
    world.ends("a")
    (finished,) = world.ends("a")
    assert isinstance(finished, Finished)
    assert isinstance(finished.reason.error, IntensityExceeded)


SLOWLY = {"intensity": 1, "period": 1000, "backoff": Backoff(1, 8, 2, 0.0)}


def test_one_that_does_not_escalate_is_restarted_for_ever_and_its_restarts_count_for_nobody() -> (
    None
):
    world = running(LONE, child("a"), **SLOWLY)
    for _ in range(50):
        world.ends("lone")
        world.all_come_up()
    world.ends("a")
    world.all_come_up()
    assert set(world.up) == {"lone", "a"}
    assert isinstance(world.ends("a")[-1], Halt)
    assert world.core.phase is Phase.STOPPING


def test_a_first_start_that_fails_of_one_that_does_not_escalate_holds_up_nobody() -> None:
    world = world_of(LONE, child("a"), **SLOWLY)
    world.begin()
    assert stages(world.ends("lone")) == ["launch a"]
    assert Ready() in world.comes_up("a")
    for _ in range(20):
        assert stages(world.delay_passes()) == ["launch lone"]
        world.ends("lone")
    world.all_come_up()
    assert set(world.up) == {"lone", "a"}


def test_a_first_start_that_fails_of_another_one_still_ends_the_supervisor() -> None:
    world = world_of(LONE, child("a"), **SLOWLY)
    world.begin()
    world.ends("lone")
    assert isinstance(world.ends("a")[-1], Finished)
    assert not world.waits


def test_waits_grow_while_a_child_keeps_failing_and_start_afresh_after_health() -> None:
    world = running(child("a"), intensity=100, backoff=Backoff(1, 100, 2, 0.0, reset_after=10))
    for _ in range(3):
        world.ends("a")
        world.delay_passes()
        world.comes_up("a")
    world.now += 10
    world.ends("a")
    waits = [effect.seconds for effect in world.seen if isinstance(effect, Wait)]
    assert waits == [1, 2, 4, 1]


def test_terminating_a_child_cancels_its_backoff() -> None:
    world = running(child("a"), backoff=Backoff(1, 10))
    world.ends("a")
    world.apply(world.core.terminate_child("a", "request"))
    assert not world.waits
    assert world.answers["request"].error is None


def test_shutting_down_during_a_backoff_cancels_it() -> None:
    for strategy in Strategy:
        world = running(child("a"), backoff=Backoff(1, 10), strategy=strategy)
        world.ends("a")
        assert world.apply(world.core.shut_down(SHUTDOWN))[-1] == Finished(SHUTDOWN)
        assert not world.waits


def test_a_group_waits_out_the_backoff_before_any_of_it_starts() -> None:
    world = running(*ABC, strategy=Strategy.ONE_FOR_ALL, backoff=Backoff(1, 10))
    world.ends("c")
    world.ends("b", SHUTDOWN)
    assert stages(world.ends("a", SHUTDOWN)) == []
    assert stages(world.delay_passes()) == ["launch a"]


def test_another_death_during_a_groups_backoff_leaves_one_wait() -> None:
    world = running(*ABC, strategy=Strategy.REST_FOR_ONE, backoff=Backoff(1, 10))
    world.ends("c")
    world.ends("b")
    assert len(world.waits) == 1
    world.delay_passes()
    world.all_come_up()
    assert set(world.up) == {"a", "b", "c"}
