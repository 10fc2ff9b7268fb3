from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from pykka import ActorDeadError
from waiting import LIMIT_S, eventually

from supervisor.supervision import (
    IGNORE,
    SHUTDOWN,
    AutoShutdown,
    Backoff,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildCounts,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildSpec,
    ChildStartFailed,
    CountChildren,
    Crash,
    DeleteChild,
    IntensityExceeded,
    NameTaken,
    OperationFailed,
    Restart,
    RestartChild,
    StartChild,
    StartIgnored,
    StartLimitPassed,
    Strategy,
    SupervisorSpec,
    TerminateChild,
    handles,
)
from supervisor.supervision.cell import cell_of


def throw(error: BaseException, *_: Any) -> None:
    raise error


# Order


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


# Restart


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


# Intensity, backoff, escalation


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


# Operations


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


# Ignore, significance, dynamic


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


# Specifications


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": ""}, "not empty"),
        ({"id": "a/b"}, "no slash"),
        ({"significant": True}, "permanent"),
        ({"shutdown": -1}, "shutdown is -1"),
        ({"start_limit": -1}, "start_limit is -1"),
        ({"shutdown": float("nan")}, "shutdown is nan"),
    ],
)
def test_a_child_specification_that_makes_no_sense_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ChildSpec(**{"id": "a", "start": lambda: IGNORE, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"intensity": -1}, "intensity"),
        ({"period": 0}, "period"),
        ({"dynamic": True, "strategy": Strategy.ONE_FOR_ALL}, "one_for_one"),
        ({"dynamic": True, "children": [ChildSpec("a", lambda: IGNORE)]}, "without children"),
        ({"children": [ChildSpec("a", lambda: IGNORE)] * 2}, "two children have the id 'a'"),
    ],
)
def test_a_supervisor_specification_that_makes_no_sense_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SupervisorSpec(**options)


def test_the_defaults_are_otps() -> None:
    spec = SupervisorSpec()
    assert (spec.strategy, spec.intensity, spec.period) == (Strategy.ONE_FOR_ONE, 1, 5.0)
    assert spec.auto_shutdown is AutoShutdown.NEVER
    child = ChildSpec("a", lambda: IGNORE)
    assert (child.restart, child.significant) == (Restart.PERMANENT, False)
