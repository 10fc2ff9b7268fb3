"""What the table, its counters and the sets that the kernel fills are called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FAMILY = "inet"
_PREFIX = "github-runners"

REJECTED = "rejected"
"""The set of guests that were refused something, by MAC, and the counter of all such packets."""
SPOOFED = "spoofed"
"""The counter of packets with a sender's address that no guest can have."""
UNHEARD = "unheard"
"""The counter of what guests say to everybody, which nobody is to hear."""
ANSWERS = "answers"
"""The counter of what denied addresses have sent to guests."""
ROUTED = "routed"
"""The counter of packets that name the way that they are to take."""
CROWDED = "crowded"
"""The counter of new connections of guests that have too many."""
OPENINGS = "openings"
"""The set of guests that have begun connections lately, by MAC."""
TRACKED = "tracked"
"""The set of guests that have connections, by MAC, with how many the kernel keeps track of."""
QUESTIONS = "questions"
"""The set of guests that have asked DNS lately, by MAC, and the counter of what was too much."""
RESOLVING = "resolving"
"""The set of guests that are connected to this host's DNS, with how many connections."""
FLOODED = "flooded"
"""The counter of new connections to this host's services that were too many."""
UNASKED = "unasked"
"""The counter of what others sent to guests on connections that no guest has opened."""
CLOSED = "closed"
"""The counter of guests' IPv6 where it is closed."""
KNOCKS = "knocks"
"""The set of guests that have connected to this host's services lately, by MAC."""
COUNTERS = (
    REJECTED,
    SPOOFED,
    UNHEARD,
    ANSWERS,
    FLOODED,
    ROUTED,
    CROWDED,
    QUESTIONS,
    UNASKED,
    CLOSED,
)
DYNAMIC = {
    # A guest is gone within a day of its last refusal. Whoever forges MACs fills the set and is
    # not counted any more, but refused as before.
    REJECTED: "type ether_addr; size 4096; flags dynamic,timeout; timeout 1d;",
    KNOCKS: "type ether_addr; size 4096; flags dynamic,timeout; timeout 1m;",
    QUESTIONS: "type ether_addr; size 4096; flags dynamic,timeout; timeout 1m;",
    # The kernel forgets by itself who has no connection any more, and takes no timeout here.
    RESOLVING: "type ether_addr; size 4096; flags dynamic;",
    # Who finds no room in these two is not let through, so they are larger than any fleet.
    OPENINGS: "type ether_addr; size 65536; flags dynamic,timeout; timeout 1m;",
    TRACKED: "type ether_addr; size 65536; flags dynamic;",
}
"""The sets that the kernel fills itself."""


def table_name(installation: str, bridge: str) -> str:
    """Name the table that guards a bridge for an installation."""
    return f"{_PREFIX}.{installation}.{bridge}"


def installations(tables: Iterable[str], bridge: str) -> list[str]:
    """Tell which installations guard a bridge, by the names of all tables."""
    # An installation's name has no dot; a bridge's may.
    pattern = re.compile(rf"{re.escape(_PREFIX)}\.([^.]+)\.{re.escape(bridge)}")
    return [match[1] for match in map(pattern.fullmatch, tables) if match]
