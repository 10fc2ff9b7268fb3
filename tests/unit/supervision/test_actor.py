from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import Any

import pykka
import pytest
from pykka import ActorDeadError, ActorRegistry
from waiting import LIMIT_S, eventually

from supervisor.supervision import (
    Actor,
    ChildSpec,
    Crash,
    Crashed,
    Down,
    Reason,
    ReasonKind,
    System,
    UnhandledMessage,
    handles,
)
from supervisor.supervision.cell import cell_of


@dataclass(frozen=True)
class Fruit:
    pass


@dataclass(frozen=True)
class Apple(Fruit):
    pass


@dataclass(frozen=True)
class Pear(Fruit):
    pass


@dataclass(frozen=True)
class Stone:
    pass


class Eater(Actor):
    @handles(Fruit)
    def fruit(self, _: Fruit) -> str:
        return "fruit"

    @handles(Apple)
    def apple(self, _: Apple) -> str:
        return "apple"

    @handles(Stone, replies=(ValueError,))
    def stone(self, _: Stone) -> None:
        raise ValueError("not edible")


class PickyEater(Eater):
    def fruit(self, _: Fruit) -> str:
        return "picked fruit"


def ended(ref: Any, stage: Any) -> Reason:
    return eventually(lambda: cell_of(ref).ended)


def throw(error: BaseException, *_: Any) -> None:
    raise error


@pytest.fixture
def eater(stage: Any) -> Any:
    return Eater.start(stage.system)


def test_a_message_goes_to_the_handler_of_its_exact_type(eater: Any) -> None:
    assert eater.ask(Apple(), timeout=LIMIT_S) == "apple"


def test_a_message_without_its_own_handler_goes_to_that_of_its_nearest_base(eater: Any) -> None:
    assert eater.ask(Pear(), timeout=LIMIT_S) == "fruit"


def test_a_subclass_overrides_a_handler_by_its_name(stage: Any) -> None:
    assert PickyEater.start(stage.system).ask(Pear(), timeout=LIMIT_S) == "picked fruit"


def test_two_handlers_for_one_type_in_one_class_are_refused() -> None:
    with pytest.raises(TypeError, match="handles Apple twice: in one and in two"):

        class Wrong(Actor):
            @handles(Apple)
            def one(self, _: Apple) -> None: ...

            @handles(Apple)
            def two(self, _: Apple) -> None: ...


def test_handles_without_a_type_is_refused() -> None:
    with pytest.raises(TypeError, match="needs the types"):
        handles()


def test_a_message_that_nobody_handles_is_logged_counted_and_dropped(
    stage: Any, eater: Any
) -> None:
    eater.tell(42)
    assert eater.ask(Apple(), timeout=LIMIT_S) == "apple"
    assert cell_of(eater).unhandled == 1
    assert stage.is_logged("nobody handles: int")


def test_whoever_asks_what_nobody_handles_is_told_so_and_the_actor_lives(eater: Any) -> None:
    with pytest.raises(UnhandledMessage, match="does not handle int"):
        eater.ask(42, timeout=LIMIT_S)
    assert eater.ask(Apple(), timeout=LIMIT_S) == "apple"


def test_calls_through_a_pykka_proxy_work(stage: Any) -> None:
    proxy = stage.alone().proxy()
    assert proxy.name.get(timeout=LIMIT_S) == "alone"
    assert proxy.do(stage.Do(lambda _: 7)).get(timeout=LIMIT_S) == 7


def test_an_exception_in_a_told_message_ends_the_actor(stage: Any) -> None:
    ref = stage.alone()
    ref.tell(stage.Do(partial(throw, KeyError("gone"))))
    reason = ended(ref, stage)
    assert reason.kind is ReasonKind.ERROR
    assert isinstance(reason.error, KeyError)
    stage.heard("start alone", "fail alone")


def test_an_exception_in_an_asked_message_goes_to_the_asker_and_ends_the_actor(stage: Any) -> None:
    ref = stage.alone()
    with pytest.raises(KeyError, match="gone"):
        ref.ask(stage.Do(partial(throw, KeyError("gone"))), timeout=LIMIT_S)
    assert isinstance(ended(ref, stage).error, KeyError)


def test_an_exception_declared_as_a_reply_leaves_the_actor_alive(eater: Any) -> None:
    with pytest.raises(ValueError, match="not edible"):
        eater.ask(Stone(), timeout=LIMIT_S)
    assert eater.ask(Apple(), timeout=LIMIT_S) == "apple"


