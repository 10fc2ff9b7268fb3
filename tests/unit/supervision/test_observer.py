from __future__ import annotations

from typing import Any

import pytest
from waiting import eventually

from supervisor.supervision import Backoff, Strategy, System
from supervisor.supervision.observer import Change

BACKOFF = Backoff(minimum=4, maximum=30, factor=2, jitter=0, reset_after=60)


def told(stage: Any, name: str) -> list[tuple[str, str, float]]:
    return [
        (one.before, one.state, one.lasted_s)
        for one in list(stage.observed)
        if one.path == f"root/{name}"
    ]


def test_a_change_of_the_published_word_is_told_and_a_change_of_reason_is_not(stage: Any) -> None:
    stage.at_start["a"] = lambda probe: probe.publish("idle", "no work")
    stage.root("a")
    stage.clock.advance(3)
    stage.ask("a", lambda probe: probe.publish("idle", "still none"))
    stage.clock.advance(4)
    stage.ask("a", lambda probe: probe.publish("busy", "work has come"))
    assert told(stage, "a") == [("starting", "idle", 0.0), ("idle", "busy", 7.0)]
    change = next(one for one in stage.observed if one.state == "busy")
    assert (change.id, change.reason, change.at) == ("a", "work has come", stage.clock.now())


@pytest.mark.parametrize("set_by_s", [-7200, 7200])
def test_a_state_lasts_as_long_though_the_time_of_day_is_set_meanwhile(
    stage: Any, set_by_s: float
) -> None:
    stage.root("a")
    stage.ask("a", lambda probe: probe.publish("idle"))
    stage.clock.advance(4)
    stage.clock.set_by(set_by_s)
    stage.ask("a", lambda probe: probe.publish("busy"))
    stage.clock.advance(3)
    stage.clock.set_by(set_by_s)
    stage.crash("a")
    lasted_s = {(before, state): lasted_s for before, state, lasted_s in told(stage, "a")}
    assert (lasted_s["idle", "busy"], lasted_s["busy", "crashed"]) == (4.0, 3.0)


def test_of_who_tells_of_itself_only_crashes_and_restarts_are_told(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.Probe, "observed", False)
    stage.root("a")
    first = stage.ref("a")
    stage.ask("a", lambda probe: probe.publish("busy"))
    stage.crash("a")
    stage.reborn("a", first)
    assert told(stage, "a") == [("busy", "crashed", 0.0), ("crashed", "restarted", 0.0)]


def test_a_crash_is_told_before_the_restart_that_follows(stage: Any) -> None:
    stage.root("a", backoff=BACKOFF)
    first = stage.ref("a")
    stage.crash("a", RuntimeError("no more"))
    eventually(lambda: stage.node("a").waits_until)
    stage.clock.advance(4)
    stage.reborn("a", first)
    assert told(stage, "a") == [
        ("starting", "running", 0.0),
        ("running", "crashed", 0.0),
        ("crashed", "restarted", 4.0),
        ("starting", "running", 0.0),
    ]
    reasons = {one.state: one.reason for one in stage.observed if one.id == "a"}
    assert reasons["crashed"] == reasons["restarted"] == "error (RuntimeError: no more)"


def test_who_is_restarted_with_another_was_not_the_one_that_crashed(stage: Any) -> None:
    stage.root("a", "b", strategy=Strategy.REST_FOR_ONE)
    first = stage.ref("b")
    stage.crash("a")
    stage.reborn("b", first)
    assert ("running", "restarted", 0.0) in told(stage, "b")
    assert all(state != "crashed" for _, state, _ in told(stage, "b"))


def test_an_orderly_end_is_no_crash(stage: Any) -> None:
    stage.root("a")
    stage.system.stop(10)
    assert {one.state for one in stage.observed if one.id == "a"} == {"running"}


def test_who_is_given_up_on_has_crashed(stage: Any) -> None:
    stage.root(stage.spec("a", shutdown=0.1))
    stage.block("a")
    stage.system.stop(0.1)
    crash = next(one for one in stage.observed if one.id == "a" and one.state == "crashed")
    assert crash.reason.startswith("abandoned")


def test_an_observer_that_fails_hurts_nobody(stage: Any) -> None:
    def fail(_change: Change) -> None:
        raise OSError("no disk")

    stage.system.observer = fail
    stage.root("a")
    assert stage.ask("a", lambda _probe: "well") == "well"
    assert stage.is_logged("the observer failed")


def test_a_system_without_an_observer_tells_nobody(stage: Any) -> None:
    system = System(stage.clock)
    system.observe(Change(stage.clock.now(), "root/a", "a", "idle", "", "", 0.0))
    assert not stage.observed
