from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from loguru import logger

from supervisor.observation.speaker import for_speaker


def test_lines_of_another_thread_name_who_gave_the_work_also_many_at_once() -> None:
    said: list[tuple[str, str]] = []
    sink = logger.add(
        lambda message: said.append((message.record["extra"]["actor"], message.record["message"]))
    )
    both_are_there = threading.Barrier(2, timeout=10)

    def work(what: str) -> str:
        both_are_there.wait()
        logger.info(what)
        return what

    with logger.contextualize(actor="a"):
        given = for_speaker(work)
    with logger.contextualize(actor="b"), ThreadPoolExecutor(2) as threads:
        assert list(threads.map(given, ("one", "two"))) == ["one", "two"]
    logger.remove(sink)
    assert sorted(said) == [("a", "one"), ("a", "two")]
