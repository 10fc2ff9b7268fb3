from __future__ import annotations

import dataclasses
import json
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic_core import to_jsonable_python
from waiting import LIMIT_S, eventually

from supervisor.supervision import (
    Backoff,
    ChildStartFailed,
    Kind,
    Restart,
    StartChild,
    SupervisorSpec,
    System,
    TreeNode,
    tree,
)
from supervisor.supervision.cell import cell_of


def test_a_system_without_a_root_has_no_tree_and_stops_at_once(stage: Any) -> None:
    assert tree(stage.system) is None
    assert stage.system.stop() is None


def test_a_tree_is_walked_each_node_before_its_children() -> None:
    now = datetime.now(timezone.utc)

    def node(name: str, *children: TreeNode) -> TreeNode:
        return TreeNode(
            id=name, path=name, kind=Kind.WORKER, actor="A", alive=True, state="up", since=now,
            children=children,
        )  # fmt: skip

    root = node("root", node("a", node("b")), node("c"))
    assert [node.id for node in root.walk()] == ["root", "a", "b", "c"]


def test_a_second_root_is_refused(stage: Any) -> None:
    stage.root("a")
    with pytest.raises(RuntimeError, match="has not ended"):
        stage.root("b")


def test_stopping_returns_the_reason_and_calls_on_end_once(stage: Any) -> None:
    stage.root("a")
    assert str(stage.system.stop(LIMIT_S)) == "shutdown"
    assert str(stage.system.stop(LIMIT_S)) == "shutdown"
    assert [str(reason) for reason in stage.root_ends] == ["shutdown"]


def test_an_on_end_that_fails_leaves_no_thread_behind(stage: Any) -> None:
    def fail(_: Any) -> None:
        raise OSError("no disk")

    stage.system.run_root(SupervisorSpec(), on_end=fail)
    stage.system.stop(LIMIT_S)
    eventually(lambda: not stage.system.cells())
    assert stage.is_logged("root's end failed")


def test_after_a_stop_no_thread_and_no_timer_is_left(stage: Any) -> None:
    stage.root("a", stage.under("inner", stage.spec("b")))
    stage.system.stop(LIMIT_S)
    eventually(lambda: not stage.system.cells())
    stage.clock.advance(10)
    assert stage.system.timers.next_due() is None


def test_two_systems_share_nothing(stage: Any) -> None:
    stage.root("a")
    other = System(stage.clock)
    assert not other.directory.alive("a")
    assert other.cells() == []


def test_the_tree_has_every_actor_with_what_it_published(stage: Any) -> None:
    stage.at_start["a"] = lambda probe: probe.publish("idle", "no work", jobs=[1, 2])
    stage.root("a", stage.under("inner", stage.spec("b")))
    top = tree(stage.system)
    assert (top.id, top.path, top.kind, top.actor) == (
        "root",
        "root",
        Kind.SUPERVISOR,
        "Supervisor",
    )
    a, inner = top.children
    assert (a.path, a.kind, a.actor, a.alive) == ("root/a", Kind.WORKER, "Probe", True)
    assert (a.state, a.reason, a.details) == ("idle", "no work", {"jobs": [1, 2]})
    assert inner.children[0].path == "root/inner/b"


def test_the_tree_shows_restarts_mailbox_and_unhandled_messages(stage: Any) -> None:
    stage.root("a")
    before = stage.ref("a")
    stage.crash("a")
    ref = stage.reborn("a", before)
    ref.tell(42)
    stage.ask("a", lambda _: None)
    stage.block("a")
    ref.tell("one")
    ref.tell("two")
    node = stage.node("a")
    assert (node.restarts, node.unhandled, node.mailbox) == (1, 1, 2)


