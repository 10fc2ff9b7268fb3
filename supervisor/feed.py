"""What has happened, told once to each who watches: the journal, the counters, the traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple


class Kind(str, Enum):
    """What a record is about."""

    RUNNER = "runner"  # a runner's stage; `subject` is its name
    ACTOR = "actor"  # an actor's state, crash or restart; `subject` is its id
    ORDER = "order"  # an operator's; `subject` is what was ordered, such as `flush`
    RECONCILE = "reconcile"  # one was done; `subject` is the installation
    DECISION = "decision"  # on a job, by the policy; `subject` is the runner's name
    JOB = "job"  # what GitHub tells of one that has ended; `subject` is its runner's name

    __str__ = str.__str__


class Record(NamedTuple):
    """One thing that has happened: a tuple, as so many are made, and no class is made faster.

    Attributes:
        at: when; aware.
        kind: what it is about.
        subject: who.
        state: what it is now.
        before: what it was; empty at its beginning, or if that is not known. That of `state` says
            that only what is known of it has changed.
        reason: why, for people.
        lasted_s: seconds that it was in the state before.
        details: more, all of it expressible in JSON. Of a runner: `generation`, `runner_id`, and
            `job` with the fields of `lifecycle.Job`, or None.
        runners: of a reconcile: the names of all that are there. For those who watch: a thousand
            are too many to be written down each time.
    """

    at: datetime
    kind: Kind
    subject: str
    state: str
    before: str = ""
    reason: str = ""
    lasted_s: float = 0.0
    details: Mapping[str, Any] = MappingProxyType({})
    runners: frozenset[str] = frozenset()


Watcher = Callable[[Record], None]
"""Is called in the thread of whoever has something to tell, of several at once.

It must be quick: it writes nothing, asks nobody, and waits for no lock but one that is held to
count or to put in a queue.
"""


class Feed:
    """Passes records on. Nobody who tells it anything can be hurt by one who watches.

    Any thread may `tell`. `watch` and `unwatch` are for one alone, the main thread.
    """

    def __init__(self) -> None:
        self._watchers: tuple[Watcher, ...] = ()

    def watch(self, watcher: Watcher) -> None:
        """Have a watcher be told of all that happens from now on."""
        self._watchers += (watcher,)

    def unwatch(self, watcher: Watcher) -> None:
        """Tell it nothing more but what is being told just now; it need not be watching."""
        self._watchers = tuple(one for one in self._watchers if one != watcher)

    def tell(self, record: Record) -> None:
        """Tell all who watch, in the thread at hand."""
        for watcher in self._watchers:
            try:
                watcher(record)
            except Exception as error:  # noqa: BLE001 - what is watched must go on
                # Commands that know the kinds start sooner without.
                from loguru import logger  # noqa: PLC0415

                logger.opt(exception=error).error("a watcher of what happens has failed")
