"""What rules and chains are, and the matches that many rules share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisor.firewall.networks import Ports

AS_SENT = "ct original "
ERROR = "meta l4proto { icmp, icmpv6 } ct state related"


@dataclass(frozen=True)
class Rule:
    """What is matched and done, in nft's language, and why.

    Attributes:
        text: In nft's language.
        comment: Why. No other rule of the chain has it, as it identifies the rule.
    """

    text: str
    comment: str


@dataclass(frozen=True)
class Chain:
    """A chain of rules.

    Attributes:
        name: Unique in the table.
        rules: In order.
        hook: Where the kernel enters it; none for one that others go to.
        priority: Among the chains at the same hook.
    """

    name: str
    rules: tuple[Rule, ...]
    hook: str = ""
    priority: int = 0


def each(where: str, then: str, comment: str, *, side: str = "") -> Iterator[Rule]:
    """Make the same rule for IPv4 and for IPv6."""
    yield Rule(f"{side}ip {where.format(4)} {then}", f"{comment}, IPv4")
    yield Rule(f"{side}ip6 {where.format(6)} {then}", f"{comment}, IPv6")


def at(ports: Ports) -> str:
    """Match what is sent to ports."""
    return f"meta l4proto {{ tcp, udp }} th dport {ports}"


def dialled(ports: Ports) -> str:
    """Match what belongs to a connection to ports, as it was before NAT."""
    return f"meta l4proto {{ tcp, udp }} ct original proto-dst {ports}"
