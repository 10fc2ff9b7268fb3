"""Children that ignore their start, are significant, that don't escalate, or come dynamically."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from waiting import LIMIT_S, eventually

from supervisor.supervision import (
    IGNORE,
    SHUTDOWN,
    AutoShutdown,
    Backoff,
    ChildSpec,
    ChildStartFailed,
    NameTaken,
    Restart,
    StartChild,
    StartIgnored,
    Strategy,
    SupervisorSpec,
)
from supervisor.supervision.cell import cell_of
from tests.unit.supervision.conftest import throw


def test_a_child_that_decides_not_to_start_is_no_failure(stage: Any) -> None:
    root = stage.root(ChildSpec("a", lambda: IGNORE), "b")
    assert stage.children(root)["a"].state == "down"
    assert stage.children(root)["b"].state == "up"


def test_a_start_that_ignores_after_starting_its_actor_leaves_no_actor(stage: Any) -> None:
    def start() -> Any:
        stage.Probe.start(stage.system, stage, "a")
        return IGNORE

    root = stage.root()
    with pytest.raises(ChildStartFailed, match="must return IGNORE or"):
        root.ask(StartChild(ChildSpec("a", start)), timeout=LIMIT_S)
    eventually(lambda: len(stage.system.cells()) == 1)


def test_a_child_can_decide_in_on_start_not_to_start(stage: Any) -> None:
    stage.at_start["a"] = partial(throw, StartIgnored("no such hardware"))
    root = stage.root("b")
    assert stage.add(root, "a") is IGNORE
    assert stage.children(root)["a"].state == "down"
    assert "fail a" not in stage.says


def test_an_ignoring_temporary_child_is_forgotten(stage: Any) -> None:
    root = stage.root()
    spec = ChildSpec("a", lambda: IGNORE, restart=Restart.TEMPORARY)
    assert root.ask(StartChild(spec), timeout=LIMIT_S) is IGNORE
    assert stage.children(root) == {}


def test_auto_shutdown_ends_the_supervisor_with_its_significant_child(stage: Any) -> None:
    stage.root(
        stage.spec("a"),
        stage.spec("b", restart=Restart.TRANSIENT, significant=True),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    stage.ref("b").tell(stage.Do(lambda probe: probe.stop()))
    assert stage.system.root_ended.wait(LIMIT_S)
    assert str(stage.system.root_reason) == "shutdown"
    assert stage.says[-2:] == ["stop b", "stop a"]


def test_auto_shutdown_can_wait_for_all_significant_children(stage: Any) -> None:
    options = {"restart": Restart.TEMPORARY, "significant": True}
    stage.root(
        stage.spec("a", **options),
        stage.spec("b", **options),
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
    )
    stage.crash("a")
    assert stage.ask("b", lambda _: "alive") == "alive"
    stage.crash("b")
    assert stage.system.root_ended.wait(LIMIT_S)


def test_a_significant_child_needs_an_auto_shutdown(stage: Any) -> None:
    root = stage.root()
    spec = stage.spec("a", restart=Restart.TRANSIENT, significant=True)
    with pytest.raises(ValueError, match="auto_shutdown is never"):
        root.ask(StartChild(spec), timeout=LIMIT_S)


def test_a_child_that_does_not_escalate_is_permanent() -> None:
    with pytest.raises(ValueError, match="must be permanent, not transient"):
        ChildSpec("a", lambda: IGNORE, restart=Restart.TRANSIENT, escalates=False)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            {"strategy": Strategy.REST_FOR_ONE, "backoff": Backoff()},
            "must be one_for_one, not rest_for_one",
        ),
        ({}, "needs one with a minimum"),
        ({"backoff": Backoff(minimum=0)}, "needs one with a minimum"),
    ],
)
def test_a_child_that_does_not_escalate_harms_nobody_else(
    options: dict[str, Any], error: str
) -> None:
    child = ChildSpec("a", lambda: IGNORE, escalates=False)
    with pytest.raises(ValueError, match=error):
        SupervisorSpec(children=[child], **options)


def test_a_dynamic_supervisor_forgets_children_that_are_not_restarted(stage: Any) -> None:
    root = stage.dynamic()
    stage.add(root, "transient", restart=Restart.TRANSIENT)
    stage.add(root, "temporary", restart=Restart.TEMPORARY)
    stage.ref("transient").tell(stage.Do(lambda probe: probe.stop()))
    stage.crash("temporary")
    eventually(lambda: not stage.children(root))


def test_a_dynamic_supervisor_restarts_a_transient_child_that_crashed(stage: Any) -> None:
    root = stage.dynamic()
    before = stage.add(root, "a", restart=Restart.TRANSIENT)
    stage.crash("a")
    assert stage.reborn("a", before).is_alive()


def test_a_dynamic_supervisor_stops_its_children_in_parallel(stage: Any) -> None:
    root = stage.dynamic()
    names = [f"runner-{n}" for n in range(5)]
    stopping: list[str] = []
    gate = stage.gate()
    for name in names:
        stage.at_stop[name] = lambda probe: (stopping.append(probe.name), gate.wait(LIMIT_S))
        stage.add(root, name)
    cell_of(root).stop(SHUTDOWN)
    eventually(lambda: len(stopping) == 5, "all are stopping at the same time")
    gate.set()
    assert stage.system.root_ended.wait(LIMIT_S)


def test_a_name_that_another_actor_holds_is_a_failed_start(stage: Any) -> None:
    root = stage.root("a", stage.under("inner"))
    inner = stage.ref("inner")
    with pytest.raises(ChildStartFailed) as failed:
        inner.ask(StartChild(stage.spec("b", name="a")), timeout=LIMIT_S)
    assert isinstance(failed.value.reason.error, NameTaken)
    assert stage.ref("a") is stage.children(root)["a"].ref
