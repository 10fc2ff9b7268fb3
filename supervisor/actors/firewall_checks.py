"""What the firewall depends on, found out again and again: a part of its actor, in its thread."""

import secrets
from dataclasses import replace
from functools import partial
from typing import Any

import pykka

from supervisor.messages.firewall import CheckOrdered
from supervisor.parts import Parts
from supervisor.throttling.waits import doubled
from supervisor.work import firewall as firewall_work
from supervisor.work.firewall import Surroundings

_INTERVAL_S = 60.0
_AGAIN_S = 1.0
"""While LXD says of no bridge to guard; doubled with each time."""


class FirewallChecks:
    """Has LXD and the resolver asked, one check after another.

    A check ends when the actor says so: when the kernel has been looked at with what was found.

    Args:
        parts: what the actors share.
        ref: the firewall's actor, which is told the answers and hands them on to `take`.
    """

    def __init__(self, parts: Parts, ref: pykka.ActorRef[Any]) -> None:
        self._parts = parts
        self._ref = ref
        # An earlier incarnation of the actor had other counts.
        self.incarnation = secrets.token_hex(4)
        self.known = Surroundings()
        self.done = 0
        self.under_way = False
        self._again = False
        self._with_runners = False
        self._failures = 0

    def order(self, *, with_runners: bool) -> CheckOrdered:
        """Have a check done that begins after this; at once, if none is under way."""
        self._with_runners = self._with_runners or with_runners
        ordered = CheckOrdered(self.done + 1 + self.under_way, self.incarnation)
        if self.under_way:
            self._again = True
        else:
            self._begin()
        return ordered

    def _begin(self) -> None:
        self.under_way, self._again = True, False
        parts, with_runners = self._parts, self._with_runners
        work = partial(
            firewall_work.ask,
            parts.lxd,
            parts.names,
            parts.sees_ipv6,
            parts.settings.config,
            with_runners=with_runners,
        )
        self._with_runners = False
        parts.asking.submit(work, self._ref)

    def take(self, found: Surroundings) -> None:
        """Take what was found; what was not is as it was."""
        known = self.known
        self.known = replace(
            found,
            bridge=found.bridge or known.bridge,
            runners=known.runners if found.runners is None else found.runners,
            # Of LXD's being away others tell, and its bridge is what it was.
            error="" if found.outage and known.bridge and not known.error else found.error,
        )
        self._failures = self._failures + 1 if self.known.error else 0

    def end(self) -> float | None:
        """End a check, and say after how long there must be another; None if one has begun."""
        self.done += 1
        self.under_way = False
        if self._again:
            self._begin()
            return None
        if self._failures:
            return doubled(_AGAIN_S, self._failures, _INTERVAL_S)
        return _INTERVAL_S
