"""Where threads meet: one lock around the state, and wake-ups for whoever waits on a change."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from sandbox.github import events
from sandbox.github.budget import Limits
from sandbox.github.credentials import Credentials
from sandbox.github.directory import Directory
from sandbox.github.state import State

if TYPE_CHECKING:
    from sandbox.github.model import Job, JobRequest

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(timezone.utc)


class Hub:
    """The state behind its lock, and the open long polls.

    Methods named `poll…` and `expire` belong to the server's event loop; the others may be called
    by any thread.

    Args:
        clock: tells the time.
        offline_after: how long a runner's session may be silent.
        limits: how much each token may ask for.
    """

    def __init__(
        self,
        clock: Clock = utc_now,
        offline_after: timedelta = timedelta(seconds=30),
        limits: Limits | None = None,
    ) -> None:
        self._true_clock = clock
        self._skew = timedelta(0)
        self.offline_after = offline_after
        self.credentials = Credentials(limits)
        self.base_url = ""
        """The server's address, for what is written where no request has told it."""
        self._state = State(Directory())
        self._changed = threading.Condition()
        self._version = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._polls: dict[int, asyncio.Future[None]] = {}

    def clock(self) -> datetime:
        """Return the time by the server's own clock."""
        return self._true_clock() + self._skew

    def skew(self, by: timedelta) -> None:
        """Set the server's clock to be ahead of the true one (behind it, if negative)."""
        with self.change() as state:
            state.shift(by - self._skew)
            self._skew = by

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the event loop in which the long polls live."""
        self._loop = loop

    @contextmanager
    def view(self) -> Iterator[State]:
        """Hold the state for reading."""
        with self._changed:
            yield self._state

    @contextmanager
    def change(self) -> Iterator[State]:
        """Hold the state for changing it, and wake those who wait for a change."""
        with self._changed:
            try:
                yield self._state
            finally:
                self._note_change()

    def wait_for(self, predicate: Callable[[], bool], limit_s: float) -> bool:
        """Wait until a predicate holds, asked anew at each change.

        The predicate is called without the lock held, in the caller's thread.

        Returns:
            Whether it held before `limit_s` seconds were over.
        """
        deadline = time.monotonic() + limit_s
        while True:
            with self._changed:
                seen = self._version
            if predicate():
                return True
            with self._changed:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                if self._version == seen:
                    self._changed.wait(min(left, 1.0))

    def polling(self) -> frozenset[int]:
        """Return the numbers of the runners that wait for a job at this moment."""
        with self._changed:
            return frozenset(self._polls)

    def hand_out(self, runner_id: int) -> Job | None:
        """Give an online runner its job, as if it had asked for one."""
        with self.change() as state:
            return state.hand_out(runner_id, self.clock())

    def queue(self, request: JobRequest) -> Job:
        """Add a job and hand it to a waiting runner that suits it.

        Raises:
            ValueError: its event is of a pull request that does not exist.
        """
        with self.change() as state:
            now = self.clock()
            job = state.queue(events.completed(request, state, self.base_url, now), now)
        self.wake()
        return job

    def wake(self) -> None:
        """Have the open polls look again, in the loop's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._match)

    async def poll(self, token: str, wait_s: float) -> Job | None:
        """Wait for a runner's job.

        Raises:
            SessionRefusedError: its session is not open, or was ended meanwhile.
        """
        with self.view() as state:
            runner_id = state.in_session(token, self.clock()).id
            job = state.hand_out(runner_id, self.clock())
            if job is not None:
                self._note_change()
        if job is not None or wait_s <= 0:
            return job
        older = self._polls.pop(runner_id, None)
        if older is not None and not older.done():
            older.set_result(None)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self.change():
            self._polls[runner_id] = future
        try:
            await asyncio.wait((future,), timeout=wait_s)
        finally:
            with self.change():
                if self._polls.get(runner_id) is future:
                    del self._polls[runner_id]
        with self.view() as state:
            state.in_session(token, self.clock())
            return state.hand_out(runner_id, self.clock()) if future.done() else None

    def expire(self) -> None:
        """Take silent runners offline and hand out what they had."""
        with self.view() as state:
            lost = state.expire(self.clock(), self.offline_after, self._polls.keys())
            if lost:
                self._note_change()
        if lost:
            self._match()

    def _match(self) -> None:
        """Hand waiting jobs to open polls, and end the polls of runners that are gone."""
        now = self.clock()
        with self.change() as state:
            for runner_id, future in list(self._polls.items()):
                runner = state.runner(runner_id)
                gone = runner is None or not runner.online
                if not future.done() and (gone or state.hand_out(runner_id, now) is not None):
                    future.set_result(None)

    def _note_change(self) -> None:
        self._version += 1
        self._changed.notify_all()
