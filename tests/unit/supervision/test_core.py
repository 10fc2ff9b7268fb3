"""The supervisor's decisions against a world that is nothing but sets and lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from pykka import ActorRef

from supervisor.supervision import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    IntensityExceeded,
    Reason,
    Restart,
    Strategy,
    SupervisorSpec,
)
from supervisor.supervision.core import Core, Phase
from supervisor.supervision.effects import (
    Answer,
    CancelWait,
    Discard,
    Effect,
    Finished,
    Halt,
    Launch,
    Ready,
    RestartDecided,
    Wait,
)
from supervisor.supervision.reasons import IGNORED, NORMAL, SHUTDOWN

CRASHED = Reason.failed(RuntimeError("crashed"))


def never_called() -> ActorRef[object]:
    raise AssertionError


def child(child_id: str, restart: Restart = Restart.PERMANENT, **more: bool) -> ChildSpec:
    return ChildSpec(child_id, never_called, restart, **more)


@dataclass
class World:
    """What outside the core would be true if its effects were carried out."""

    core: Core
    now: float = 0.0
    starting: dict[str, int] = field(default_factory=dict)
    up: dict[str, int] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    waits: set[int] = field(default_factory=set)
    gone: list[tuple[str, int]] = field(default_factory=list)
    answers: dict[object, Answer] = field(default_factory=dict)
    seen: list[Effect] = field(default_factory=list)

    @property
    def living(self) -> dict[str, int]:
        return {**self.starting, **self.up}

    def apply(self, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            self._apply(effect)
        self.seen += effects
        return effects

    def _apply(self, effect: Effect) -> None:
        if isinstance(effect, Launch):
            assert effect.id not in self.living, "two incarnations at one time"
            assert (effect.id, effect.incarnation) not in self.gone, "an incarnation used twice"
            self.starting[effect.id] = effect.incarnation
        elif isinstance(effect, Halt):
            assert self.living.get(effect.id) == effect.incarnation, "told a stranger to stop"
            assert effect.id not in self.told, "told twice to stop"
            self.told.add(effect.id)
        elif isinstance(effect, Wait):
            self.waits.add(effect.token)
        elif isinstance(effect, CancelWait):
            self.waits.remove(effect.token)
        elif isinstance(effect, Answer):
            assert effect.request not in self.answers, "answered twice"
            self.answers[effect.request] = effect
        elif isinstance(effect, Discard):
            assert effect.id not in self.living, "forgot a living child"
        elif isinstance(effect, Finished):
            assert not self.living, "finished before its children"

    def begin(self) -> list[Effect]:
        return self.apply(self.core.begin())

    def comes_up(self, child_id: str) -> list[Effect]:
        incarnation = self.starting.pop(child_id)
        self.up[child_id] = incarnation
        return self.apply(self.core.started(child_id, incarnation, self.now))

    def ends(self, child_id: str, reason: Reason = CRASHED) -> list[Effect]:
        incarnation = self.living[child_id]
        self.starting.pop(child_id, None)
        self.up.pop(child_id, None)
        self.told.discard(child_id)
        self.gone.append((child_id, incarnation))
        return self.apply(self.core.ended(child_id, incarnation, reason, self.now))

    def delay_passes(self) -> list[Effect]:
        token = min(self.waits)
        self.waits.remove(token)
        return self.apply(self.core.delay_passed(token))

    def all_come_up(self) -> None:
        while self.starting or self.waits or self.told:
            if self.told:
                self.ends(min(self.told), SHUTDOWN)
            elif self.starting:
                self.comes_up(min(self.starting))
            else:
                self.delay_passes()


def world_of(*children: ChildSpec, **spec: Any) -> World:
    supervisor = SupervisorSpec(children=children, **{"intensity": 3, **spec})
    return World(Core(supervisor, random=lambda: 0.0))


def running(*children: ChildSpec, **spec: Any) -> World:
    world = world_of(*children, **spec)
    world.begin()
    world.all_come_up()
    world.seen.clear()
    return world


def stages(effects: list[Effect]) -> list[str]:
    words = {Launch: "launch", Halt: "halt"}
    return [
        f"{words[type(effect)]} {effect.id}"
        for effect in effects
        if isinstance(effect, Launch | Halt)
    ]


ABC = (child("a"), child("b"), child("c"))


def test_children_start_one_after_the_other_and_ready_comes_when_the_last_is_up() -> None:
    world = world_of(*ABC)
    assert stages(world.begin()) == ["launch a"]
    assert stages(world.comes_up("a")) == ["launch b"]
    assert stages(world.comes_up("b")) == ["launch c"]
    assert world.comes_up("c") == [Ready()]


def test_a_supervisor_without_children_is_ready_at_once() -> None:
    assert world_of().begin() == [Ready()]


def test_one_for_one_restarts_the_dead_child_alone() -> None:
    world = running(*ABC)
    assert stages(world.ends("b")) == ["launch b"]


def test_one_for_all_stops_the_others_in_reverse_then_starts_all_in_order() -> None:
    world = running(*ABC, strategy=Strategy.ONE_FOR_ALL)
    world.ends("b")
    world.all_come_up()
    assert stages(world.seen) == ["halt c", "halt a", "launch a", "launch b", "launch c"]


def test_rest_for_one_leaves_those_started_before_alone() -> None:
    world = running(*ABC, strategy=Strategy.REST_FOR_ONE)
    world.ends("b")
    world.all_come_up()
    assert stages(world.seen) == ["halt c", "launch b", "launch c"]


def test_a_second_death_while_the_group_stops_is_not_counted_and_nothing_is_doubled() -> None:
    world = running(*ABC, strategy=Strategy.ONE_FOR_ALL)
    world.ends("b")
    world.ends("a")
    world.all_come_up()
    assert [each for each in world.seen if isinstance(each, RestartDecided)] == [
        RestartDecided("b", CRASHED, 1, 0.0)
    ]
    assert stages(world.seen) == ["halt c", "launch a", "launch b", "launch c"]


def test_a_death_while_the_group_starts_begins_it_anew_and_counts() -> None:
    world = running(*ABC, strategy=Strategy.ONE_FOR_ALL)
    world.ends("c")
    for stopped in ("b", "a"):
        world.ends(stopped, SHUTDOWN)
    world.comes_up("a")
    world.seen.clear()
    world.ends("a")
    world.all_come_up()
    assert stages(world.seen) == ["halt b", "launch a", "launch b", "launch c"]


def test_an_earlier_death_during_a_rest_for_one_restart_widens_it() -> None:
    world = running(*ABC, strategy=Strategy.REST_FOR_ONE)
    world.ends("c")
    world.seen.clear()
    world.ends("b")
    world.all_come_up()
    assert stages(world.seen) == ["halt c", "launch b", "launch c"]


def test_temporary_children_of_a_group_are_stopped_and_forgotten() -> None:
    world = running(child("a"), child("t", Restart.TEMPORARY), strategy=Strategy.ONE_FOR_ALL)
    world.ends("a")
    world.all_come_up()
    assert set(world.up) == {"a"}
    assert Discard("t") in world.seen


def test_a_group_restart_also_starts_children_that_were_terminated_as_in_otp() -> None:
    world = running(*ABC, strategy=Strategy.ONE_FOR_ALL)
    world.apply(world.core.terminate_child("c", "request"))
    world.ends("c", SHUTDOWN)
    world.ends("a")
    world.all_come_up()
    assert set(world.up) == {"a", "b", "c"}


def test_a_start_that_fails_part_way_stops_in_reverse_what_had_started() -> None:
    world = world_of(*ABC)
    world.begin()
    world.comes_up("a")
    world.comes_up("b")
    world.seen.clear()
    world.ends("c")
    assert stages(world.seen) == ["halt b"]
    assert stages(world.ends("b", SHUTDOWN)) == ["halt a"]
    (finished,) = world.ends("a", SHUTDOWN)
    assert isinstance(finished, Finished)
    assert "'c' did not start" in finished.reason.text


def test_shutting_down_stops_in_reverse_one_after_the_other() -> None:
    world = running(*ABC)
    assert stages(world.apply(world.core.shut_down(SHUTDOWN))) == ["halt c"]
    assert stages(world.ends("c", SHUTDOWN)) == ["halt b"]
    assert stages(world.ends("b", SHUTDOWN)) == ["halt a"]
    assert world.ends("a", SHUTDOWN) == [Finished(SHUTDOWN)]


def test_shutting_down_a_dynamic_supervisor_stops_all_at_once() -> None:
    world = running(dynamic=True)
    for each in ABC:
        world.apply(world.core.start_child(each, each.id))
    world.all_come_up()
    assert stages(world.apply(world.core.shut_down(SHUTDOWN))) == ["halt a", "halt b", "halt c"]


def test_the_first_reason_for_shutting_down_stays() -> None:
    world = running(child("a"))
    world.apply(world.core.shut_down(SHUTDOWN))
    world.apply(world.core.shut_down(CRASHED))
    assert world.ends("a", SHUTDOWN) == [Finished(SHUTDOWN)]


def test_a_death_notice_of_an_earlier_incarnation_changes_nothing() -> None:
    world = running(child("a"))
    first = world.up["a"]
    world.ends("a")
    world.all_come_up()
    assert world.core.ended("a", first, CRASHED, world.now) == []
    assert world.core.started("a", first, world.now) == []


def test_a_second_death_notice_of_one_incarnation_changes_nothing() -> None:
    world = running(child("a", Restart.TRANSIENT))
    incarnation = world.up["a"]
    world.ends("a", NORMAL)
    assert world.core.ended("a", incarnation, CRASHED, world.now) == []


def test_a_start_that_keeps_failing_escalates() -> None:
    world = running(child("a"), intensity=3)
    world.ends("a")
    world.ends("a")
    world.ends("a")
    (finished,) = world.ends("a")
    assert isinstance(finished, Finished)
    assert isinstance(finished.reason.error, IntensityExceeded)


LONE = child("lone", escalates=False)
SLOWLY = {"intensity": 1, "period": 1000, "backoff": Backoff(1, 8, 2, 0.0)}


def test_one_that_does_not_escalate_is_restarted_for_ever_and_its_restarts_count_for_nobody() -> (
    None
):
    world = running(LONE, child("a"), **SLOWLY)
    for _ in range(50):
        world.ends("lone")
        world.all_come_up()
    world.ends("a")
    world.all_come_up()
    assert set(world.up) == {"lone", "a"}
    assert isinstance(world.ends("a")[-1], Halt)
    assert world.core.phase is Phase.STOPPING


def test_a_first_start_that_fails_of_one_that_does_not_escalate_holds_up_nobody() -> None:
    world = world_of(LONE, child("a"), **SLOWLY)
    world.begin()
    assert stages(world.ends("lone")) == ["launch a"]
    assert Ready() in world.comes_up("a")
    for _ in range(20):
        assert stages(world.delay_passes()) == ["launch lone"]
        world.ends("lone")
    world.all_come_up()
    assert set(world.up) == {"lone", "a"}


def test_a_first_start_that_fails_of_another_one_still_ends_the_supervisor() -> None:
    world = world_of(LONE, child("a"), **SLOWLY)
    world.begin()
    world.ends("lone")
    assert isinstance(world.ends("a")[-1], Finished)
    assert not world.waits


def test_waits_grow_while_a_child_keeps_failing_and_start_afresh_after_health() -> None:
    world = running(child("a"), intensity=100, backoff=Backoff(1, 100, 2, 0.0, reset_after=10))
    for _ in range(3):
        world.ends("a")
        world.delay_passes()
        world.comes_up("a")
    world.now += 10
    world.ends("a")
    waits = [effect.seconds for effect in world.seen if isinstance(effect, Wait)]
    assert waits == [1, 2, 4, 1]


def test_terminating_a_child_cancels_its_backoff() -> None:
    world = running(child("a"), backoff=Backoff(1, 10))
    world.ends("a")
    world.apply(world.core.terminate_child("a", "request"))
    assert not world.waits
    assert world.answers["request"].error is None


def test_shutting_down_during_a_backoff_cancels_it() -> None:
    for strategy in Strategy:
        world = running(child("a"), backoff=Backoff(1, 10), strategy=strategy)
        world.ends("a")
        assert world.apply(world.core.shut_down(SHUTDOWN))[-1] == Finished(SHUTDOWN)
        assert not world.waits


def test_a_group_waits_out_the_backoff_before_any_of_it_starts() -> None:
    world = running(*ABC, strategy=Strategy.ONE_FOR_ALL, backoff=Backoff(1, 10))
    world.ends("c")
    world.ends("b", SHUTDOWN)
    assert stages(world.ends("a", SHUTDOWN)) == []
    assert stages(world.delay_passes()) == ["launch a"]


def test_another_death_during_a_groups_backoff_leaves_one_wait() -> None:
    world = running(*ABC, strategy=Strategy.REST_FOR_ONE, backoff=Backoff(1, 10))
    world.ends("c")
    world.ends("b")
    assert len(world.waits) == 1
    world.delay_passes()
    world.all_come_up()
    assert set(world.up) == {"a", "b", "c"}


def test_any_significant_child_that_ends_for_good_shuts_the_supervisor_down() -> None:
    world = running(
        child("a", Restart.TRANSIENT, significant=True),
        child("b"),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    assert stages(world.ends("a", CRASHED)) == ["launch a"]
    world.comes_up("a")
    assert stages(world.ends("a", NORMAL)) == ["halt b"]
    assert world.ends("b", SHUTDOWN) == [Finished(SHUTDOWN)]


def test_all_significant_waits_for_the_last_of_them() -> None:
    world = running(
        child("a", Restart.TEMPORARY, significant=True),
        child("b", Restart.TEMPORARY, significant=True),
        child("c"),
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
    )
    assert stages(world.ends("a", CRASHED)) == []
    assert stages(world.ends("b", NORMAL)) == ["halt c"]


def test_terminating_a_significant_child_by_order_does_not_shut_down() -> None:
    world = running(
        child("a", Restart.TRANSIENT, significant=True),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    world.apply(world.core.terminate_child("a", "request"))
    world.ends("a", SHUTDOWN)
    assert world.core.phase is Phase.RUNNING


def test_a_child_that_ignores_its_start_is_no_failure_and_the_next_one_starts() -> None:
    world = world_of(child("a"), child("b"))
    world.begin()
    assert stages(world.ends("a", IGNORED)) == ["launch b"]
    assert world.comes_up("b") == [Ready()]
    assert "a" in world.core.children


class AnySequence(RuleBasedStateMachine):
    """Any sequence of events, against rules that know nothing of the core's inside."""

    @initialize(
        strategy=st.sampled_from(Strategy),
        restarts=st.lists(st.sampled_from(Restart), max_size=4),
        intensity=st.integers(0, 4),
        backoff=st.sampled_from([None, Backoff(0.5, 4, 2, 0.1)]),
        dynamic=st.booleans(),
        escalate=st.lists(st.booleans(), min_size=4, max_size=4),
    )
    def set_up(
        self,
        strategy: Strategy,
        restarts: list[Restart],
        intensity: int,
        backoff: Backoff | None,
        dynamic: bool,
        escalate: list[bool],
    ) -> None:
        can_be_alone = backoff is not None and (dynamic or strategy is Strategy.ONE_FOR_ONE)
        children = [
            child(
                f"c{number}",
                restart,
                escalates=escalates or restart is not Restart.PERMANENT or not can_be_alone,
            )
            for number, (restart, escalates) in enumerate(zip(restarts, escalate, strict=False))
        ]
        self.spec = SupervisorSpec(
            strategy=Strategy.ONE_FOR_ONE if dynamic else strategy,
            children=() if dynamic else children,
            intensity=intensity,
            period=5,
            backoff=backoff,
            dynamic=dynamic,
        )
        self.world = World(Core(self.spec, random=lambda: 0.5))
        self.counted: list[float] = []
        self.requests = 0
        self.has_been_up: set[str] = set()
        self.terminated: set[str] = set()
        self.ended_for_good: set[str] = set()
        self.ordered_to_end = False
        self.escalated = False
        self.failed_start = False
        self.world.begin()

    @property
    def ending(self) -> bool:
        return self.ordered_to_end or self.escalated or self.failed_start

    def request(self) -> str:
        self.requests += 1
        return f"request {self.requests}"

    def one(self, data: st.DataObject, ids: list[str]) -> str:
        return data.draw(st.sampled_from(sorted(ids)))

    @rule(seconds=st.floats(0.1, 4))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds

    @precondition(lambda self: self.world.starting)
    @rule(data=st.data())
    def a_start_succeeds(self, data: st.DataObject) -> None:
        child_id = self.one(data, list(self.world.starting))
        was_told = child_id in self.world.told
        self.world.comes_up(child_id)
        if not was_told:
            self.has_been_up.add(child_id)

    @precondition(lambda self: self.world.living)
    @rule(data=st.data(), reason=st.sampled_from([NORMAL, SHUTDOWN, CRASHED]))
    def a_child_ends(self, data: st.DataObject, reason: Reason) -> None:
        world = self.world
        child_id = self.one(data, list(world.living))
        kind = world.core.children[child_id].spec.restart
        escalates = world.core.children[child_id].spec.escalates
        must_stop = world.core.children[child_id].must_stop
        failed_to_start = child_id in world.starting
        first = child_id not in self.has_been_up
        requested = world.core.children[child_id].request is not None
        ending = self.ending
        effects = world.ends(child_id, reason)
        decided = [each for each in effects if isinstance(each, RestartDecided)]
        if must_stop or ending:
            assert not decided
            return
        if failed_to_start and requested:
            assert not decided
            return
        if failed_to_start and first and escalates:
            self.failed_start = True
            assert not decided
            return
        due = failed_to_start or (
            kind is Restart.PERMANENT or (kind is Restart.TRANSIENT and reason is CRASHED)
        )
        if not due:
            assert not decided
            self.ended_for_good.add(child_id)
            return
        if not escalates:
            assert decided
            return
        self.counted.append(world.now)
        recent = [time for time in self.counted if world.now - time <= self.spec.period]
        self.escalated = len(recent) > self.spec.intensity
        assert len(decided) == (0 if self.escalated else 1)
        if self.escalated:
            assert world.core.phase in {Phase.STOPPING, Phase.FINISHED}

    @precondition(lambda self: self.world.gone)
    @rule(data=st.data(), reason=st.sampled_from([NORMAL, CRASHED]))
    def a_late_notice_arrives(self, data: st.DataObject, reason: Reason) -> None:
        child_id, incarnation = data.draw(st.sampled_from(self.world.gone))
        assert self.world.core.ended(child_id, incarnation, reason, self.world.now) == []
        assert self.world.core.started(child_id, incarnation, self.world.now) == []

    @precondition(lambda self: self.world.waits)
    @rule()
    def a_delay_passes(self) -> None:
        self.world.delay_passes()

    @rule(number=st.integers(0, 5), restart=st.sampled_from(Restart))
    def start_a_child(self, number: int, restart: Restart) -> None:
        child_id = f"c{number}"
        request = self.request()
        known = child_id in self.world.core.children
        self.world.apply(self.world.core.start_child(child(child_id, restart), request))
        answer = self.world.answers.get(request)
        if known or self.ending:
            assert answer is not None
            assert answer.error is not None
        else:
            self.has_been_up.discard(child_id)
            self.terminated.discard(child_id)
            self.ended_for_good.discard(child_id)

    @rule(number=st.integers(0, 5))
    def terminate_a_child(self, number: int) -> None:
        child_id = f"c{number}"
        known = child_id in self.world.core.children
        request = self.request()
        self.world.apply(self.world.core.terminate_child(child_id, request))
        if known:
            self.terminated.add(child_id)
        else:
            assert self.world.answers[request].error is not None

    @rule(number=st.integers(0, 5))
    def restart_a_child(self, number: int) -> None:
        self.world.apply(self.world.core.restart_child(f"c{number}", self.request()))

    @rule(number=st.integers(0, 5))
    def delete_a_child(self, number: int) -> None:
        child_id = f"c{number}"
        lives = child_id in self.world.living
        request = self.request()
        self.world.apply(self.world.core.delete_child(child_id, request))
        deleted = self.world.answers[request].error is None
        assert not (lives and deleted)

    @precondition(lambda self: self.world.living)
    @rule()
    def shut_down(self) -> None:
        self.ordered_to_end = True
        self.world.apply(self.world.core.shut_down(SHUTDOWN))

    @invariant()
    def in_a_group_at_most_one_child_starts_at_a_time(self) -> None:
        if self.spec.strategy is not Strategy.ONE_FOR_ONE:
            assert len(self.world.starting) <= 1

    @invariant()
    def it_finishes_exactly_when_it_is_ending_and_nobody_lives(self) -> None:
        finished = [each for each in self.world.seen if isinstance(each, Finished)]
        assert len(finished) == int(self.ending and not self.world.living)

    @invariant()
    def nothing_is_waited_for_once_it_is_ending(self) -> None:
        if self.ending:
            assert not self.world.waits

    @invariant()
    def a_dynamic_supervisor_keeps_no_specification_of_those_that_ended_for_good(self) -> None:
        if self.spec.dynamic and not self.ending:
            for each in self.world.core.children.values():
                assert each.wanted or each.is_alive

    def teardown(self) -> None:
        """Let everything go well from here on: it must settle, and nobody may be forgotten."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.all_come_up()
        if self.ending:
            while world.living:
                world.ends(max(world.told), SHUTDOWN)
            assert world.core.phase is Phase.FINISHED
        else:
            assert world.core.phase is Phase.RUNNING
            wanted = {
                each.id
                for each in world.core.children.values()
                if each.spec.restart is Restart.PERMANENT and each.id not in self.terminated
            }
            assert wanted <= set(world.up)
        answered = {f"request {n + 1}" for n in range(self.requests)}
        assert set(world.answers) == answered


AnySequence.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAnySequence = AnySequence.TestCase
