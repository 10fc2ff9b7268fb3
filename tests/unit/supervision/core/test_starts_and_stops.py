"""In which order the core has children start and stop, and when it is ready or finished."""

from __future__ import annotations

from supervisor.supervision import AutoShutdown, Restart
from supervisor.supervision.core import Phase
from supervisor.supervision.effects import Finished, Ready
from supervisor.supervision.reasons import IGNORED, NORMAL, SHUTDOWN
from tests.unit.supervision.core.sets_and_lists import (
    ABC,
    CRASHED,
    child,
    running,
    stages,
    world_of,
)


def test_children_start_one_after_the_other_and_ready_comes_when_the_last_is_up() -> None:
    world = world_of(*ABC)
    assert stages(world.begin()) == ["launch a"]
    assert stages(world.comes_up("a")) == ["launch b"]
    assert stages(world.comes_up("b")) == ["launch c"]
    assert world.comes_up("c") == [Ready()]


def test_a_supervisor_without_children_is_ready_at_once() -> None:
    assert world_of().begin() == [Ready()]


def test_a_start_that_fails_part_way_stops_in_reverse_what_had_started() -> None:
    world = world_of(*ABC)
    world.begin()
    world.comes_up("a")
    world.comes_up("b")
    world.seen.clear()
    world.ends("c")
    assert stages(world.seen) == ["halt b"]
    assert stages(world.ends("b", SHUTDOWN)) == ["halt a"]
    (finished,) = world.ends("a", SHUTDOWN)
    assert isinstance(finished, Finished)
    assert "'c' did not start" in finished.reason.text


def test_shutting_down_stops_in_reverse_one_after_the_other() -> None:
    world = running(*ABC)
    assert stages(world.apply(world.core.shut_down(SHUTDOWN))) == ["halt c"]
    assert stages(world.ends("c", SHUTDOWN)) == ["halt b"]
    assert stages(world.ends("b", SHUTDOWN)) == ["halt a"]
    assert world.ends("a", SHUTDOWN) == [Finished(SHUTDOWN)]


def test_shutting_down_a_dynamic_supervisor_stops_all_at_once() -> None:
    world = running(dynamic=True)
    for each in ABC:
        world.apply(world.core.start_child(each, each.id))
    world.all_come_up()
    assert stages(world.apply(world.core.shut_down(SHUTDOWN))) == ["halt a", "halt b", "halt c"]


def test_the_first_reason_for_shutting_down_stays() -> None:
    world = running(child("a"))
    world.apply(world.core.shut_down(SHUTDOWN))
    world.apply(world.core.shut_down(CRASHED))
    assert world.ends("a", SHUTDOWN) == [Finished(SHUTDOWN)]


def test_a_death_notice_of_an_earlier_incarnation_changes_nothing() -> None:
    world = running(child("a"))
    first = world.up["a"]
    world.ends("a")
    world.all_come_up()
    assert world.core.ended("a", first, CRASHED, world.now) == []
    assert world.core.started("a", first, world.now) == []


def test_a_second_death_notice_of_one_incarnation_changes_nothing() -> None:
    world = running(child("a", Restart.TRANSIENT))
    incarnation = world.up["a"]
    world.ends("a", NORMAL)
    assert world.core.ended("a", incarnation, CRASHED, world.now) == []


def test_any_significant_child_that_ends_for_good_shuts_the_supervisor_down() -> None:
    world = running(
        child("a", Restart.TRANSIENT, significant=True),
        child("b"),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    assert stages(world.ends("a", CRASHED)) == ["launch a"]
    world.comes_up("a")
    assert stages(world.ends("a", NORMAL)) == ["halt b"]
    assert world.ends("b", SHUTDOWN) == [Finished(SHUTDOWN)]


def test_all_significant_waits_for_the_last_of_them() -> None:
    world = running(
        child("a", Restart.TEMPORARY, significant=True),
        child("b", Restart.TEMPORARY, significant=True),
        child("c"),
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
    )
    assert stages(world.ends("a", CRASHED)) == []
    assert stages(world.ends("b", NORMAL)) == ["halt c"]


def test_terminating_a_significant_child_by_order_does_not_shut_down() -> None:
    world = running(
        child("a", Restart.TRANSIENT, significant=True),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    world.apply(world.core.terminate_child("a", "request"))
    world.ends("a", SHUTDOWN)
    assert world.core.phase is Phase.RUNNING


def test_a_child_that_ignores_its_start_is_no_failure_and_the_next_one_starts() -> None:
    world = world_of(child("a"), child("b"))
    world.begin()
    assert stages(world.ends("a", IGNORED)) == ["launch b"]
    assert world.comes_up("b") == [Ready()]
    assert "a" in world.core.children
