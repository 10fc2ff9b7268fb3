"""Any sequence of events, against rules that know nothing of the core's inside."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from supervisor.supervision import Backoff, Reason, Restart, Strategy, SupervisorSpec
from supervisor.supervision.core import Core, Phase
from supervisor.supervision.effects import Finished, RestartDecided
from supervisor.supervision.reasons import NORMAL, SHUTDOWN
from tests.unit.supervision.core.sets_and_lists import CRASHED, World, child


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
