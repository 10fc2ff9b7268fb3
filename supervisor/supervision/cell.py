"""What is known of one incarnation of an actor, without asking it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pykka import ActorDeadError, ActorRef, ActorRegistry

from supervisor.supervision.mailbox import Mailbox
from supervisor.supervision.observer import CRASHED, RESTARTED, Change
from supervisor.supervision.reasons import Reason
from supervisor.supervision.reply import Reply
from supervisor.supervision.specs import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from supervisor.supervision.system import System


@dataclass(frozen=True)
class Snapshot:
    """What an actor last said of itself.

    Attributes:
        state: one word.
        since_s: the monotonic time since when it is in that state.
        reason: why, for people.
        details: more, all of it expressible in JSON.
    """

    state: str
    since_s: float
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass
class Place:
    """The place in the tree that a supervisor has ready for an actor it is about to start.

    Attributes:
        id: the child's id.
        name: its name in the directory; None for none.
        parent: its supervisor's cell; None for the root and for an actor of no tree.
        log_context: put on its log lines.
        stuck_limit: seconds, see `ChildSpec`.
        entered: called once, in the thread that starts the actor, before its own begins.
        started: called once, in the actor's thread, after its `on_start`.
        ended: called once, in whichever thread notices, with the reason of its end.
        cell: the cell of the actor that took the place.
    """

    id: str
    name: str | None = None
    parent: Cell | None = None
    log_context: Mapping[str, object] | None = None
    stuck_limit: float | None = None
    entered: Callable[[Cell], None] = lambda _cell: None
    started: Callable[[], None] = lambda: None
    ended: Callable[[Reason], None] = lambda _reason: None
    cell: Cell | None = None


class Neglect(NamedTuple):
    """Messages that wait for an actor that is in none.

    Attributes:
        handled: how many it had handled when that was seen.
        at: what is told of it as of a message that it is in.
    """

    handled: int
    at: tuple[str, float]


class _ThisThread(threading.local):
    """What the thread at hand is busy with."""

    cell: Cell | None = None
    place: Place | None = None


_this_thread = _ThisThread()


def current_cell() -> Cell | None:
    """Return the cell of the actor whose thread this is, or None."""
    return _this_thread.cell


def become(cell: Cell) -> None:
    """Note that the thread at hand is that actor's."""
    _this_thread.cell = cell


def start_at(place: Place, start: Callable[[], Any]) -> Any:
    """Call `start`; the first actor that is made meanwhile in this thread gets the place."""
    outer, _this_thread.place = _this_thread.place, place
    try:
        return start()
    finally:
        _this_thread.place = outer


def take_place() -> Place | None:
    """Return the place made ready in this thread, once."""
    place, _this_thread.place = _this_thread.place, None
    return place


