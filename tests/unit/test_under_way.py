from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
from fake_world import World, all_in_memory, make_world
from under_way import CountedWorkers, Gate, Patience, progress
from waiting import LIMIT_S, eventually

from supervisor.supervision import Actor, ChildSpec, FakeClock, System, handles

__all__ = ["all_in_memory", "make_world"]

MakeWorld = Callable[..., World]


class Player(Actor):
    """Does what it is told to, and says that it has begun before it begins."""

    def __init__(self, system: System, done: list[object]) -> None:
        super().__init__(system)
        self._done = done

    @handles(tuple)
    def _play(self, acts: tuple[Callable[[Player], object], ...]) -> None:
        self.publish("playing")
        for act in acts:
            act(self)
        self._done.append(acts)

    @handles(str)
    def _note(self, message: str) -> None:
        self._done.append(message)


class Stage:
    """Two players, a worker, and what they have done."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: list[object] = []
        self.pool: CountedWorkers = world.parts.tending  # type: ignore[assignment]
        start = partial(Player.start, world.system, self.done)
        world.run(ChildSpec("a", start), ChildSpec("b", start))

    def play(self, *acts: Callable[[Player], object]) -> None:
        self.world.tell("a", acts)

    def work(self, player: Player, work: Callable[[], object]) -> None:
        self.pool.submit(work, player.actor_ref)

    def tell_on(self, times: int, player: Player) -> None:
        """Have the other one told, who tells the other one, and so on."""
        other = "b" if player.path.endswith("a") else "a"
        what = (partial(self.tell_on, times - 1),) if times else "the end"
        self.world.tell(other, what)


@pytest.fixture
def stage(make_world: MakeWorld) -> Stage:
    return Stage(make_world())


def slowly(_player: object = None) -> None:
    """Take a moment that no test would happen to wait."""
    threading.Event().wait(0.05)


def test_what_is_shown_is_read_when_all_that_follows_has_been_done(stage: Stage) -> None:
    stage.play(slowly)
    assert stage.world.shown("a")[0] == "playing"
    assert len(stage.done) == 1


def test_time_passes_when_the_timer_is_set_that_follows_a_publication(stage: Stage) -> None:
    stage.play(slowly, lambda player: player.tell_after(1, "it is time"))
    stage.world.clock.advance(1)
    assert stage.done[1:] == ["it is time"]


def test_what_actors_tell_each_other_is_waited_for(stage: Stage) -> None:
    stage.play(slowly, partial(stage.tell_on, 50))
    stage.world.settle()
    assert stage.done[-1] == "the end"


def test_workers_and_what_they_report_are_waited_for(stage: Stage) -> None:
    stage.play(lambda player: stage.work(player, lambda: slowly() or "worked"))
    stage.world.settle()
    assert stage.done[-1] == "worked"


def test_what_holds_when_nothing_is_under_way_holds_in_the_next_line(stage: Stage) -> None:
    seen: list[str] = []
    stage.play(lambda _: seen.append("begun"), slowly, lambda _: seen.append("ended"))
    eventually(lambda: seen)
    assert seen == ["begun", "ended"]


def test_who_is_held_at_a_gate_is_at_rest_until_it_is_opened(stage: Stage) -> None:
    gate = Gate()
    stage.play(lambda _: gate.wait(LIMIT_S))
    assert stage.world.shown("a")[0] == "playing"
    assert stage.done == []
    gate.set()
    gate.clear()
    stage.world.settle()
    assert len(stage.done) == 1


def test_work_that_waits_behind_what_is_held_is_not_waited_for(stage: Stage) -> None:
    gate, size = Gate(), 4
    held = partial(gate.wait, LIMIT_S)
    stage.play(*[partial(stage.work, work=held)] * size, partial(stage.work, work=lambda: "last"))
    stage.world.settle()
    assert "last" not in stage.done
    gate.set()
    stage.world.settle()
    assert "last" in stage.done


def test_who_never_comes_to_rest_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    stage.play(lambda _: go_on.wait(LIMIT_S))
    monkeypatch.setattr("under_way.LIMIT_S", 0.1)
    try:
        with pytest.raises(AssertionError, match="still under way, and nothing gets on: root/a"):
            stage.world.settle()
    finally:
        go_on.set()


def test_patience_lasts_as_long_as_anything_gets_on() -> None:
    clock = FakeClock()
    patience = Patience(10, clock.monotonic)
    for _ in range(3):
        clock.advance(9)
        progress.another()
        assert not patience.is_over
    clock.advance(10)
    assert not patience.is_over
    clock.advance(0.1)
    assert patience.is_over
