"""What the actors of one tree share, and the tree's beginning and end."""

from __future__ import annotations

import random as random_module
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from loguru import logger
from pykka._envelope import Envelope

from supervisor.supervision.cell import Cell, Place, start_at
from supervisor.supervision.clock import Clock, SystemClock
from supervisor.supervision.directory import Directory
from supervisor.supervision.errors import ChildStartFailed, ThreadLost, TooManyAbandoned
from supervisor.supervision.messages import Fail
from supervisor.supervision.observer import Change, Observer, observe_nothing
from supervisor.supervision.reasons import SHUTDOWN, Reason
from supervisor.supervision.supervisor import Supervisor
from supervisor.supervision.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka import ActorRef

    from supervisor.supervision.specs import SupervisorSpec

# An actor that was abandoned while it was well ends within microseconds and should not count.
_GRACE_S = 1.0


class System:
    """One tree's clock, timers and names, and the watch over its threads.

    Attributes:
        clock: tells the time to everything below.
        timers: due times of everything below.
        directory: who lives under which name.
        stuck_limit: seconds in one message, or in none while some wait, after which an actor counts
            as stuck, where neither its specification nor its class says otherwise.
        abandoned_limit: with more abandoned actors than this whose threads still run, the root
            fails, so that the process can end and begin anew.
        random: returns a number from 0 up to 1, for jitter.
        observer: is told when the state of an actor of an observed class changes, and when any
            crashes and is started again.
        root: the root supervisor's cell, also after its end.
        root_ended: set when the root has ended.
        root_reason: why it ended.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        stuck_limit: float = 60.0,
        abandoned_limit: int = 10,
        sweep_every: float = 5.0,
        random: Callable[[], float] = random_module.random,
        observer: Observer = observe_nothing,
    ) -> None:
        self.clock: Clock = SystemClock() if clock is None else clock
        self.timers = Timers(self.clock)
        self.directory = Directory()
        self.stuck_limit = stuck_limit
        self.abandoned_limit = abandoned_limit
        self.random = random
        self.observer = observer
        self.root: Cell | None = None
        self.root_ended = threading.Event()
        self.root_reason: Reason | None = None
        self._sweep_every = sweep_every
        self._cells: set[Cell] = set()
        self._lock = threading.Lock()
        self._sweeping = False

    # The root

    def run_root(
        self,
        spec: SupervisorSpec,
        *,
        name: str = "root",
        on_end: Callable[[Reason], None] | None = None,
    ) -> ActorRef[Supervisor]:
        """Start the root supervisor and wait until the whole tree is up.

        Args:
            spec: what the root supervises.
            name: its id, and so the first part of every path.
            on_end: called once, in some thread, when a root that was up has ended: the process
                should end, too. Must be quick.

        Raises:
            ChildStartFailed: the tree did not come up; what had come up is stopped again.
            RuntimeError: this system has a living root.
        """
        if self.root is not None and not self.root_ended.is_set():
            raise RuntimeError("this system has a root that has not ended")
        self.root_ended.clear()
        self.root_reason = None
        up = threading.Event()
        settled = threading.Event()

        def started() -> None:
            up.set()
            settled.set()

        def ended(reason: Reason) -> None:
            self.root_reason = reason
            self.root_ended.set()
            settled.set()
            if up.is_set() and on_end is not None:
                _call(on_end, reason)

        place = Place(name, name=name, started=started, ended=ended)
        ref: ActorRef[Supervisor] = start_at(place, partial(Supervisor.start, self, spec))
        self.root = place.cell
        settled.wait()
        if not up.is_set():
            reason = self.root_reason or SHUTDOWN
            raise ChildStartFailed(name, reason) from reason.error
        return ref

    def stop(self, limit: float = 5.0) -> Reason | None:
        """Stop the tree and return why it ended, within so many seconds of real time.

        What has not ended by then is abandoned. Does nothing if there is no living root.
        """
        root = self.root
        if root is None:
            return None
        root.stop(SHUTDOWN)
        if not self.root_ended.wait(limit):
            root.abandon(f"the tree did not stop within {limit:g} s")
        return self.root_reason

    # The watch over threads

    def add(self, cell: Cell) -> None:
        """Watch over an incarnation that is about to get its thread."""
        with self._lock:
            self._cells.add(cell)
            if self._sweeping:
                return
            self._sweeping = True
        self.timers.schedule(self._sweep_every, self._sweep)

    def remove(self, cell: Cell) -> None:
        """Note that an incarnation's thread is at its end."""
        with self._lock:
            self._cells.discard(cell)

    def cells(self) -> list[Cell]:
        """Return all incarnations whose threads run."""
        with self._lock:
            return list(self._cells)

    def abandoned(self) -> list[Cell]:
        """Return the abandoned incarnations whose threads still run."""
        return [cell for cell in self.cells() if cell.fenced]

    def note_abandoned(self, cell: Cell, why: str) -> None:
        """Tell people that an incarnation was given up on."""
        said = logger.bind(**cell.log_context)
        said.warning("abandoned {}: {}{}", cell.path, why, self._busy(cell))

    def observe(self, change: Change) -> None:
        """Tell the observer, whose failure is nobody else's."""
        try:
            self.observer(change)
        except Exception as error:  # noqa: BLE001 - what is observed must go on
            logger.opt(exception=error).error("the observer failed")

    def _sweep(self) -> None:
        """Look at every thread: stuck? gone without a word? abandoned for long?"""
        now = self.clock.monotonic()
        cells = self.cells()
        for cell in cells:
            self._check_stuck(cell, now)
            thread = cell.thread
            if thread is not None and thread.ident is not None and not thread.is_alive():
                cell.end(Reason.failed(ThreadLost(f"the thread of {cell.path} is gone")))
                cell.leave()
        self._check_abandoned(now)
        with self._lock:
            self._sweeping = bool(self._cells)
            if not self._sweeping:
                return
        self.timers.schedule(self._sweep_every, self._sweep)

    def _check_stuck(self, cell: Cell, now: float) -> None:
        cell.note_neglect(now)
        at = cell.at
        if at is None or cell.stuck or cell.fenced or now - at[1] < cell.stuck_limit:
            return
        cell.found_stuck_in = at
        said = logger.bind(**cell.log_context)
        said.warning("{} is stuck{}", cell.path, self._busy(cell))

    def _check_abandoned(self, now: float) -> None:
        lost = [cell for cell in self.abandoned() if now - cell.abandoned_at >= _GRACE_S]
        root = self.root
        if len(lost) > self.abandoned_limit and root is not None and root.ended is None:
            paths = sorted(cell.path for cell in lost)
            error = TooManyAbandoned(paths, self.abandoned_limit)
            root.mailbox.put(Envelope(Fail(Reason.failed(error))))

    def _busy(self, cell: Cell) -> str:
        at = cell.told_at
        if at is None:
            return ""
        what, since = at
        return f", for {self.clock.monotonic() - since:.0f} s in {handled_name(what)}"


def _call(on_end: Callable[[Reason], None], reason: Reason) -> None:
    try:
        on_end(reason)
    except Exception as error:  # noqa: BLE001 - the root has still to be cleared away
        logger.opt(exception=error).error("what was to be done at the root's end failed")


def handled_name(what: type[Any] | str) -> str:
    """Return how people call what an actor is in: a message's type, a hook, its mailbox."""
    return what if isinstance(what, str) else what.__name__