def test_an_exception_declared_as_a_reply_is_a_failure_where_nobody_asked(
    stage: Any, eater: Any
) -> None:
    eater.tell(Stone())
    assert isinstance(ended(eater, stage).error, ValueError)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_base_exception_ends_its_actor_and_no_other(stage: Any, error: BaseException) -> None:
    ref, other = stage.alone(), stage.alone("other")
    ref.tell(stage.Do(partial(throw, error)))
    assert ended(ref, stage).error is error
    assert other.ask(stage.Do(lambda _: "alive"), timeout=LIMIT_S) == "alive"


def test_a_base_exception_does_not_reach_the_asker_as_itself(stage: Any) -> None:
    with pytest.raises(ActorDeadError, match="SystemExit"):
        stage.alone().ask(stage.Do(partial(throw, SystemExit(3))), timeout=LIMIT_S)


def test_an_exception_in_on_start_ends_the_actor_and_calls_on_failure(stage: Any) -> None:
    stage.at_start["alone"] = partial(throw, OSError("no disk"))
    assert isinstance(ended(stage.alone(), stage).error, OSError)
    stage.heard("start alone", "fail alone")


def test_an_exception_in_on_stop_makes_the_end_a_failure(stage: Any) -> None:
    stage.at_stop["alone"] = partial(throw, OSError("no disk"))
    ref = stage.alone()
    ref.stop(timeout=LIMIT_S)
    assert isinstance(ended(ref, stage).error, OSError)


def test_an_exception_in_on_failure_leaves_the_first_reason(stage: Any) -> None:
    class Clumsy(stage.Probe):
        def on_failure(self, *_: Any) -> None:
            raise OSError("clumsy")

    ref = Clumsy.start(stage.system, stage, "clumsy")
    ref.tell(Crash("first"))
    assert str(ended(ref, stage)) == "error (Crashed: first)"


def test_an_actor_that_stops_itself_ends_normally_and_drops_the_rest_of_its_inbox(
    stage: Any,
) -> None:
    ref = stage.alone()
    gate = stage.gate()
    ref.tell(stage.Do(lambda probe: (gate.wait(LIMIT_S), probe.stop())))
    late = ref.ask(stage.Do(lambda _: "late"), block=False)
    gate.set()
    with pytest.raises(ActorDeadError):
        late.get(timeout=LIMIT_S)
    assert ended(ref, stage).kind is ReasonKind.NORMAL
    stage.heard("start alone", "stop alone")


def test_an_actor_can_stop_itself_in_on_start(stage: Any) -> None:
    stage.at_start["alone"] = lambda probe: probe.stop()
    assert ended(stage.alone(), stage).kind is ReasonKind.NORMAL


def test_pykkas_stop_handles_what_is_in_the_inbox_first(stage: Any) -> None:
    ref = stage.alone()
    answer = ref.ask(stage.Do(lambda _: "before"), block=False)
    assert ref.stop(timeout=LIMIT_S)
    assert answer.get(timeout=LIMIT_S) == "before"
    assert ended(ref, stage).kind is ReasonKind.NORMAL


def test_pykkas_stop_all_works(stage: Any) -> None:
    ref = stage.alone()
    ActorRegistry.stop_all(timeout=LIMIT_S)
    assert not ref.is_alive()


def test_an_ended_actor_is_out_of_pykkas_registry(stage: Any) -> None:
    ref = stage.alone()
    assert ref in ActorRegistry.get_all()
    ref.stop(timeout=LIMIT_S)
    eventually(lambda: not stage.system.cells())
    assert ref not in ActorRegistry.get_all()


def test_an_ask_that_comes_after_the_last_look_at_the_inbox_is_answered(stage: Any) -> None:
    ref = stage.alone()
    ref.stop(timeout=LIMIT_S)
    eventually(lambda: not stage.system.cells())
    # As if the asker had found it alive an instant before.
    ref.actor_stopped.clear()
    with pytest.raises(ActorDeadError):
        ref.ask("anybody?", timeout=LIMIT_S)


def test_crash_makes_any_actor_fail(stage: Any, eater: Any) -> None:
    eater.tell(Crash("for once"))
    assert isinstance(ended(eater, stage).error, Crashed)


def test_a_snapshot_is_read_without_asking_and_keeps_since_while_the_state_stays(
    stage: Any,
) -> None:
    ref = stage.alone()

    def publish(*words: str, **details: int) -> None:
        ref.ask(stage.Do(lambda probe: probe.publish(*words, **details)), timeout=LIMIT_S)

    publish("idle", "nothing to do", jobs=0)
    first = cell_of(ref).snapshot
    stage.clock.advance(5)
    publish("idle", "still nothing", jobs=1)
    second = cell_of(ref).snapshot
    publish("busy")
    third = cell_of(ref).snapshot
    assert (first.state, first.reason, dict(first.details)) == (
        "idle",
        "nothing to do",
        {"jobs": 0},
    )
    assert second.since_s == first.since_s
    assert second.details["jobs"] == 1
    assert third.since_s - first.since_s == 5
    with pytest.raises(TypeError):
        third.details["jobs"] = 3  # type: ignore[index]


