from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pykka
import pytest
from loguru import logger
from waiting import eventually

from supervisor.workers import Workers, WorkFailed


class Collector(pykka.ThreadingActor):
    def __init__(self, got: list[Any]) -> None:
        super().__init__()
        self._got = got

    def on_receive(self, message: Any) -> None:
        self._got.append(message)


@pytest.fixture
def got() -> list[Any]:
    return []


@pytest.fixture
def actor(got: list[Any]) -> Iterator[pykka.ActorRef[Collector]]:
    ref = Collector.start(got)
    yield ref
    ref.stop()


def test_outcomes_are_told_to_who_asked(actor: pykka.ActorRef[Any], got: list[Any]) -> None:
    Workers("w", 2).submit(lambda: "done", actor)
    eventually(lambda: got == ["done"])


def test_work_without_an_outcome_is_no_message(actor: pykka.ActorRef[Any], got: list[Any]) -> None:
    workers = Workers("w", 1)
    workers.submit(lambda: None, actor)
    workers.submit(lambda: "done", actor)
    eventually(lambda: got == ["done"])


def test_one_worker_keeps_the_order(actor: pykka.ActorRef[Any], got: list[Any]) -> None:
    workers = Workers("w", 1)
    for number in range(100):
        workers.submit(lambda number=number: number, actor)
    eventually(lambda: got == list(range(100)))


def test_no_more_is_done_at_once_than_there_are_workers(
    actor: pykka.ActorRef[Any], got: list[Any]
) -> None:
    workers = Workers("w", 3)
    gate, lock = threading.Event(), threading.Lock()
    running, most = 0, 0

    def work() -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        assert gate.wait(10)
        with lock:
            running -= 1
        return "done"

    for _ in range(9):
        workers.submit(work, actor)
    eventually(lambda: running == 3)
    assert workers.is_busy
    gate.set()
    eventually(lambda: len(got) == 9)
    assert most == 3
    eventually(lambda: not workers.is_busy)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), SystemExit(1), KeyboardInterrupt()])
def test_a_failure_is_told_and_the_worker_works_on(
    actor: pykka.ActorRef[Any], got: list[Any], error: BaseException
) -> None:
    def fail() -> None:
        raise error

    workers = Workers("w", 1)
    workers.submit(fail, actor)
    workers.submit(lambda: "next", actor)
    eventually(lambda: len(got) == 2)
    assert isinstance(got[0], WorkFailed)
    assert got[0].error is error
    assert got[1] == "next"


def test_the_outcome_for_a_dead_actor_is_dropped(
    actor: pykka.ActorRef[Any], got: list[Any]
) -> None:
    dead = Collector.start([])
    dead.stop()
    workers = Workers("w", 1)
    workers.submit(lambda: "lost", dead)
    workers.submit(lambda: "next", actor)
    eventually(lambda: got == ["next"])


def test_threads_are_started_when_there_is_work_and_never_hold_the_process() -> None:
    def named() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("lazy-")]

    workers = Workers("lazy", 50)
    assert named() == []
    done: list[Any] = []
    ref = Collector.start(done)
    workers.submit(lambda: 1, ref)
    eventually(lambda: done == [1])
    ref.stop()
    assert len(named()) == 1
    assert all(thread.daemon for thread in named())


def test_a_thread_that_could_not_be_started_is_started_the_next_time(
    actor: pykka.ActorRef[Any], got: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers("w", 1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_more_threads)
        with pytest.raises(RuntimeError):
            workers.submit(lambda: "lost", actor)
    workers.submit(lambda: "done", actor)
    eventually(lambda: got == ["done"])


def _no_more_threads(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_what_work_logs_names_who_gave_it(actor: pykka.ActorRef[Any], got: list[Any]) -> None:
    workers, said = Workers("w", 1), list[str]()
    sink = logger.add(lambda message: said.append(message.record["extra"].get("runner", "")))
    for name in ("a", "b"):
        with logger.contextualize(runner=name):
            workers.submit(lambda: logger.info("at work"), actor)
    workers.submit(lambda: logger.info("for nobody"), actor)
    workers.submit(lambda: "done", actor)
    eventually(lambda: got == ["done"])
    logger.remove(sink)
    assert said == ["a", "b", ""]
