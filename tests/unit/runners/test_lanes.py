from __future__ import annotations

import threading
from typing import Any

import pykka
import pytest
from loguru import logger
from waiting import LIMIT_S, eventually

from supervisor.runners.lanes import Lanes
from supervisor.workers import Workers


class Ref:
    """Stands for an actor: keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def tell(self, message: object) -> None:
        self.told.append(message)


class Held:
    """A piece of work that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_end.wait(LIMIT_S)
        return "held"


@pytest.fixture
def workers() -> Workers:
    return Workers("test", 4)


def submit(lanes: Lanes, name: str, workers: Workers, work: Any, ref: Ref) -> None:
    actor: pykka.ActorRef[Any] = ref  # type: ignore[assignment]
    lanes.submit(name, workers, work, actor)


def test_one_names_work_is_done_in_order_whichever_workers_do_it(workers: Workers) -> None:
    lanes, ref, held = Lanes(), Ref(), Held()
    submit(lanes, "a", workers, held, ref)
    submit(lanes, "a", Workers("others", 4), lambda: "second", ref)
    submit(lanes, "a", workers, lambda: "third", ref)
    assert held.begun.wait(LIMIT_S)
    held.may_end.set()
    eventually(lambda: len(ref.told) == 3)
    assert ref.told == ["held", "second", "third"]
    eventually(lambda: not lanes.names())


def test_another_names_work_does_not_wait_for_it(workers: Workers) -> None:
    lanes, ref, held = Lanes(), Ref(), Held()
    submit(lanes, "a", workers, held, ref)
    submit(lanes, "b", workers, lambda: "other", ref)
    eventually(lambda: ref.told == ["other"])
    assert "a" in lanes.names()
    held.may_end.set()


def test_what_is_under_way_is_done_before_a_successors_work_and_what_waited_is_not(
    workers: Workers,
) -> None:
    lanes, before, after, held = Lanes(), Ref(), Ref(), Held()
    done: list[str] = []
    submit(lanes, "a", workers, held, before)
    submit(lanes, "a", workers, lambda: done.append("of the one before"), before)
    lanes.clear("a")
    submit(lanes, "a", workers, lambda: done.append("of the successor"), after)
    assert not done
    held.may_end.set()
    eventually(lambda: not lanes.names())
    assert done == ["of the successor"]


def test_what_work_logs_names_who_gave_it_whichever_thread_begins_it(workers: Workers) -> None:
    lanes, ref, held, said = Lanes(), Ref(), Held(), list[str]()
    sink = logger.add(lambda message: said.append(message.record["extra"].get("actor", "")))
    for actor in ("first", "second"):
        with logger.contextualize(actor=actor):
            submit(lanes, "a", workers, held if actor == "first" else lambda: None, ref)
            submit(lanes, "a", workers, lambda: logger.info("at work"), ref)
    submit(lanes, "a", workers, lambda: "done", ref)
    held.may_end.set()
    eventually(lambda: "done" in ref.told)
    logger.remove(sink)
    assert said == ["first", "second"]


def test_work_that_raises_does_not_block_its_lane(workers: Workers) -> None:
    lanes, ref = Lanes(), Ref()

    def fails() -> None:
        raise RuntimeError("meant")

    submit(lanes, "a", workers, fails, ref)
    submit(lanes, "a", workers, lambda: "next", ref)
    eventually(lambda: len(ref.told) == 2)
    assert "next" in ref.told


def test_a_lane_that_is_not_there_can_be_cleared() -> None:
    Lanes().clear("a")


def test_a_lane_is_free_again_when_no_thread_could_be_had(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes, ref = Lanes(), Ref()

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without_threads:
        without_threads.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            submit(lanes, "a", workers, lambda: "never", ref)
    assert not lanes.names()
    submit(lanes, "a", workers, lambda: "done", ref)
    eventually(lambda: ref.told == ["done"])