def test_an_actor_that_publishes_nothing_is_starting_then_running(stage: Any) -> None:
    gate = stage.gate()
    stage.at_start["alone"] = lambda _: gate.wait(LIMIT_S)
    cell = cell_of(stage.alone())
    assert cell.snapshot.state == "starting"
    gate.set()
    eventually(lambda: cell.snapshot.state == "running")


def test_tell_after_delivers_when_its_time_has_come(stage: Any) -> None:
    ref = stage.alone()
    ref.ask(stage.Do(lambda probe: probe.tell_after(5, "late") and None), timeout=LIMIT_S)

    def got() -> list[str]:
        found: list[str] = ref.ask(stage.Do(lambda probe: list(probe.got)), timeout=LIMIT_S)
        return found

    stage.clock.advance(4.9)
    assert got() == []
    stage.clock.advance(0.2)
    assert got() == ["late"]


def test_a_cancelled_tell_after_is_not_handled_even_if_it_is_in_the_inbox(stage: Any) -> None:
    ref = stage.alone()
    set_up = stage.Do(lambda probe: setattr(probe, "timer", probe.tell_after(5, "late")))
    ref.ask(set_up, timeout=LIMIT_S)
    gate = stage.gate()
    ref.tell(stage.Do(lambda probe: (gate.wait(LIMIT_S), probe.timer.cancel())))
    stage.clock.advance(6)
    gate.set()
    assert ref.ask(stage.Do(lambda probe: probe.got), timeout=LIMIT_S) == []


def test_the_timers_of_a_dead_actor_are_gone(stage: Any) -> None:
    ref = stage.alone()
    ref.ask(stage.Do(lambda probe: probe.tell_after(5000, "late") and None), timeout=LIMIT_S)
    ref.stop(timeout=LIMIT_S)
    eventually(lambda: not stage.system.cells())
    stage.clock.advance(10)
    assert stage.system.timers.next_due() is None


def test_an_actor_that_sets_many_timers_does_not_collect_them(stage: Any) -> None:
    ref = stage.alone()
    for _ in range(20):
        setting = stage.Do(lambda probe: [probe.tell_after(0, "now") for _ in range(10)] and None)
        ref.ask(setting, timeout=LIMIT_S)
        stage.clock.advance(1)
    held = ref.ask(stage.Do(lambda probe: len(probe._Actor__timers)), timeout=LIMIT_S)
    assert held < 60


def test_tell_self_comes_after_what_is_in_the_inbox(stage: Any) -> None:
    ref = stage.alone()
    ref.ask(stage.Do(lambda probe: probe.tell_self("me")), timeout=LIMIT_S)
    assert ref.ask(stage.Do(lambda probe: probe.got), timeout=LIMIT_S) == ["me"]


def test_a_reply_can_be_given_later_by_another_thread(stage: Any) -> None:
    ref = stage.alone()

    def later(probe: Any) -> str:
        reply = probe.defer_reply()
        threading.Thread(target=lambda: reply.set("later")).start()
        return "not this"

    assert ref.ask(stage.Do(later), timeout=LIMIT_S) == "later"


def test_a_reply_that_is_still_owed_when_the_actor_ends_is_that_it_is_dead(stage: Any) -> None:
    ref = stage.alone()
    ref.tell(stage.Do(lambda probe: setattr(probe, "owed", [])))
    answer = ref.ask(stage.Do(lambda probe: probe.owed.append(probe.defer_reply())), block=False)
    ref.tell(Crash())
    with pytest.raises(ActorDeadError):
        answer.get(timeout=LIMIT_S)


class Watcher(Actor):
    def __init__(self, system: System, target: Any) -> None:
        super().__init__(system)
        self.target = target
        self.downs: list[Down] = []

    def on_start(self) -> None:
        self.watch = self.monitor(self.target)

    @handles(Down)
    def down(self, message: Down) -> None:
        self.downs.append(message)

    @handles(str)
    def seen(self, message: str) -> Any:
        return list(self.downs) if message == "downs" else self.demonitor(self.watch)


