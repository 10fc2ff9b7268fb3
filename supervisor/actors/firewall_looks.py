"""The firewall's table, kept as it is wanted: a part of the firewall's actor, in its thread."""

from functools import partial
from typing import Any

import pykka

from supervisor.causes import Fault
from supervisor.firewall.intent import Intent, intent_of, is_known
from supervisor.firewall.live import LiveTable
from supervisor.parts import Parts
from supervisor.throttling.waits import doubled
from supervisor.work import firewall as firewall_work
from supervisor.work.firewall import Kept, Surroundings, TableFailed, TableReady

_AGAIN_S = 1.0
_MOST_AGAIN_S = 60.0


class FirewallLooks:
    """Has the kernel looked at, one look after another; what is not as wanted is put right.

    It asks neither LXD nor a name server: what is wanted is made of the configuration in force, and
    of what was known last.

    Args:
        parts: what the actors share.
        ref: the firewall's actor, which is told the outcomes and hands them on to `take`.
    """

    def __init__(self, parts: Parts, ref: pykka.ActorRef[Any]) -> None:
        self._parts = parts
        self._ref = ref
        self._known = Surroundings()
        self._tried: Intent | None = None
        self._failures = 0
        self.done = 0
        self.under_way = False
        self.again = False
        """Another look was ordered during the last one, and must be begun."""
        self.fault = Fault()
        """Why the last look has left the guests unguarded; empty if it has not."""
        self.intent: Intent | None = None
        """What the settings want that is in force; None if that is not known for all of it."""
        self.kept: Kept | None = None
        self.live: LiveTable | None = None
        self.warnings: tuple[str, ...] = ()

    def look(self, known: Surroundings) -> int:
        """Have a look that begins after this; at once, if none is under way.

        Returns:
            How many will have been done then.
        """
        self._known = known
        done_by = self.done + 1 + self.under_way
        if self.under_way:
            self.again = True
        else:
            self._begin()
        return done_by

    def _begin(self) -> None:
        self.under_way, self.again = True, False
        config, known = self._parts.settings.config, self._known
        intent = intent_of(config)
        self._tried = intent if is_known(intent, known.addresses) else None
        policy = firewall_work.policy_of(config, known)
        nftables = self._parts.nftables
        work = partial(firewall_work.ensure, nftables, policy, self.kept, self.live)
        self._parts.firewall.submit(work, self._ref)

    def close_if_gone(self) -> None:
        """Let nothing be open while a look is under way, which may take seconds."""
        if self.kept:
            nftables, policy = self._parts.nftables, self.kept.policy
            work = partial(firewall_work.close_if_gone, nftables, policy, self.live)
            self._parts.closing.submit(work, self._ref)

    def take(self, found: TableReady | TableFailed) -> None:
        """Take the outcome of a look."""
        self.done += 1
        self.under_way = False
        if isinstance(found, TableFailed):
            self._failures += 1
            self.fault = Fault(found.reason, found.cause)
        else:
            self._failures = 0
            self.fault = Fault(found.obstacle)
            self.intent = self._tried
            self.kept, self.live, self.warnings = found.kept, found.live, found.warnings

    @property
    def retry_s(self) -> float:
        """After how long the kernel must be looked at again; 0 if the last look has not failed."""
        return doubled(_AGAIN_S, self._failures, _MOST_AGAIN_S)
