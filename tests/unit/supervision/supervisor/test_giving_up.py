"""Intensity, backoff, escalation: when a supervisor gives up."""

from __future__ import annotations

from typing import Any

import pytest
from pykka import ActorDeadError
from waiting import LIMIT_S, eventually

from supervisor.supervision import Backoff, Crash, IntensityExceeded, Restart, TerminateChild


def test_more_restarts_than_intensity_within_period_end_the_root_with_the_reason(
    stage: Any,
) -> None:
    stage.root("a", "b", intensity=2, period=5)
    for _ in range(2):
        before = stage.ref("a")
        stage.crash("a")
        stage.reborn("a", before)
    stage.crash("a")
    assert stage.system.root_ended.wait(LIMIT_S)
    assert isinstance(stage.system.root_reason.error, IntensityExceeded)
    assert stage.root_ends == [stage.system.root_reason]
    assert stage.says[-1] == "stop b"


def test_restarts_spread_over_more_than_the_period_go_on_for_ever(stage: Any) -> None:
    stage.root("a", intensity=1, period=5)
    for _ in range(5):
        before = stage.ref("a")
        stage.crash("a")
        stage.reborn("a", before)
        stage.clock.advance(5.1)
    assert not stage.system.root_ended.is_set()


def test_an_exhausted_supervisor_is_restarted_by_its_parent(stage: Any) -> None:
    stage.root(stage.under("inner", stage.spec("a"), intensity=0), "b", intensity=1)
    inner = stage.ref("inner")
    stage.heard("start a", "start b")
    stage.crash("a")
    stage.reborn("inner", inner)
    stage.heard("fail a", "start a")
    assert stage.node("inner").restarts == 1


def test_a_transient_supervisor_that_gave_up_is_restarted_too(stage: Any) -> None:
    inner = stage.under("inner", stage.spec("a"), intensity=0, child={"restart": Restart.TRANSIENT})
    stage.root(inner)
    before = stage.ref("inner")
    stage.crash("a")
    assert stage.reborn("inner", before).is_alive()


def test_a_child_waits_out_its_backoff_and_the_tree_shows_it(stage: Any) -> None:
    root = stage.root("a", "b", backoff=Backoff(2, 60, jitter=0), intensity=10)
    stage.crash("a")
    eventually(lambda: stage.node("a").state == "waiting")
    node = stage.node("a")
    assert not node.alive
    assert (node.waits_until - stage.clock.now()).total_seconds() == 2
    assert node.reason == "error (RuntimeError: crashed)"
    assert stage.children(root)["b"].state == "up"
    stage.clock.advance(1.9)
    assert stage.node("a").state == "waiting"
    stage.clock.advance(0.2)
    eventually(lambda: stage.node("a").alive)


def test_a_stop_during_a_backoff_cancels_it(stage: Any) -> None:
    stage.root("a", backoff=Backoff(2, 60))
    stage.crash("a")
    eventually(lambda: stage.node("a").state == "waiting")
    assert stage.system.stop(LIMIT_S).kind == "shutdown"
    stage.clock.advance(100)
    stage.heard("start a", "fail a")
    assert stage.says == []


def test_a_crash_of_the_supervisor_itself_stops_its_children_first(stage: Any) -> None:
    stage.root(stage.under("inner", stage.spec("a"), stage.spec("b")))
    inner = stage.ref("inner")
    stage.heard("start a", "start b")
    inner.tell(Crash())
    stage.reborn("inner", inner)
    stage.heard("stop b", "stop a", "start a", "start b")


def test_a_supervisor_whose_bookkeeping_fails_leaves_no_child_behind(stage: Any) -> None:
    stage.root(stage.under("inner", stage.spec("a")), intensity=5)
    inner, before = stage.ref("inner"), stage.ref("a")

    inner._actor_weakref()._records.clear()
    with pytest.raises(ActorDeadError):
        inner.ask(TerminateChild("a"), timeout=LIMIT_S)
    eventually(lambda: not before.is_alive())
    assert stage.reborn("inner", inner).is_alive()
    assert stage.ref("a") is not before
