"""Threads that do an actor's slow work, so that the actor can answer meanwhile."""

import queue
import threading
from collections.abc import Callable
from typing import Any

import pykka
from loguru import logger

from supervisor.observation.speaker import for_speaker

Work = Callable[[], Any]
"""Something slow, which returns the message that tells of its outcome; None if there is none."""


Then = Callable[[], None]


def _nothing() -> None:
    pass


class WorkFailed:
    """Work raised what it should have turned into a message: a fault of ours."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Workers:
    """A fixed number of threads that take work in order.

    The threads are daemons: work that hangs never keeps the process from ending.

    Args:
        name: for the threads' names.
        size: how many; also how much work is done at once.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._queue: queue.SimpleQueue[tuple[Work, pykka.ActorRef[Any], Then] | None] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._started = 0
        self._given = 0

    @property
    def is_busy(self) -> bool:
        """Whether work was given that is not done yet."""
        with self._lock:
            return self._given > 0

    def submit(self, work: Work, ref: pykka.ActorRef[Any], then: Then = _nothing) -> None:
        """Have `work` done, and its outcome told to `ref` (dropped if that has died meanwhile).

        Args:
            work: what is slow.
            ref: who hears of the outcome.
            then: called after that, in the worker's thread.

        Raises:
            RuntimeError: there is no thread, and none can be started; the work is not taken.
        """
        with self._lock:
            if self._started < self._size:
                self._start_one()
            self._given += 1
        self._queue.put((for_speaker(work), ref, then))

    def _start_one(self) -> None:
        name = f"{self._name}-{self._started + 1}"
        try:
            threading.Thread(target=self._run, name=name, daemon=True).start()
        except RuntimeError:
            # The machine has no more threads now; those that there are do the work, if there are.
            if not self._started:
                raise
        else:
            self._started += 1

    def close(self) -> None:
        """Let the threads end when all work given before is done. No more may be given."""
        with self._lock:
            for _ in range(self._started):
                self._queue.put(None)

    def _run(self) -> None:
        while (given := self._queue.get()) is not None:
            work, ref, then = given
            try:
                outcome = work()
            except BaseException as error:  # noqa: BLE001 - it is handed to the actor, which fails
                outcome = WorkFailed(error)
            if outcome is not None:
                self._tell(ref, outcome)
            with self._lock:
                self._given -= 1
            then()

    @staticmethod
    def _tell(ref: pykka.ActorRef[Any], outcome: object) -> None:
        try:
            ref.tell(outcome)
        except pykka.ActorDeadError:
            logger.debug("nobody waits for {} any more", type(outcome).__name__)
