"""What one guest may have of this host at most, so that others have some too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.firewall.names import (
    CROWDED,
    FLOODED,
    KNOCKS,
    OPENINGS,
    QUESTIONS,
    RESOLVING,
    TRACKED,
)
from supervisor.firewall.rules import Rule, each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisor.firewall.networks import Ports

# The kernel goes through all connections of a guest at each that it begins, at 0.35 us for one:
# 1.4 ms at this limit, so the rate is what bounds the cost, to a seventh of a core for a guest.
MOST_TRACKED = 4096
"""Connections of one guest at once."""
_OPENING_RATE = "100/second burst 2000 packets"
_QUESTION_RATE = "200/second burst 1000 packets"
_MOST_RESOLVING = 4  # dnsmasq serves 20 at once, for all guests
UNKNOWN = "ct status & confirmed == 0"
"""Of a connection that the kernel would begin to keep track of with this very packet."""

# The order keeps the cost down: who is beyond the rate has no connections counted.
OPENING = (
    Rule("ip daddr @gateways4 udp dport 53 return", "DNS has a limit of its own, IPv4"),
    Rule("ip6 daddr @gateways6 udp dport 53 return", "DNS has a limit of its own, IPv6"),
    Rule(
        f"update @{OPENINGS} {{ ether saddr limit rate {_OPENING_RATE} }}"
        f" add @{TRACKED} {{ ether saddr ct count {MOST_TRACKED} }} return",
        "within what one guest may have at once",
    ),
    Rule(f"counter name {CROWDED} drop", "no guest fills this host's table of connections"),
)


def of_dns() -> Iterator[Rule]:
    """Drop what one guest asks or keeps of this host's DNS beyond its share."""
    yield from each(
        "daddr @gateways{}",
        f"udp dport 53 update @{QUESTIONS} {{ ether saddr limit rate over {_QUESTION_RATE} }}"
        f" counter name {QUESTIONS} drop",
        "no guest keeps DNS from the others",
    )
    yield from each(
        "daddr @gateways{}",
        f"tcp dport 53 {UNKNOWN} add @{RESOLVING}"
        f" {{ ether saddr ct count over {_MOST_RESOLVING} }} counter name {QUESTIONS} drop",
        "no guest takes all connections to DNS",
    )


def of_service(ports: Ports) -> Iterator[Rule]:
    """Drop the connections to a service of this host that one guest begins beyond its share."""
    return each(
        f"daddr @services{{}}-{ports}",
        f"tcp dport {ports} ct state new update @{KNOCKS}"
        " { ether saddr limit rate over 10/second burst 50 packets }"
        f" counter name {FLOODED} drop",
        f"a guest that floods {ports} costs this host nothing",
    )
