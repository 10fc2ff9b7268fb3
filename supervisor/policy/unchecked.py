"""Which runners are at work that the policy service has let no job run: the host's own look.

A guest sees to it by itself that no job runs unchecked. This is for one that does not: whose hook
was not run, or whose watch was ended. It is sure or it does nothing, as it costs a job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from supervisor.lifecycle import Job, Stage
from supervisor.runners.roster import Entry

_HERE = frozenset({"builtin", "package"})
"""The modes in which this host has the decisions in its log."""
STARTED_LIMIT_S = 120.0
"""Since the hook has said that it begins. The guest itself gives it 75 seconds, and powers off."""
BUSY_LIMIT_S = 1800.0
"""Since GitHub has said that it has a job, where no hook was heard of: the runner application
downloads actions before it runs the hook, and gives each 20 minutes."""


@dataclass(frozen=True)
class Unchecked:
    """Runners at work without leave, and since when they have been seen so.

    By a clock that nobody sets (monotonic, seconds), so that a wrong time ends no job; a daemon
    that is started anew begins to count anew.

    Attributes:
        since: by runner, and whether its hook has been heard.
    """

    since: Mapping[tuple[str, bool], float] = field(default_factory=dict)

    def overdue(self, now_s: float) -> tuple[str, ...]:
        """Name those whose jobs can't be waiting for a verdict any more."""
        return tuple(
            name
            for (name, was_heard), since in self.since.items()
            if now_s - since >= (STARTED_LIMIT_S if was_heard else BUSY_LIMIT_S)
        )


def look(
    before: Unchecked,
    entries: Iterable[Entry],
    has_allowed: Callable[[str], bool],
    complete_since: datetime | None,
    now_s: float,
) -> Unchecked:
    """Compare who is at work with what has been decided.

    Args:
        before: what the look before this one has found.
        entries: the runners.
        has_allowed: tells whether a runner's job was let run, as the service's log says, which says
            so before the guest is told.
        complete_since: no decision is missing in it since then, by the steady clock; None if that
            is not known.
        now_s: monotonic, seconds.
    """
    found = (
        (entry.name, entry.life.job not in {None, Job()})
        for entry in entries
        if _asks_here(entry, complete_since) and not has_allowed(entry.name)
    )
    return Unchecked({one: before.since.get(one, now_s) for one in found})


def _asks_here(entry: Entry, complete_since: datetime | None) -> bool:
    """Tell whether a runner is at work whose verdict must be in the log, if there is one."""
    return (
        entry.life.stage is Stage.BUSY
        and entry.policy in _HERE
        and entry.made_at is not None
        and complete_since is not None
        and complete_since <= entry.made_at
    )
