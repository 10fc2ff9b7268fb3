"""What of this host is open to guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.firewall.rules import ERROR, Rule, each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisor.firewall.networks import Ports

# What is established is let through in the direction of an answer only, and only to this host: a
# denylist that has changed ends what runs.
ANSWERED = (
    Rule(
        "ct direction reply ct state { established, related } fib daddr type local accept",
        "answers to what this host has begun",
    ),
    Rule(
        f"{ERROR} fib daddr type local accept",
        "errors about what this host has sent",
    ),
)


def dns() -> Iterator[Rule]:
    """Let through what is sent to this host's DNS."""
    to_dns = "meta l4proto { tcp, udp } th dport 53"
    return each("daddr @gateways{}", f"{to_dns} accept", "DNS of this host")


def service(ports: Ports) -> Iterator[Rule]:
    """Let through what is sent to this host's services at some ports."""
    return each(
        f"daddr @services{{}}-{ports}",
        f"tcp dport {ports} accept",
        f"this host's service at {ports}",
    )