def test_the_tree_can_be_written_as_json(stage: Any) -> None:
    stage.at_start["a"] = lambda probe: probe.publish("idle", job={"name": "build"})
    stage.root("a", "b", backoff=Backoff(5, 10))
    stage.crash("b")
    eventually(lambda: stage.node("b").state == "waiting")
    data = json.loads(json.dumps(to_jsonable_python(tree(stage.system))))
    assert data["children"][0]["details"] == {"job": {"name": "build"}}
    assert data["children"][1]["waits_until"].startswith("2030-")
    assert dataclasses.asdict(tree(stage.system))["children"][0]["state"] == "idle"


def test_since_when_it_is_so_is_told_by_the_time_of_day_as_it_is_now(stage: Any) -> None:
    """What has passed stays so: a host that has booted with a wrong clock is put right later."""
    stage.root("lives", "waits", backoff=Backoff(3600, 3600))
    stage.crash("waits")
    eventually(lambda: stage.node("waits").state == "waiting")
    stage.block("lives")
    stage.clock.advance(60)
    before = {node.id: node for node in tree(stage.system).walk()}
    assert {stage.clock.now() - node.since for node in before.values()} == {timedelta(minutes=1)}
    stage.clock.set_by(7200)
    after = {node.id: node for node in tree(stage.system).walk()}
    step = timedelta(hours=2)
    assert {name: node.since - step for name, node in after.items()} == {
        name: node.since for name, node in before.items()
    }
    assert after["lives"].handling.since - step == before["lives"].handling.since


def test_a_dead_root_has_been_so_for_as_long_though_the_clock_is_set(stage: Any) -> None:
    stage.root("a", intensity=0)
    stage.crash("a")
    assert stage.system.root_ended.wait(LIMIT_S)
    stage.clock.advance(60)
    stage.clock.set_by(-7200)
    assert stage.clock.now() - tree(stage.system).since == timedelta(minutes=1)


def test_the_tree_answers_at_once_while_every_actor_is_stuck(stage: Any) -> None:
    stage.root("a", "b")
    for name in ("a", "b"):
        stage.block(name)
    assert [child.handling.type for child in tree(stage.system).children] == ["Do", "Do"]


def test_a_dead_root_is_shown_with_its_reason(stage: Any) -> None:
    stage.root("a", intensity=0)
    stage.crash("a")
    assert stage.system.root_ended.wait(LIMIT_S)
    node = tree(stage.system)
    assert not node.alive
    assert "more than 0 restarts" in node.reason


def test_a_root_that_fails_to_start_is_raised_with_its_cause(stage: Any) -> None:
    def fail(_: Any) -> None:
        raise OSError("no disk")

    stage.at_start["a"] = fail
    with pytest.raises(ChildStartFailed) as failed:
        stage.root("a")
    assert isinstance(failed.value.__cause__, ChildStartFailed)
    assert isinstance(failed.value.__cause__.reason.error, OSError)
    assert stage.root_ends == []


def test_a_thousand_children_come_are_shown_and_go(stage: Any) -> None:
    root = stage.dynamic()
    answers = [root.ask(StartChild(stage.spec(f"runner-{n}")), block=False) for n in range(1000)]
    refs = [answer.get(timeout=60) for answer in answers]
    began = time.perf_counter()
    shown = tree(stage.system)
    took_s = time.perf_counter() - began
    assert len(shown.children) == 1000
    assert took_s < 2, "forty times what the benchmark allows, for busy machines"
    assert all(ref.is_alive() for ref in refs)
    assert str(stage.system.stop(60)) == "shutdown"
    eventually(lambda: not stage.system.cells())


def test_a_forgotten_child_leaves_nothing_with_its_supervisor(stage: Any) -> None:
    root = stage.dynamic()
    for n in range(50):
        ref = stage.add(root, f"runner-{n}", restart=Restart.TEMPORARY)
        ref.tell(stage.Do(lambda probe: probe.stop()))
    eventually(lambda: not stage.children(root))
    supervisor = root._actor_weakref()
    assert not supervisor._limits
    assert not supervisor._records
    eventually(lambda: not cell_of(root)._offspring)
