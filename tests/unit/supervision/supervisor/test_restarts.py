"""Who comes back after a death, and who with it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from waiting import LIMIT_S, eventually

from supervisor.supervision import Crash, Restart, Strategy
from supervisor.supervision.cell import cell_of
from tests.unit.supervision.conftest import throw


@pytest.mark.parametrize(
    ("restart", "how", "comes_back"),
    [
        (Restart.PERMANENT, "crash", True),
        (Restart.PERMANENT, "stop", True),
        (Restart.TRANSIENT, "crash", True),
        (Restart.TRANSIENT, "stop", False),
        (Restart.TEMPORARY, "crash", False),
        (Restart.TEMPORARY, "stop", False),
    ],
)
def test_restart_kinds_decide_who_comes_back(
    stage: Any, restart: Restart, how: str, comes_back: bool
) -> None:
    root = stage.root(stage.spec("a", restart=restart))
    ref = stage.ref("a")
    if how == "crash":
        ref.tell(Crash())
    else:
        ref.tell(stage.Do(lambda probe: probe.stop()))
    if comes_back:
        assert stage.reborn("a", ref).is_alive()
        return
    eventually(lambda: not ref.is_alive())
    state = eventually(lambda: stage.children(root).get("a", "forgotten") or None)
    if restart is Restart.TEMPORARY:
        eventually(lambda: "a" not in stage.children(root))
    else:
        eventually(lambda: stage.children(root)["a"].state == "down")
    assert state


@pytest.mark.parametrize("error", [RuntimeError("x"), SystemExit(1), KeyboardInterrupt()])
def test_a_child_that_raises_anything_in_a_handler_is_restarted(
    stage: Any, error: BaseException
) -> None:
    stage.root("a", "b")
    before, bystander = stage.ref("a"), stage.ref("b")
    stage.crash("a", error)
    assert stage.reborn("a", before).is_alive()
    assert bystander.is_alive()


def test_a_child_that_fails_when_asked_is_restarted(stage: Any) -> None:
    stage.root("a")
    before = stage.ref("a")
    with pytest.raises(KeyError):
        stage.ask("a", partial(throw, KeyError("x")))
    assert stage.reborn("a", before).is_alive()


def test_a_child_that_fails_in_on_start_of_a_restart_is_tried_again(stage: Any) -> None:
    stage.root("a", intensity=3)
    before = stage.ref("a")
    failures = [OSError("first"), OSError("second")]
    stage.at_start["a"] = lambda _: throw(failures.pop()) if failures else None
    stage.crash("a")
    assert stage.reborn("a", before).is_alive()
    assert stage.node("a").restarts == 3


def test_a_child_whose_thread_vanished_is_restarted(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = stage.root("a")
    before = stage.ref("a")
    cell = cell_of(before)
    with monkeypatch.context() as patch:
        # Its thread ends without a word, as if the finally had been skipped.
        patch.setattr(cell, "end", lambda _reason: None)
        patch.setattr(cell, "leave", lambda: None)
        thread = cell.thread
        before.tell(Crash())
        thread.join(LIMIT_S)
        assert before.is_alive()
    stage.clock.advance(5)
    assert stage.reborn("a", before).is_alive()
    assert stage.children(root)["a"].restarts == 1


def test_a_late_or_duplicate_death_notice_changes_nothing(stage: Any) -> None:
    root = stage.root("a", intensity=5)
    before = stage.ref("a")
    stage.crash("a")
    after = stage.reborn("a", before)
    for _ in range(20):
        cell_of(before)._place.ended(cell_of(before).ended)
    assert stage.children(root)["a"].restarts == 1
    assert after.is_alive()


def test_one_for_one_restarts_only_the_dead_child(stage: Any) -> None:
    stage.root("a", "b", "c")
    stage.heard("start a", "start b", "start c")
    stage.crash("b")
    stage.heard("fail b", "start b")


def test_one_for_all_stops_the_others_in_reverse_and_starts_all_in_order(stage: Any) -> None:
    stage.root("a", "b", "c", strategy=Strategy.ONE_FOR_ALL)
    stage.heard("start a", "start b", "start c")
    stage.crash("b")
    stage.heard("fail b", "stop c", "stop a", "start a", "start b", "start c")


def test_rest_for_one_concerns_those_started_after(stage: Any) -> None:
    stage.root("a", "b", "c", strategy=Strategy.REST_FOR_ONE)
    stage.heard("start a", "start b", "start c")
    stage.crash("b")
    stage.heard("fail b", "stop c", "start b", "start c")


def test_a_failure_of_another_child_during_a_group_restart_loses_and_doubles_nothing(
    stage: Any,
) -> None:
    gate = stage.gate()
    stage.root("a", "b", "c", strategy=Strategy.ONE_FOR_ALL, intensity=5)
    stage.at_stop["c"] = lambda _: gate.wait(LIMIT_S)
    stage.heard("start a", "start b", "start c")
    stage.crash("b")
    stage.crash("a")
    gate.set()
    stage.heard("fail b", "fail a", "stop c", "start a", "start b", "start c")


def test_a_message_told_by_name_reaches_the_new_incarnation(stage: Any) -> None:
    stage.root("a")
    before = stage.ref("a")
    stage.crash("a")
    stage.reborn("a", before)
    assert stage.system.directory.tell("a", "hello")
    assert stage.ask("a", lambda probe: probe.got) == ["hello"]
