"""The policy service as this host has it: its address, and the process that answers there.

It outlives the actor that looks after it: a crash there costs no check. The socket is the daemon's
own, and the service is handed it. So it is bound before anybody is started for it, both processes
answer there while one takes another's place, and guests' connections wait instead of being refused.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from supervisor.gateways.policy_process import Launch, PolicyProcess, PolicyProcessError

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKLOG = 512


@dataclass(frozen=True)
class _Run:
    """A process, what it was started for, and what only it knows."""

    process: PolicyProcess
    made_from: str
    key: bytes = field(repr=False)


class PolicyService:
    """Address and process. For any thread; `serve` and `close` for one at a time."""

    def __init__(self) -> None:
        self._listener: socket.socket | None = None
        self._run: _Run | None = None
        self._before: _Run | None = None
        self._lock = Lock()

    @property
    def address(self) -> str:
        """The address that it has; empty before `listen`."""
        return self._listener.getsockname()[0] if self._listener else ""

    @property
    def key(self) -> bytes:
        """What only the process that was started last knows, besides the daemon."""
        run = self._run
        return run.key if run else b""

    @property
    def process(self) -> PolicyProcess | None:
        """The one that answers, or should; it may have ended."""
        run = self._run
        return run.process if run else None

    @property
    def predecessor(self) -> PolicyProcess | None:
        """The one that answers until `process` does; none if that has answered, or stands alone."""
        before = self._before
        return before.process if before and before.process.alive else None

    @property
    def programs(self) -> tuple[str, ...]:
        """What those run that have not ended, if it is not the service built in."""
        runs = filter(None, (self._run, self._before))
        return tuple(run.process.program[0] for run in runs if run.process.program)

    def process_made_from(self, made_from: str) -> PolicyProcess | None:
        """Give the process that was started for this, if it is there."""
        run = self._run
        return run.process if run and run.process.alive and run.made_from == made_from else None

    def listen(self, address: str, port: int) -> None:
        """Take the address, if it is not ours yet.

        Raises:
            PolicyProcessError: somebody else has it, or this host has not.
        """
        if self._listener is not None and self._listener.getsockname()[:2] == (address, port):
            return
        self._let_go()
        try:
            self._listener = socket.create_server((address, port), backlog=_BACKLOG)
        except OSError as error:
            # Its own words repeat the address.
            words = os.strerror(error.errno) if error.errno else str(error)
            raise PolicyProcessError(
                f"can't listen at {address}:{port}: {words}; free it, or set policy.port"
            ) from error

    def serve(
        self,
        launch: Launch,
        made_from: str,
        key: bytes,
        ended: Callable[[PolicyProcess], object],
    ) -> PolicyProcess:
        """Start a process that is to take the place of the one there is, which goes on meanwhile.

        Args:
            launch: how.
            made_from: what makes it different from others.
            key: a secret of its own.
            ended: told of its end.

        Returns:
            The new one.

        Raises:
            PolicyProcessError: it can't be started; the one that there was goes on.
        """
        with self._lock:
            assert self._listener is not None  # noqa: S101 - `listen` comes before
            process = PolicyProcess(launch, self._listener.fileno(), ended)
            if self.predecessor and self._run:
                self._run.process.end()  # it has never answered
            else:
                self._before = self._run
            self._run = _Run(process, made_from, key)
            return process

    def settle(self) -> None:
        """Have the predecessor end when its checks are answered, as the process answers."""
        with self._lock:
            before, self._before = self._before, None
            if before:
                before.process.end()

    def fall_back(self, pid: int) -> bool:
        """Go on with the predecessor of a process that has ended; tell whether there is one."""
        with self._lock:
            if not (self.predecessor and self._run and self._run.process.pid == pid):
                return False
            self._run, self._before = self._before, None
            return True

    def close(self) -> None:
        """Let go of the address, and have the process end when its checks are answered."""
        with self._lock:
            runs, self._run, self._before = (self._run, self._before), None, None
            for run in filter(None, runs):
                if run.process.look().master_stopped:
                    run.process.kill()  # it would outlive us, and keep the address
                else:
                    run.process.end()
            self._let_go()

    def _let_go(self) -> None:
        if self._listener:
            self._listener.close()
        self._listener = None
