"""The chains of rules that hold a policy.

Decisions are taken before destination NAT: afterwards a packet to a published port of this host
looks as if it were for the container behind it. What NAT has made of an address is checked again,
when the packet is forwarded and when it arrives at this host, which others' NAT may lead back to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.firewall import limits
from supervisor.firewall.addresses import LINK_LOCAL, LOOPBACK
from supervisor.firewall.hooks import arrival, forward, prerouting
from supervisor.firewall.host import ANSWERED, dns, service
from supervisor.firewall.link import LINK, LINKED, ROUTING, WITHOUT_IPV6
from supervisor.firewall.names import REJECTED, UNASKED, UNHEARD
from supervisor.firewall.rules import AS_SENT, Chain, Rule, at, dialled, each
from supervisor.firewall.world import allowed_at, inward, outward, rest_of_the_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisor.firewall.policy import Policy

# A rule whose set can take no more does not match: counting is apart from refusing.
_REFUSE = (
    Rule(f"update @{REJECTED} {{ ether saddr counter }}", "counted for each guest"),
    Rule(f"counter name {REJECTED}", "counted for all"),
    Rule("meta l4proto tcp reject with tcp reset", "so that nobody waits for a connection"),
    Rule("reject with icmpx type admin-prohibited", "so that nobody waits for an answer"),
)


def chains(policy: Policy) -> tuple[Chain, ...]:
    """Say which chains there must be; one that others go to comes before them."""
    bridge = policy.bridge
    return (
        Chain("refuse", _REFUSE),
        Chain("opening", limits.OPENING),
        Chain("link", LINK),
        Chain("guest", tuple(_guest(policy))),
        Chain("outward", tuple(outward(policy))),
        Chain("inward", tuple(inward(policy))),
        Chain("arrived", tuple(_arrived(policy))),
        prerouting(bridge),
        forward(
            Rule(f'iifname "{bridge}" goto outward', "what guests send on, after NAT"),
            # Errors about what a guest has sent are of this direction too.
            Rule(f'oifname "{bridge}" ct direction reply goto inward', "what answers guests"),
            Rule(
                f'oifname "{bridge}" counter name {UNASKED} drop',
                "nobody but this host opens connections to guests",
            ),
        ),
        arrival(bridge),
    )


def _guest(policy: Policy) -> Iterator[Rule]:
    if policy.closes_ipv6:
        yield WITHOUT_IPV6
    yield from ROUTING
    yield Rule(f"{limits.UNKNOWN} jump opening", "a connection that is new costs this host memory")
    yield LINKED
    yield from _offered(policy)
    yield from ANSWERED
    yield from each("daddr @unheard{}", f"counter name {UNHEARD} drop", "to everybody")
    yield Rule(f"ip6 saddr {LINK_LOCAL} goto refuse", "an address of the link leads nowhere else")
    yield from _opened(policy)
    yield from each("daddr @subnets{}", "goto refuse", "other guests")
    v4, v6 = LOOPBACK
    yield Rule(f"ip daddr {v4} goto refuse", "this host, IPv4")
    yield Rule(f"ip6 daddr {{ {v6}, {LINK_LOCAL} }} goto refuse", "this host and its links, IPv6")
    yield Rule("fib daddr type { local, broadcast, anycast } goto refuse", "this host")
    for ports in policy.allowed_by_ports():
        yield from allowed_at(ports)
    yield from rest_of_the_world()


def _offered(policy: Policy) -> Iterator[Rule]:
    """Let through what is sent to what this host has for guests."""
    yield from limits.of_dns()
    yield from dns()
    for ports in policy.services_by_ports():
        yield from limits.of_service(ports)
        yield from service(ports)


def _opened(policy: Policy) -> Iterator[Rule]:
    """Let through what is sent to an endpoint that may be this host."""
    for ports in policy.endpoints_by_ports():
        yield from each(
            f"daddr @endpoints{{}}-{ports}", f"{at(ports)} accept", f"endpoint at {ports}"
        )


def _arrived(policy: Policy) -> Iterator[Rule]:
    """Check what has come through `guest` again when it is for this host.

    All that is meant for guests is let through by name, whether it was translated or not: whatever
    else another program has led here, by NAT or by a transparent proxy, is refused.
    """
    yield Rule("jump link", "what every guest needs")
    yield from ANSWERED
    to_dns = "meta l4proto { tcp, udp } ct original proto-dst 53"
    yield from each("daddr @gateways{}", f"{to_dns} accept", "dialled as DNS", side=AS_SENT)
    for ports in policy.services_by_ports():
        yield from each(
            f"daddr @services{{}}-{ports}",
            f"meta l4proto tcp ct original proto-dst {ports} accept",
            f"dialled as this host's service at {ports}",
            side=AS_SENT,
        )
    for ports in policy.endpoints_by_ports():
        yield from each(
            f"daddr @endpoints{{}}-{ports}",
            f"{dialled(ports)} accept",
            f"dialled as endpoint at {ports}",
            side=AS_SENT,
        )
    yield from _offered(policy)
    yield from _opened(policy)
    yield Rule("goto refuse", "this host by a detour")
