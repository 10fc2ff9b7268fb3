"""In which order a supervisor's children start and stop, and what a failed start is."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from waiting import LIMIT_S, eventually

from supervisor.supervision import ChildSpec, ChildStartFailed, StartChild, StartLimitPassed
from tests.unit.supervision.conftest import throw


def test_children_start_in_order_each_after_the_one_before_is_up(stage: Any) -> None:
    gate = stage.gate()
    stage.at_start["a"] = lambda probe: (gate.wait(LIMIT_S), stage.says.append("a is up"))
    stage.clock.advance(0)
    opener = stage.alone("opener")
    opener.tell(stage.Do(lambda _: gate.set()))
    stage.root("a", "b")
    said = [line for line in stage.says if "opener" not in line]
    assert said == ["start a", "a is up", "start b"]


def test_children_stop_in_reverse_order(stage: Any) -> None:
    stage.root("a", "b", "c")
    stage.heard("start a", "start b", "start c")
    stage.system.stop(LIMIT_S)
    stage.heard("stop c", "stop b", "stop a")


def test_a_start_that_fails_part_way_stops_what_had_started_and_raises_the_reason(
    stage: Any,
) -> None:
    stage.at_start["c"] = partial(throw, OSError("no disk"))
    with pytest.raises(ChildStartFailed, match=r"'c' did not start: error \(OSError: no disk\)"):
        stage.root("a", "b", "c")
    stage.heard("start a", "start b", "start c", "fail c", "stop b", "stop a")


def test_a_root_that_did_not_come_up_can_be_tried_again(stage: Any) -> None:
    stage.at_start["a"] = partial(throw, OSError("no disk"))
    with pytest.raises(ChildStartFailed):
        stage.root("a")
    del stage.at_start["a"]
    stage.root("a")
    assert stage.root_ends == []


def test_a_failing_constructor_is_a_failed_start(stage: Any) -> None:
    with pytest.raises(ChildStartFailed, match="TypeError"):
        stage.root(ChildSpec("a", partial(stage.Probe.start, stage.system)))


def test_a_constructor_that_exits_does_not_take_the_supervisor_along(stage: Any) -> None:
    root = stage.dynamic()
    with pytest.raises(ChildStartFailed, match="SystemExit"):
        root.ask(StartChild(ChildSpec("a", partial(throw, SystemExit(3)))), timeout=LIMIT_S)
    assert stage.add(root, "b").is_alive()


def test_a_start_that_returns_something_else_is_a_failed_start(stage: Any) -> None:
    with pytest.raises(ChildStartFailed, match="must return IGNORE or the reference"):
        stage.root(ChildSpec("a", lambda: None))


def test_a_start_that_raises_after_starting_its_actor_leaves_no_actor(stage: Any) -> None:
    def start() -> Any:
        stage.Probe.start(stage.system, stage, "a")
        raise OSError("too late")

    with pytest.raises(ChildStartFailed, match="too late"):
        stage.root(ChildSpec("a", start))
    eventually(lambda: not stage.system.cells())


def test_a_start_that_takes_too_long_fails_and_its_actor_is_abandoned(stage: Any) -> None:
    gate = stage.gate()
    stage.at_start["slow"] = lambda _: gate.wait(60)
    root = stage.dynamic()
    answer = root.ask(StartChild(stage.spec("slow", start_limit=30)), block=False)
    eventually(lambda: "start slow" in stage.says)
    stage.clock.advance(30)
    with pytest.raises(ChildStartFailed) as failed:
        answer.get(timeout=LIMIT_S)
    assert isinstance(failed.value.reason.error, StartLimitPassed)
    assert not stage.system.directory.alive("slow")


def test_a_supervisor_answers_while_a_child_starts(stage: Any) -> None:
    gate = stage.gate()
    stage.at_start["slow"] = lambda _: gate.wait(60)
    root = stage.dynamic()
    root.tell(StartChild(stage.spec("slow")))
    eventually(lambda: "start slow" in stage.says)
    assert stage.children(root)["slow"].state == "starting"
    assert stage.add(root, "quick").is_alive()
