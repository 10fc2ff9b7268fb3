"""What is forwarded between guests and the rest of the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.firewall.names import ANSWERS
from supervisor.firewall.rules import AS_SENT, ERROR, Rule, at, dialled, each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisor.firewall.networks import Ports
    from supervisor.firewall.policy import Policy


def outward(policy: Policy) -> Iterator[Rule]:
    """Check what has come through `guest` again, as NAT may have turned it to another address."""
    bridge = policy.bridge
    # Where br_netfilter hands bridged packets to us, this is how neighbours discover each other.
    yield Rule(f'oifname "{bridge}" jump link', "what guests say to each other on the link")
    yield Rule(f'oifname "{bridge}" goto refuse', "other guests by a detour")
    for ports in policy.allowed_by_ports():
        yield from allowed_at(ports)
        yield from each(
            f"daddr @allowed{{}}-{ports}",
            f"ct direction original {dialled(ports)} accept",
            f"dialled where {ports} is allowed",
            side=AS_SENT,
        )
    yield from rest_of_the_world()


def inward(policy: Policy) -> Iterator[Rule]:
    """Drop what a denied address still sends on a connection that a guest has opened."""
    # So says who may send in `link`: while a table is put in place the sets of guests, which then
    # are filled last (`addresses.sets`), keep out all that others could not be asked about yet.
    yield from each("daddr != @subnets{}", "drop", "to nobody who is a guest")
    for ports in policy.allowed_by_ports():
        yield from each(
            f"saddr @allowed{{}}-{ports}",
            f"meta l4proto {{ tcp, udp }} th sport {ports} accept",
            f"allowed at {ports}",
        )
        yield from each(
            f"daddr @allowed{{}}-{ports}",
            f"{dialled(ports)} accept",
            f"dialled where {ports} is allowed",
            side=AS_SENT,
        )
        yield from each(
            f"daddr @allowed{{}}-{ports}",
            f"{ERROR} ct original proto-dst {ports} accept",
            f"errors on the way to what is allowed at {ports}",
            side=AS_SENT,
        )
    yield from each("saddr @allowed{}", "accept", "allowed")
    # The routers on the way may have denied addresses: without them no path's MTU would be found.
    yield from each(
        "daddr @allowed{}",
        f"{ERROR} accept",
        "errors on the way to what is allowed",
        side=AS_SENT,
    )
    yield from each(
        "daddr != @denied{}", f"{ERROR} accept", "errors on the way to others", side=AS_SENT
    )
    yield from each("saddr @denied{}", f"counter name {ANSWERS} drop", "denied")
    yield Rule("accept", "the rest of the world is open")


def rest_of_the_world() -> Iterator[Rule]:
    """Refuse what is denied, and let through all else."""
    yield from each("daddr @allowed{}", "accept", "allowed")
    yield from each("daddr @denied{}", "goto refuse", "denied")
    yield Rule("accept", "the rest of the world is open")


def allowed_at(ports: Ports) -> Iterator[Rule]:
    """Let through what is sent to where ports are allowed."""
    yield from each(f"daddr @allowed{{}}-{ports}", f"{at(ports)} accept", f"allowed at {ports}")
