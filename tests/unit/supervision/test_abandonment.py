"""What happens to an actor that does not end when it has to: a thread can't be killed."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from pykka import ActorDeadError
from waiting import LIMIT_S, eventually

from supervisor.supervision import (
    BRUTAL_KILL,
    INFINITY,
    SHUTDOWN,
    Backoff,
    Crash,
    ReasonKind,
    RestartChild,
    StartChild,
    Supervisor,
    SupervisorSpec,
    System,
    TerminateChild,
    TooManyAbandoned,
)
from supervisor.supervision.cell import Place, cell_of, start_at


def busy(stage: Any, name: str) -> str | None:
    handling = stage.node(name).handling
    return handling.type if handling is not None else None


def test_the_tree_shows_what_an_actor_is_in_and_since_when(stage: Any) -> None:
    stage.root("a")
    since = stage.clock.now()
    gate = stage.block("a")
    stage.clock.advance(3)
    node = stage.node("a")
    assert (node.handling.type, node.handling.since) == ("Do", since)
    gate.set()
    eventually(lambda: stage.node("a").handling is None)


@pytest.mark.parametrize("hook", ["on_start", "on_stop"])
def test_the_tree_shows_hooks_that_take_their_time(stage: Any, hook: str) -> None:
    gate = stage.gate()
    root = stage.dynamic()
    hooks = stage.at_start if hook == "on_start" else stage.at_stop
    hooks["a"] = lambda _: gate.wait(60)
    order = stage.spec("a")
    root.tell(StartChild(order))
    if hook == "on_stop":
        eventually(lambda: "a" in stage.system.directory.names())
        root.tell(TerminateChild("a"))
    eventually(lambda: stage.node("root").children and busy(stage, "a") == hook)
    gate.set()


def test_an_actor_stuck_in_one_message_is_noticed_and_logged_once(stage: Any) -> None:
    stage.root("a", "b")
    gate = stage.block("a")
    stage.clock.advance(59)
    assert not stage.node("a").stuck
    stage.clock.advance(60)
    assert stage.node("a").stuck
    assert not stage.node("b").stuck
    stuck = [line for line in stage.logged if "is stuck" in line["message"]]
    assert [line["message"] for line in stuck] == ["root/a is stuck, for 60 s in Do"]
    gate.set()
    eventually(lambda: not stage.node("a").stuck)


def test_the_stuck_limit_is_the_specifications_then_the_classs_then_the_systems(
    stage: Any,
) -> None:
    class Patient(stage.Probe):
        stuck_limit = 600.0

    ref = Patient.start(stage.system, stage, "patient")
    stage.root(stage.spec("a", stuck_limit=10.0), "b")
    limits = [cell_of(each).stuck_limit for each in (ref, stage.ref("a"), stage.ref("b"))]
    assert limits == [600.0, 10.0, 60.0]


def test_a_supervisor_with_a_stuck_child_answers_and_restarts_others(stage: Any) -> None:
    root = stage.root("a", "b")
    stage.block("a")
    before = stage.ref("b")
    stage.crash("b")
    assert stage.reborn("b", before).is_alive()
    assert stage.children(root)["a"].state == "up"


def test_a_child_told_to_stop_ends_before_the_rest_of_its_inbox(stage: Any) -> None:
    root = stage.root("a")
    gate = stage.block("a")
    ref = stage.ref("a")
    for _ in range(100):
        ref.tell("more work")
    waiting = ref.ask(stage.Do(lambda _: "never"), block=False)
    done = root.ask(TerminateChild("a"), block=False)
    eventually(lambda: cell_of(ref).told_to_stop is not None)
    gate.set()
    done.get(timeout=LIMIT_S)
    assert cell_of(ref).ended == SHUTDOWN
    with pytest.raises(ActorDeadError):
        waiting.get(timeout=LIMIT_S)


def test_a_child_that_passes_its_shutdown_limit_is_abandoned(stage: Any) -> None:
    root = stage.root(stage.spec("a", shutdown=3))
    ref = stage.ref("a")
    stage.block("a")
    done = root.ask(TerminateChild("a"), block=False)
    eventually(lambda: stage.children(root)["a"].state == "stopping")
    stage.clock.advance(2.9)
    assert ref.is_alive()
    stage.clock.advance(0.2)
    done.get(timeout=LIMIT_S)
    assert cell_of(ref).ended.kind is ReasonKind.ABANDONED
    assert stage.node("root").abandoned == 1
    assert stage.is_logged("abandoned root/a: it did not stop within 3 s, for 3 s in Do")


def test_brutal_kill_abandons_without_asking(stage: Any) -> None:
    root = stage.root(stage.spec("a", shutdown=BRUTAL_KILL))
    ref = stage.ref("a")
    gate = stage.block("a")
    root.ask(TerminateChild("a"), timeout=LIMIT_S)
    assert not ref.is_alive()
    assert len(stage.system.abandoned()) == 1
    gate.set()
    eventually(lambda: not stage.system.abandoned(), "its thread ends when it can")
    assert "stop a" not in stage.says


def test_an_idle_child_that_is_brutally_killed_leaves_no_thread(stage: Any) -> None:
    root = stage.root(stage.spec("a", shutdown=BRUTAL_KILL))
    root.ask(TerminateChild("a"), timeout=LIMIT_S)
    eventually(lambda: len(stage.system.cells()) == 1)


def test_an_infinite_shutdown_is_never_cut_short(stage: Any) -> None:
    root = stage.root(stage.spec("a", shutdown=INFINITY))
    gate = stage.block("a")
    done = root.ask(TerminateChild("a"), block=False)
    eventually(lambda: stage.children(root)["a"].state == "stopping")
    stage.clock.advance(10_000)
    assert stage.children(root)["a"].state == "stopping"
    gate.set()
    done.get(timeout=LIMIT_S)


def test_a_supervisor_child_has_all_the_time_it_needs_by_default(stage: Any) -> None:
    root = stage.root(stage.under("inner", stage.spec("a", shutdown=INFINITY)))
    gate = stage.block("a")
    done = root.ask(TerminateChild("inner"), block=False)
    eventually(lambda: stage.node("inner").state == "stopping")
    stage.clock.advance(10_000)
    assert stage.children(root)["inner"].state == "stopping"
    gate.set()
    done.get(timeout=LIMIT_S)


def abandon(stage: Any, name: str, then: Any) -> Any:
    """Abandon a child in the middle of a message, at whose end it does `then`."""
    gate, inside = stage.gate(), threading.Event()
    ref = stage.ref(name)
    ref.tell(stage.Do(lambda probe: (inside.set(), gate.wait(60), then(probe))))
    assert inside.wait(LIMIT_S)
    cell_of(ref).abandon("the test wants it")
    return gate


def test_what_an_abandoned_incarnation_publishes_is_ignored(stage: Any) -> None:
    stage.root("a")
    cell = cell_of(stage.ref("a"))
    gate = abandon(stage, "a", lambda probe: probe.publish("from the grave"))
    gate.set()
    eventually(lambda: not stage.system.abandoned())
    assert cell.snapshot.state == "running"


def test_what_an_abandoned_incarnation_tells_by_name_is_ignored(stage: Any) -> None:
    stage.root("a", "b")
    told: list[bool] = []
    gate = abandon(stage, "a", lambda probe: told.append(probe.system.directory.tell("b", "boo")))
    gate.set()
    eventually(lambda: told)
    assert told == [False]
    assert stage.ask("b", lambda probe: probe.got) == []


def test_the_timers_of_an_abandoned_incarnation_are_ignored(stage: Any) -> None:
    stage.root("a")
    ref = stage.ref("a")
    stage.ask("a", lambda probe: probe.tell_after(10, "late") and None)
    gate = abandon(stage, "a", lambda probe: probe.tell_after(10, "later"))
    gate.set()
    eventually(lambda: not stage.system.abandoned())
    stage.clock.advance(30)
    assert cell_of(ref).mailbox.depth() <= 1  # what woke it up, at most


def test_the_death_notice_of_an_abandoned_incarnation_is_ignored(stage: Any) -> None:
    root = stage.root("a", intensity=5)
    before = stage.ref("a")
    gate = abandon(stage, "a", lambda _: throw(RuntimeError("at last")))
    after = stage.reborn("a", before)
    gate.set()
    eventually(lambda: not stage.system.abandoned())
    assert stage.children(root)["a"].restarts == 1
    assert stage.ref("a") is after


def throw(error: BaseException) -> None:
    raise error


def test_an_abandoned_incarnation_runs_no_clean_up_that_could_hurt_the_next_one(
    stage: Any,
) -> None:
    stage.root("a")
    before = stage.ref("a")
    gate = abandon(stage, "a", lambda _: throw(RuntimeError("at last")))
    stage.reborn("a", before)
    gate.set()
    eventually(lambda: not stage.system.abandoned())
    stage.heard("start a", "start a")
    assert stage.says == []


def test_whoever_waits_for_an_abandoned_actors_answer_is_told(stage: Any) -> None:
    stage.root("a")
    ref = stage.ref("a")
    gate, inside = stage.gate(), threading.Event()
    answer = ref.ask(stage.Do(lambda _: (inside.set(), gate.wait(60))), block=False)
    assert inside.wait(LIMIT_S)
    cell_of(ref).abandon("the test wants it")
    with pytest.raises(ActorDeadError, match="root/a ended before it answered"):
        answer.get(timeout=LIMIT_S)


def test_an_abandoned_child_is_restarted_and_keeps_its_name(stage: Any) -> None:
    stage.root("a")
    before = stage.ref("a")
    abandon(stage, "a", lambda _: None)
    after = stage.reborn("a", before)
    assert stage.system.directory.tell("a", "hello")
    assert stage.ask("a", lambda probe: probe.got) == ["hello"]
    assert after.is_alive()


def test_abandoning_a_supervisor_abandons_all_below_it(stage: Any) -> None:
    inner = stage.under("inner", stage.spec("a"), child={"shutdown": BRUTAL_KILL})
    root = stage.root(stage.under("outer", inner))
    child = stage.ref("a")
    stage.block("a")
    stage.ref("outer").ask(TerminateChild("inner"), timeout=LIMIT_S)
    assert not child.is_alive()
    assert root.is_alive()
    eventually(
        lambda: [cell.path for cell in stage.system.abandoned()] == ["root/outer/inner/a"],
        "the idle supervisor's thread ends, the stuck child's does not",
    )


def test_a_child_started_by_an_abandoned_supervisor_never_lives(stage: Any) -> None:
    inner = Supervisor.start(stage.system, SupervisorSpec())
    cell = cell_of(inner)
    eventually(lambda: cell.snapshot.state == "running")
    cell.abandon("the test wants it")
    start = partial(stage.Probe.start, stage.system, stage, "late")
    late = start_at(Place("late", parent=cell), start)
    assert not late.is_alive()
    eventually(lambda: not stage.system.cells())
    assert "start late" not in stage.says


def test_too_many_abandoned_actors_fail_the_root_with_a_clear_reason(stage: Any) -> None:
    names = [f"a{n}" for n in range(11)]
    root = stage.root(*(stage.spec(name, shutdown=BRUTAL_KILL) for name in names))
    for name in names[:10]:
        stage.block(name)
        root.ask(TerminateChild(name), timeout=LIMIT_S)
    stage.clock.advance(6)
    assert stage.children(root)["a10"].state == "up"
    stage.block(names[10])
    root.ask(TerminateChild(names[10]), timeout=LIMIT_S)
    stage.clock.advance(6)
    assert stage.system.root_ended.wait(LIMIT_S)
    assert isinstance(stage.system.root_reason.error, TooManyAbandoned)
    assert "11 abandoned actors still occupy a thread (limit 10)" in stage.system.root_reason.text


def test_one_that_does_not_escalate_hangs_in_one_thread_at_most(stage: Any) -> None:
    gate = stage.gate()
    stage.at_start["lone"] = lambda _: gate.wait(60)
    lone = stage.spec("lone", escalates=False, start_limit=5)
    up = threading.Thread(target=stage.root, args=(lone, "a"), kwargs={"backoff": Backoff(1, 30)})
    up.start()
    eventually(lambda: "lone" in stage.system.directory.names())
    stage.clock.advance(5)
    up.join(LIMIT_S)
    assert stage.ref("a").is_alive()
    for restarts in range(1, 20):
        eventually(lambda restarts=restarts: stage.node("lone").restarts == restarts)
        stage.children(stage.ref("root"))  # it waits for the next one by now
        stage.clock.advance(30)
    assert [cell.path for cell in stage.system.abandoned()] == ["root/lone"]
    eventually(lambda: "an earlier root/lone hangs" in stage.node("lone").reason)
    gate.set()
    eventually(lambda: not stage.system.abandoned())
    stage.clock.advance(30)
    eventually(lambda: stage.node("lone").alive)


def test_actors_that_were_killed_in_good_health_do_not_count(stage: Any) -> None:
    root = stage.root(*(stage.spec(f"a{n}", shutdown=BRUTAL_KILL) for n in range(20)))
    for n in range(20):
        root.ask(TerminateChild(f"a{n}"), timeout=LIMIT_S)
    eventually(lambda: not stage.system.abandoned())
    stage.clock.advance(6)
    assert root.ask(RestartChild("a0"), timeout=LIMIT_S).is_alive()


def test_stopping_the_system_takes_no_longer_than_its_limit(stage: Any) -> None:
    stage.root(stage.spec("a", shutdown=INFINITY), "b")
    stage.block("a")
    stage.system.stop(0.05)
    assert stage.system.root_ended.is_set()
    assert stage.system.root_reason.kind is ReasonKind.ABANDONED
    assert not stage.system.directory.names()


def test_an_abandoned_root_calls_on_end_once(stage: Any) -> None:
    stage.root("a")
    gate = stage.block("a")
    stage.system.stop(0.05)
    gate.set()
    eventually(lambda: not stage.system.cells())
    assert [reason.kind for reason in stage.root_ends] == [ReasonKind.ABANDONED]


def test_whoever_watches_an_abandoned_actor_gets_one_down(stage: Any) -> None:
    stage.root("a")
    seen: list[Any] = []
    cell = cell_of(stage.ref("a"))
    cell.watch("test", seen.append)
    gate = abandon(stage, "a", lambda _: throw(RuntimeError("at last")))
    gate.set()
    eventually(lambda: not stage.system.abandoned())
    assert [reason.kind for reason in seen] == [ReasonKind.ABANDONED]


def test_a_system_of_its_own_limits_can_be_had(stage: Any) -> None:
    system = System(stage.clock, stuck_limit=1, sweep_every=0.5, abandoned_limit=0)
    gate = stage.gate()
    stuck = stage.Probe.start(system, stage, "stuck")
    stuck.tell(stage.Do(lambda _: gate.wait(60)))
    eventually(lambda: cell_of(stuck).handling and cell_of(stuck).handling[0] is stage.Do)
    stage.clock.advance(1.5)
    assert cell_of(stuck).stuck
    gate.set()
    stuck.tell(Crash())
    eventually(lambda: not system.cells())