class Cell:
    """One incarnation: its place, what it published, and its one end.

    Whoever holds the actor's reference has its cell (`cell_of`), also when it is long dead.
    Attributes are written by the actor's own thread unless said otherwise, and read by any.

    Attributes:
        ref: the actor's reference.
        snapshot: what it last published.
        observed: whether the observer is told of its published words.
        handling: the type of the message it is in (or the name of a hook) and the monotonic time
            since when; None while it waits.
        handled: how many envelopes it has been done with.
        neglect: what waited at the last look, if it was in no message. Written by the system.
        unhandled: how many messages it dropped because it has no handler.
        found_stuck_in: what `at` was when it had passed its limit. Written by the system.
        fenced: whether what it does is ignored. Written by whoever abandons it.
        abandoned_at: the monotonic time of that.
        ended: the reason of its end.
        ended_s: the monotonic time of that, if it was.
        told_to_stop: the reason given to it by whoever wants its end. Written by them.
        owed: the answers that askers still wait for, besides those to what is in the inbox.
        records: for a supervisor, what it published of its children, in start order.
    """

    def __init__(self, system: System, ref: ActorRef[Any], place: Place, kind: Kind) -> None:
        parent = place.parent
        self.system = system
        self.ref = ref
        self.id = place.id
        self.name = place.name
        self.parent = parent
        self.path: str = f"{parent.path}/{place.id}" if parent is not None else place.id
        self.kind = kind
        self.log_context = dict(place.log_context or {})
        self.snapshot = Snapshot("starting", system.clock.monotonic())
        self.observed: bool = getattr(ref.actor_class, "observed", True)
        self.handling: tuple[type | str, float] | None = None
        self.handled = 0
        self.neglect: Neglect | None = None
        self.unhandled = 0
        self.found_stuck_in: tuple[type | str, float] | None = None
        self.fenced = False
        self.abandoned_at = 0.0
        self.ended: Reason | None = None
        self.ended_s = self.snapshot.since_s
        self.told_to_stop: Reason | None = None
        self.thread: threading.Thread | None = None
        self.owed: set[Reply] = set()
        self.records: dict[str, ChildRecord] = {}
        limit = place.stuck_limit
        if limit is None:
            limit = getattr(ref.actor_class, "stuck_limit", None)
        self.stuck_limit: float = system.stuck_limit if limit is None else limit
        self._place = place
        self._lock = threading.Lock()
        self._watchers: dict[object, Callable[[Reason], None]] = {}
        self._offspring: dict[int, Cell] = {}

    @property
    def mailbox(self) -> Mailbox:
        """The actor's inbox."""
        inbox = self.ref.actor_inbox
        assert isinstance(inbox, Mailbox)  # noqa: S101 - Actor makes no other
        return inbox

    @property
    def at(self) -> tuple[type | str, float] | None:
        """What it is in, and since when: a message, a hook, or its mailbox if it neglects that."""
        handling, neglect = self.handling, self.neglect
        if handling is not None or neglect is None or neglect.handled != self.handled:
            return handling
        return neglect.at

    @property
    def told_at(self) -> tuple[type | str, float] | None:
        """The same for people: its mailbox only where it is stuck there.

        One that is well takes a message from its mailbox a moment after a look has seen it there.
        """
        at = self.at
        return at if at is self.found_stuck_in else self.handling

    @property
    def stuck(self) -> bool:
        """Whether it was found at one thing past its limit, and still is at it."""
        found = self.found_stuck_in
        return found is not None and found is self.at

    def note_neglect(self, now: float) -> None:
        """Note whether messages wait while it is in none, and since when it has handled none.

        Args:
            now: monotonic.
        """
        if self.handling is not None or self.mailbox.empty():
            self.neglect = None
        elif self.neglect is None or self.neglect.handled != self.handled:
            self.neglect = Neglect(self.handled, ("its mailbox", now))

    @property
    def lingers(self) -> bool:
        """Whether it was abandoned, and its thread still runs."""
        return self.fenced and self.thread is not None

    def enter(self) -> None:
        """Take the place: the directory's name, the parent's care. Runs before the thread starts.

        Raises:
            NameTaken: another living actor has the name.
        """
        if self.name is not None:
            self.system.directory.register(self.name, self.ref)
        self.system.add(self)
        if self.parent is not None and not self.parent._adopt(self):  # noqa: SLF001
            self.abandon("its supervisor was abandoned")
        self._place.entered(self)

    def publish(self, state: str, reason: str, details: dict[str, Any]) -> None:
        """Replace the snapshot, unless the incarnation is fenced."""
        if self.fenced:
            return
        last = self.snapshot
        changes = last.state != state
        since_s = self.system.clock.monotonic() if changes else last.since_s
        self.snapshot = Snapshot(state, since_s, reason, MappingProxyType(details))
        if changes and self.observed:
            self._observe(state, last.state, reason, since_s - last.since_s)

    def started(self) -> None:
        """Report that `on_start` has finished."""
        if self.snapshot.state == "starting":
            self.publish("running", "", {})
        if self.ended is None:
            self._place.started()

    def stop(self, reason: Reason) -> None:
        """Tell the actor to end after the message it is in; the rest of its inbox is dropped."""
        with self._lock:
            if self.told_to_stop is None:
                self.told_to_stop = reason
        self.mailbox.wake_up()

    def end(self, reason: Reason) -> bool:
        """Report the end, once: to the supervisor, then to the watchers.

        Returns:
            False if it was reported before.
        """
        with self._lock:
            if self.ended is not None:
                return False
            self.ended_s = self.system.clock.monotonic()
            self.ended = reason
            watchers, self._watchers = self._watchers, {}
        self.ref.actor_stopped.set()
        ActorRegistry.unregister(self.ref)
        if self.name is not None:
            self.system.directory.unregister(self.name, self.ref)
        self.mailbox.close()
        for reply in list(self.owed):
            reply.fail(ActorDeadError(f"{self.path} ended before it answered"))
        if reason.is_abnormal:
            # Before its supervisor hears of it, who may start the next one at once.
            last = self.snapshot
            self._observe(CRASHED, last.state, str(reason), self.ended_s - last.since_s)
        self._place.ended(reason)
        for watcher in watchers.values():
            watcher(reason)
        return True

    def leave(self) -> None:
        """Note that the thread is at its end. Nothing of the incarnation is left after that."""
        self.thread = None
        if self.parent is not None:
            self.parent._release(self)  # noqa: SLF001
        self.system.remove(self)

    def abandon(self, why: str) -> None:
        """Give up on the incarnation, and on all below it: what they still do is ignored.

        A Python thread can't be ended from outside. It runs on until it comes back to its inbox;
        until then it is counted by the system.
        """
        with self._lock:
            if self.ended is not None:
                return
            self.fenced = True
            self.abandoned_at = self.system.clock.monotonic()
        self.abandon_offspring("its supervisor was abandoned")
        if self.end(Reason.abandoned(why)):
            self.stop(Reason.abandoned(why))
            self.system.note_abandoned(self, why)

    def abandon_offspring(self, why: str) -> None:
        """Give up on all children that still live."""
        with self._lock:
            offspring = list(self._offspring.values())
        for child in offspring:
            child.abandon(why)

    def watch(self, key: object, watcher: Callable[[Reason], None]) -> None:
        """Have `watcher` called once with the reason of the end; at once if it has ended."""
        with self._lock:
            reason = self.ended
            if reason is None:
                self._watchers[key] = watcher
        if reason is not None:
            watcher(reason)

    def unwatch(self, key: object) -> None:
        """Forget a watcher."""
        with self._lock:
            self._watchers.pop(key, None)

    def follows(self, last: Cell) -> None:
        """Note that it is started in place of an incarnation that has ended."""
        ended = last.ended
        crashed = ended is not None and ended.is_abnormal
        before = CRASHED if crashed else last.snapshot.state
        lasted_s = self.snapshot.since_s - last.ended_s
        self._observe(RESTARTED, before, str(ended or ""), lasted_s)

    def _observe(self, state: str, before: str, reason: str, lasted_s: float) -> None:
        lasted_s = max(0.0, lasted_s)  # threads that notice two things at once may be out of order
        now = self.system.clock.now()
        self.system.observe(Change(now, self.path, self.id, state, before, reason, lasted_s))

    def _adopt(self, child: Cell) -> bool:
        with self._lock:
            if self.fenced:
                return False
            self._offspring[id(child)] = child
            return True

    def _release(self, child: Cell) -> None:
        with self._lock:
            self._offspring.pop(id(child), None)


@dataclass
class ChildRecord:
    """What a supervisor publishes of one child. Written by the supervisor's thread only.

    Attributes:
        since_s: the monotonic time at which it came into its state.
        cell: the present incarnation, or the last one.
        waits_until: the monotonic time at which its backoff ends.
        reason: why the last incarnation ended.
    """

    id: str
    since_s: float
    kind: Kind = Kind.WORKER
    state: str = "down"
    cell: Cell | None = None
    restarts: int = 0
    waits_until: float | None = None
    reason: str = ""


def cell_of(ref: ActorRef[Any]) -> Cell:
    """Return the cell of an actor of this package.

    Raises:
        TypeError: it is some other Pykka actor.
    """
    inbox = ref.actor_inbox
    if not isinstance(inbox, Mailbox):
        raise TypeError(f"{ref.actor_class.__name__} is no supervision.Actor")
    return inbox.cell