def test_a_monitor_delivers_one_down_with_the_reason(stage: Any) -> None:
    target = stage.alone("target")
    watcher = Watcher.start(stage.system, target)
    assert watcher.ask("downs", timeout=LIMIT_S) == []
    target.tell(Crash("bad luck"))
    (down,) = eventually(lambda: watcher.ask("downs", timeout=LIMIT_S))
    assert isinstance(down.reason.error, Crashed)
    assert down.id == "Probe"
    cell_of(target).end(Reason.abandoned("a second notice"))
    assert len(watcher.ask("downs", timeout=LIMIT_S)) == 1


def test_a_monitor_on_a_dead_actor_delivers_one_down_with_the_real_reason(stage: Any) -> None:
    target = stage.alone("target")
    target.tell(Crash("long ago"))
    ended(target, stage)
    watcher = Watcher.start(stage.system, target)
    (down,) = eventually(lambda: watcher.ask("downs", timeout=LIMIT_S))
    assert str(down.reason) == "error (Crashed: long ago)"


def test_two_monitors_of_one_actor_on_another_deliver_two_downs(stage: Any) -> None:
    target = stage.alone("target")
    watcher = Watcher.start(stage.system, target)
    watcher.ask("downs", timeout=LIMIT_S)
    second = watcher.proxy().monitor(target).get(timeout=LIMIT_S)
    target.stop(timeout=LIMIT_S)
    downs = eventually(lambda: len(found := watcher.ask("downs", timeout=LIMIT_S)) == 2 and found)
    assert second in {down.monitor for down in downs}
    assert len({down.monitor for down in downs}) == 2


def test_after_demonitor_no_down_comes_even_if_it_is_in_the_inbox(stage: Any) -> None:
    target, watcher = stage.alone("target"), stage.alone("watcher")
    monitor = watcher.ask(stage.Do(lambda probe: probe.monitor(target)), timeout=LIMIT_S)
    gate = stage.gate()
    watcher.tell(stage.Do(lambda probe: (gate.wait(LIMIT_S), probe.demonitor(monitor))))
    target.stop(timeout=LIMIT_S)
    eventually(lambda: cell_of(watcher).mailbox.depth() == 1, "the Down is in the inbox")
    gate.set()
    watcher.ask(stage.Do(lambda _: None), timeout=LIMIT_S)
    assert cell_of(watcher).unhandled == 0


def test_a_dead_watcher_leaves_nothing_with_its_target(stage: Any) -> None:
    target = stage.alone("target")
    watcher = Watcher.start(stage.system, target)
    watcher.stop(timeout=LIMIT_S)
    eventually(lambda: len(stage.system.cells()) == 1)
    assert not cell_of(target)._watchers


def test_an_actor_of_another_kind_cannot_be_monitored(stage: Any) -> None:
    class Stranger(pykka.ThreadingActor):
        use_daemon_thread = True

    stranger = Stranger.start()
    try:
        ref = Watcher.start(stage.system, stranger)
        assert isinstance(ended(ref, stage).error, TypeError)
    finally:
        stranger.stop(timeout=LIMIT_S)


def test_log_lines_carry_the_path_and_what_the_specification_adds(stage: Any) -> None:
    from loguru import logger  # noqa: PLC0415

    stage.root(stage.spec("runner-1", log_context={"runner": "runner-1"}))
    stage.ask("runner-1", lambda _: logger.info("working"))
    (line,) = [each for each in stage.logged if each["message"] == "working"]
    assert line["extra"] == {"actor": "root/runner-1", "runner": "runner-1"}


def test_a_childs_end_is_logged_with_what_its_specification_adds(stage: Any) -> None:
    stage.root(stage.spec("runner-1", log_context={"runner": "runner-1"}))
    stage.system.stop(LIMIT_S)
    (line,) = [each for each in stage.logged if each["message"].startswith("child runner-1 ended")]
    assert line["extra"] == {"actor": "root", "runner": "runner-1"}


def test_the_thread_is_a_daemon_named_after_the_path(stage: Any) -> None:
    stage.root("a")
    thread = stage.ask("a", lambda _: threading.current_thread())
    assert thread.daemon
    assert thread.name == "root/a"


def test_an_actor_whose_thread_cannot_start_leaves_no_trace(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="new thread"):
            stage.alone()
    assert stage.system.cells() == []
    assert not [ref for ref in ActorRegistry.get_all() if ref.actor_class is stage.Probe]


def test_an_actor_started_inside_anothers_start_does_not_take_its_place(stage: Any) -> None:
    inner: list[Any] = []

    def start() -> Any:
        ref = stage.Probe.start(stage.system, stage, "outer")
        inner.append(stage.alone("inner"))
        return ref

    stage.root(ChildSpec("outer", start))
    assert cell_of(inner[0]).path == "Probe"
    assert (
        stage.ref("outer").ask(stage.Do(lambda probe: probe.path), timeout=LIMIT_S) == "root/outer"
    )
