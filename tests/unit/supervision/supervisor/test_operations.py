"""What a supervisor can be asked to do with its children."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from waiting import LIMIT_S, eventually

from supervisor.supervision import (
    Backoff,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildCounts,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
    CountChildren,
    DeleteChild,
    OperationFailed,
    Restart,
    RestartChild,
    StartChild,
    TerminateChild,
    handles,
)
from supervisor.supervision.cell import cell_of
from tests.unit.supervision.conftest import throw


def test_start_child_answers_with_the_reference_once_the_child_is_up(stage: Any) -> None:
    root = stage.root("a")
    stage.at_start["b"] = lambda probe: probe.publish("up")
    ref = stage.add(root, "b")
    assert cell_of(ref).snapshot.state == "up"
    assert list(stage.children(root)) == ["a", "b"]


def test_start_child_answers_with_the_failure_and_keeps_no_specification(stage: Any) -> None:
    root = stage.root("a")
    stage.at_start["b"] = partial(throw, OSError("no disk"))
    with pytest.raises(ChildStartFailed, match="no disk"):
        stage.add(root, "b")
    assert list(stage.children(root)) == ["a"]
    assert stage.children(root)["a"].restarts == 0


def test_starting_an_id_that_exists_says_so(stage: Any) -> None:
    root = stage.root("a")
    with pytest.raises(ChildAlreadyStarted):
        stage.add(root, "a")
    root.ask(TerminateChild("a"), timeout=LIMIT_S)
    with pytest.raises(ChildAlreadyPresent):
        stage.add(root, "a")


def test_terminate_keeps_the_specification_and_restart_starts_it_again(stage: Any) -> None:
    root = stage.root("a")
    before = stage.ref("a")
    assert root.ask(TerminateChild("a"), timeout=LIMIT_S) is None
    assert not before.is_alive()
    assert stage.children(root)["a"].state == "down"
    assert stage.children(root)["a"].ref is None
    after = root.ask(RestartChild("a"), timeout=LIMIT_S)
    assert after.is_alive()
    assert after is not before


def test_terminate_forgets_a_temporary_child(stage: Any) -> None:
    root = stage.root(stage.spec("a", restart=Restart.TEMPORARY))
    root.ask(TerminateChild("a"), timeout=LIMIT_S)
    assert stage.children(root) == {}


def test_terminating_twice_is_fine(stage: Any) -> None:
    root = stage.root("a")
    both = [root.ask(TerminateChild("a"), block=False) for _ in range(2)]
    assert [each.get(timeout=LIMIT_S) for each in both] == [None, None]


def test_restart_needs_a_child_at_rest(stage: Any) -> None:
    root = stage.root("a", "b", backoff=Backoff(5, 60))
    with pytest.raises(ChildRunning):
        root.ask(RestartChild("a"), timeout=LIMIT_S)
    stage.crash("a")
    eventually(lambda: stage.node("a").state == "waiting")
    with pytest.raises(ChildRestarting):
        root.ask(RestartChild("a"), timeout=LIMIT_S)


def test_a_restart_that_fails_says_so_and_keeps_the_specification(stage: Any) -> None:
    root = stage.root("a")
    root.ask(TerminateChild("a"), timeout=LIMIT_S)
    stage.at_start["a"] = partial(throw, OSError("no disk"))
    with pytest.raises(ChildStartFailed):
        root.ask(RestartChild("a"), timeout=LIMIT_S)
    assert stage.children(root)["a"].state == "down"


def test_delete_needs_a_child_that_is_not_running(stage: Any) -> None:
    root = stage.root("a")
    with pytest.raises(ChildRunning):
        root.ask(DeleteChild("a"), timeout=LIMIT_S)
    root.ask(TerminateChild("a"), timeout=LIMIT_S)
    root.ask(DeleteChild("a"), timeout=LIMIT_S)
    assert stage.children(root) == {}


@pytest.mark.parametrize("operation", [TerminateChild, RestartChild, DeleteChild])
def test_an_unknown_child_is_not_found(stage: Any, operation: Any) -> None:
    with pytest.raises(ChildNotFound, match="child 'x' is not known"):
        stage.root().ask(operation("x"), timeout=LIMIT_S)


def test_count_children_counts_as_otp_does(stage: Any) -> None:
    root = stage.root("a", "b", stage.under("inner"))
    root.ask(TerminateChild("b"), timeout=LIMIT_S)
    assert root.ask(CountChildren(), timeout=LIMIT_S) == ChildCounts(
        specs=3, active=2, supervisors=1, workers=2
    )


def test_the_error_of_a_told_operation_comes_back_as_a_message(stage: Any) -> None:
    root = stage.root("a")

    class Asker(stage.Probe):
        @handles(OperationFailed)
        def failed(self, message: OperationFailed) -> None:
            self.got.append(message)

    asker = Asker.start(stage.system, stage, "asker")
    order = StartChild(stage.spec("a"), reply_to=asker)
    root.tell(order)
    (failed,) = eventually(lambda: asker.ask(stage.Do(lambda probe: probe.got), timeout=LIMIT_S))
    assert failed.operation is order
    assert isinstance(failed.error, ChildAlreadyStarted)


def test_the_error_of_an_order_that_nobody_wants_back_is_logged(stage: Any) -> None:
    root = stage.root()
    root.tell(DeleteChild("x"))
    eventually(lambda: stage.is_logged("DeleteChild failed: child 'x' is not known"))


def test_a_message_of_no_meaning_does_not_kill_a_supervisor(stage: Any) -> None:
    root = stage.root("a")
    root.tell("nonsense")
    assert list(stage.children(root)) == ["a"]
    assert stage.node("root").unhandled == 1
