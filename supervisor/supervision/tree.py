"""The supervision tree as data, from what its actors have published."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from supervisor.supervision.system import handled_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from supervisor.supervision.cell import Cell, ChildRecord
    from supervisor.supervision.specs import Kind
    from supervisor.supervision.system import System


@dataclass(frozen=True)
class Handling:
    """What an actor is in: the type of a message, `on_start`, `on_stop`, or `its mailbox`.

    The last one when messages wait there and it does not come to them.
    """

    type: str
    since: datetime


@dataclass(frozen=True)
class TreeNode:
    """One child of the tree.

    Attributes:
        actor: the name of its class; empty before its first start.
        alive: whether an incarnation lives.
        state: what the actor last published; for one that doesn't live: down, waiting (for its
            backoff) or restarting.
        since: when it came into that state, by the time of day as it is now.
        reason: why; for one that doesn't live, why its last incarnation ended.
        restarts: by its present supervisor.
        mailbox: how many messages wait.
        handling: None while it waits for a message.
        stuck: whether it is in one message, or comes to none that waits, for longer than its limit.
        unhandled: how many messages the incarnation dropped for want of a handler.
        waits_until: when its backoff ends.
        abandoned: for a supervisor, how many abandoned children of it still occupy a thread.
    """

    id: str
    path: str
    kind: Kind
    actor: str
    alive: bool
    state: str
    since: datetime
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    restarts: int = 0
    mailbox: int = 0
    handling: Handling | None = None
    stuck: bool = False
    unhandled: int = 0
    waits_until: datetime | None = None
    abandoned: int = 0
    children: tuple[TreeNode, ...] = ()

    def walk(self) -> Iterator[TreeNode]:
        """Give this node and all that are below it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()


_ALIVE = frozenset({"starting", "up", "stopping"})


def tree(system: System) -> TreeNode | None:
    """Return the tree as it is now, or None if the system never had a root.

    Asks no actor and takes no lock that one holds while it works, so it answers at once whatever
    state they are in. Any thread may call it. Neighbouring parts can be some microseconds apart.
    """
    return _Reader(system).read(system.root) if system.root is not None else None


class _Reader:
    """One reading: what all its nodes share."""

    def __init__(self, system: System) -> None:
        self._now = system.clock.now()
        self._monotonic = system.clock.monotonic()
        self._abandoned = Counter(
            cell.parent.path for cell in system.abandoned() if cell.parent is not None
        )

    def read(self, root: Cell) -> TreeNode:
        """Return the root's node."""
        return self._living(root, 0) if root.ended is None else self._dead(root)

    def _living(self, cell: Cell, restarts: int) -> TreeNode:
        snapshot = cell.snapshot
        return TreeNode(
            id=cell.id,
            path=cell.path,
            kind=cell.kind,
            actor=cell.ref.actor_class.__name__,
            alive=True,
            state=snapshot.state,
            since=self._time_of(snapshot.since_s),
            reason=snapshot.reason,
            details=dict(snapshot.details),
            restarts=restarts,
            mailbox=cell.mailbox.depth(),
            handling=self._handling(cell),
            stuck=cell.stuck,
            unhandled=cell.unhandled,
            abandoned=self._abandoned[cell.path],
            children=tuple(self._child(cell, record) for record in list(cell.records.values())),
        )

    def _child(self, parent: Cell, record: ChildRecord) -> TreeNode:
        cell = record.cell
        if cell is not None and cell.ended is None:
            return self._living(cell, record.restarts)
        if cell is not None and record.state in _ALIVE:
            return self._dead(cell, record)
        waits_until = record.waits_until
        return TreeNode(
            id=record.id,
            path=f"{parent.path}/{record.id}",
            kind=record.kind,
            actor=cell.ref.actor_class.__name__ if cell is not None else "",
            alive=False,
            state=record.state,
            since=self._time_of(record.since_s),
            reason=record.reason,
            restarts=record.restarts,
            waits_until=None if waits_until is None else self._time_of(waits_until),
            abandoned=self._abandoned[f"{parent.path}/{record.id}"],
        )

    def _dead(self, cell: Cell, record: ChildRecord | None = None) -> TreeNode:
        """Show what has ended, and whose supervisor, if any, has yet to take note of it."""
        return TreeNode(
            id=cell.id,
            path=cell.path,
            kind=cell.kind,
            actor=cell.ref.actor_class.__name__,
            alive=False,
            state="down",
            since=self._time_of(cell.ended_s),
            reason=str(cell.ended),
            restarts=record.restarts if record is not None else 0,
            abandoned=self._abandoned[cell.path],
        )

    def _handling(self, cell: Cell) -> Handling | None:
        at = cell.told_at
        if at is None:
            return None
        what, since = at
        return Handling(handled_name(what), self._time_of(since))

    def _time_of(self, monotonic: float) -> datetime:
        return self._now + timedelta(seconds=monotonic - self._monotonic)
