"""The table of nftables that holds a policy.

It is written for nft 1.0.2 and Linux 5.15, which Ubuntu 22.04 has. Names, comments and sets are all
that depends on the policy, so that what the kernel holds can be compared with what is wanted.

Decisions are taken before destination NAT: afterwards a packet to a published port of this host
looks as if it were for the container behind it. What NAT has made of an address is checked again
when the packet is forwarded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType
from typing import TYPE_CHECKING

from supervisor.firewall.networks import Network, collapsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from supervisor.firewall.live import Counted
    from supervisor.firewall.networks import Ports
    from supervisor.firewall.policy import Policy

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
KNOCKS = "knocks"
"""The set of guests that have connected to this host's services lately, by MAC."""
COUNTERS = (REJECTED, SPOOFED, UNHEARD, ANSWERS, FLOODED, ROUTED, CROWDED, QUESTIONS)
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

# The kernel goes through all connections of a guest at each that it begins, at 0.35 us for one:
# 1.4 ms at this limit, so the rate is what bounds the cost, to a seventh of a core for a guest.
MOST_TRACKED = 4096
"""Connections of one guest at once."""
_OPENING_RATE = "100/second burst 2000 packets"
_QUESTION_RATE = "200/second burst 1000 packets"
_MOST_RESOLVING = 4  # dnsmasq serves 20 at once, for all guests
_UNKNOWN = "ct status & confirmed == 0"
"""Of a connection that the kernel would begin to keep track of with this very packet."""

MULTICAST = (IPv4Network("224.0.0.0/4"), IPv6Network("ff00::/8"))
TO_EVERYBODY = (IPv4Network("255.255.255.255"), IPv4Network("0.0.0.0/8"))
LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1"))
LINK_LOCAL = IPv6Network("fe80::/10")


@dataclass(frozen=True)
class Rule:
    """What is matched and done, in nft's language, and why: the comment, which identifies it."""

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


def table_name(installation: str, bridge: str) -> str:
    """Name the table that guards a bridge for an installation."""
    return f"{_PREFIX}.{installation}.{bridge}"


def installations(tables: Iterable[str], bridge: str) -> list[str]:
    """Tell which installations guard a bridge, by the names of all tables."""
    # An installation's name has no dot; a bridge's may.
    pattern = re.compile(rf"{re.escape(_PREFIX)}\.([^.]+)\.{re.escape(bridge)}")
    return [match[1] for match in map(pattern.fullmatch, tables) if match]


def render(
    policy: Policy,
    rejected: Mapping[str, Counted] | None = None,
    counters: Mapping[str, Counted] | None = None,
) -> str:
    """Write the script that puts the table in place of what had its name, in one transaction.

    Args:
        policy: What guests may reach.
        rejected: How much each guest was refused so far, by its MAC: counting goes on there. Who is
            not named is forgotten; else guests are kept for a day after their last refusal.
        counters: What was counted in all so far, likewise.
    """
    head = _head(policy, rejected or {}, counters or {})
    return "\n".join((*head, written_sets(policy), *_tail(chains(policy)))) + "\n"


def render_closed(
    policy: Policy,
    rejected: Mapping[str, Counted] | None = None,
    counters: Mapping[str, Counted] | None = None,
) -> str:
    """Write the same for a table that is there at once, however long the policy's lists are.

    It lets through what guests need of this host, and drops all else in silence: connections
    that are open stall, and go on when the whole table has taken its place.
    """
    needed = {name: held for name, held in sets(policy).items() if _is_of_bridge(name)}
    head = _head(policy, rejected or {}, counters or {})
    return "\n".join((*head, *_sets(needed), *_tail(closed_chains(policy)))) + "\n"


def _is_of_bridge(set_name: str) -> bool:
    return set_name.startswith(("subnets", "gateways", "services"))


def _head(
    policy: Policy, rejected: Mapping[str, Counted], counters: Mapping[str, Counted]
) -> Iterator[str]:
    name = f"{FAMILY} {table_name(policy.installation, policy.bridge)}"
    # To delete a table that is not there would be an error, to add one that is there is none.
    yield f"table {name}"
    yield f"delete table {name}"
    yield f"table {name} {{"
    for counter in COUNTERS:
        so_far = ""
        if count := counters.get(counter):
            so_far = f"packets {count.packets} bytes {count.bytes} "
        yield f"  counter {counter} {{ {so_far}}}"
    for dynamic, form in DYNAMIC.items():
        elements = ""
        if dynamic == REJECTED and rejected:
            counts = (
                f"{mac} counter packets {count.packets} bytes {count.bytes}"
                for mac, count in rejected.items()
            )
            elements = f" elements = {{ {', '.join(counts)} }}"
        yield f"  set {dynamic} {{ {form}{elements} }}"


@lru_cache(maxsize=2)  # to write 50,000 networks takes half a second, in which nothing is guarded
def written_sets(policy: Policy) -> str:
    """Write the sets of addresses."""
    return "\n".join(_sets(sets(policy)))


def _sets(named: Mapping[str, tuple[Network, ...]]) -> Iterator[str]:
    for set_name, networks in named.items():
        kind = "ipv4_addr" if set_name.split("-")[0].endswith("4") else "ipv6_addr"
        yield f"  set {set_name} {{"
        yield f"    type {kind}; flags interval;"
        if networks:
            yield "    elements = {"
            yield ",\n".join(f"      {network}" for network in networks)
            yield "    }"
        yield "  }"


def _tail(chains_: Iterable[Chain]) -> Iterator[str]:
    for chain in chains_:
        yield f"  chain {chain.name} {{"
        if chain.hook:
            yield f"    type filter hook {chain.hook} priority {chain.priority}; policy accept;"
        for rule in chain.rules:
            yield f'    {rule.text} comment "{rule.comment}"'
        yield "  }"
    yield "}"


@lru_cache(maxsize=2)  # a policy is looked at again and again, and may name 50,000 networks
def sets(policy: Policy) -> Mapping[str, tuple[Network, ...]]:
    """Say which addresses each set must hold: the fewest networks, in order."""
    named: dict[str, Iterable[Network]] = {
        "subnets": policy.subnets,
        "gateways": (ip_network(address) for address in policy.gateways),
        "unheard": unheard(policy),
        "allowed": policy.allowed_networks(),
        "denied": policy.denied,
    }
    suffixed = [(name, "", networks) for name, networks in named.items()]
    suffixed += [("services", f"-{ports}", at) for ports, at in policy.services_by_ports().items()]
    suffixed += [("allowed", f"-{ports}", at) for ports, at in policy.allowed_by_ports().items()]
    found: dict[str, tuple[Network, ...]] = {}
    for name, suffix, networks in suffixed:
        found[f"{name}4{suffix}"], found[f"{name}6{suffix}"] = collapsed(networks)
    return MappingProxyType(found)


def unheard(policy: Policy) -> tuple[Network, ...]:
    """Give the addresses that mean everybody, or many."""
    broadcasts = (
        IPv4Network(subnet.broadcast_address)
        for subnet in policy.subnets
        if isinstance(subnet, IPv4Network)
    )
    return (*MULTICAST, *TO_EVERYBODY, *broadcasts)


def chains(policy: Policy) -> tuple[Chain, ...]:
    """Say which chains there must be; one that others go to comes before them."""
    bridge = policy.bridge
    return (
        Chain("refuse", _REFUSE),
        Chain("opening", _OPENING),
        Chain("link", _LINK),
        Chain("guest", tuple(_guest(policy))),
        Chain("outward", tuple(_outward(policy))),
        Chain("inward", tuple(_inward(policy))),
        _prerouting(bridge),
        _forward(
            Rule(f'iifname "{bridge}" goto outward', "what guests send on, after NAT"),
            Rule(f'oifname "{bridge}" goto inward', "what is sent to guests"),
        ),
    )


def closed_chains(policy: Policy) -> tuple[Chain, ...]:
    """Say which chains there are while nothing but this host is open to guests."""
    bridge = policy.bridge
    return (
        Chain("link", _LINK),
        Chain("guest", tuple(_closed(policy))),
        _prerouting(bridge),
        _forward(
            Rule(f'iifname "{bridge}" drop', "closed for now"),
            Rule(f'oifname "{bridge}" drop', "closed for now"),
        ),
    )


def _prerouting(bridge: str) -> Chain:
    return Chain(
        "prerouting",
        (Rule(f'iifname "{bridge}" goto guest', "what comes from guests, before any NAT"),),
        hook="prerouting",
        priority=-150,  # mangle: connections are known (-200), destinations as sent (-100)
    )


def _forward(*rules: Rule) -> Chain:
    # Before filter (0), where others accept and count.
    return Chain("forward", rules, hook="forward", priority=-10)


# A rule whose set can take no more does not match: counting is apart from refusing.
_REFUSE = (
    Rule(f"update @{REJECTED} {{ ether saddr counter }}", "counted for each guest"),
    Rule(f"counter name {REJECTED}", "counted for all"),
    Rule("meta l4proto tcp reject with tcp reset", "so that nobody waits for an answer"),
    Rule("reject with icmpx type admin-prohibited", "so that nobody waits for an answer"),
)

_ROUTING = (
    Rule(f"ip option lsrr exists counter name {ROUTED} drop", "no way of the sender's choice"),
    Rule(f"ip option ssrr exists counter name {ROUTED} drop", "no way of the sender's choice"),
    # Of whatever type: a header of type 0 may stand behind another.
    Rule(f"exthdr rt exists counter name {ROUTED} drop", "no way of the sender's choice"),
)

# The order keeps the cost down: who is beyond the rate has no connections counted.
_OPENING = (
    Rule("ip daddr @gateways4 udp dport 53 return", "DNS has a limit of its own"),
    Rule("ip6 daddr @gateways6 udp dport 53 return", "DNS has a limit of its own"),
    Rule(
        f"update @{OPENINGS} {{ ether saddr limit rate {_OPENING_RATE} }}"
        f" add @{TRACKED} {{ ether saddr ct count {MOST_TRACKED} }} return",
        "within what one guest may have at once",
    ),
    Rule(f"counter name {CROWDED} drop", "no guest fills this host's table of connections"),
)

_LISTENERS = "{ mld-listener-report, mld-listener-done, mld2-listener-report }"
# Advertisements of routers and redirects are not among these: nobody but this host may tell guests
# where to send.
_LINK = (
    Rule(
        "ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept",
        "DHCP of a guest without an address",
    ),
    Rule(
        "ip6 saddr :: ip6 daddr ff02::/16 ip6 hoplimit 255"
        " icmpv6 type { nd-router-solicit, nd-neighbor-solicit } accept",
        "a guest finds out whether its address is free",
    ),
    Rule(
        f"ip6 saddr :: ip6 daddr ff02::/16 icmpv6 type {_LISTENERS} accept",
        "what neighbour discovery needs where the bridge looks at groups",
    ),
    Rule(f"ip saddr != @subnets4 counter name {SPOOFED} drop", "no guest's address"),
    Rule(f"ip saddr @gateways4 counter name {SPOOFED} drop", "the bridge's own address"),
    Rule(
        f"ip6 saddr != @subnets6 ip6 saddr != {LINK_LOCAL} counter name {SPOOFED} drop",
        "no guest's address",
    ),
    Rule(f"ip6 saddr @gateways6 counter name {SPOOFED} drop", "the bridge's own address"),
    Rule(
        "ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept",
        "DHCP to whichever server hears it",
    ),
    Rule("ip daddr @gateways4 udp sport 68 udp dport 67 accept", "DHCP to this host"),
    Rule(
        f"ip6 saddr {LINK_LOCAL} ip6 daddr ff02::1:2 udp sport 546 udp dport 547 accept",
        "DHCP for IPv6",
    ),
    Rule(
        f"ip6 hoplimit 255 ip6 daddr {{ {LINK_LOCAL}, ff02::/16 }}"
        " icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept",
        "neighbour discovery on the link",
    ),
    Rule(
        "ip6 hoplimit 255 ip6 daddr @subnets6"
        " icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
        "neighbour discovery of one address",
    ),
    Rule(
        f"ip6 saddr {LINK_LOCAL} ip6 daddr ff02::/16 icmpv6 type {_LISTENERS} accept",
        "groups that neighbour discovery needs",
    ),
)


_LINKED = Rule("jump link", "what every guest needs, and who may send at all")
_ANSWERED = (
    Rule(
        "ct direction reply ct state { established, related } fib daddr type local accept",
        "answers to what this host has begun",
    ),
    Rule(
        "meta l4proto { icmp, ipv6-icmp } ct state related fib daddr type local accept",
        "errors of connections that are let through",
    ),
)


def _guest(policy: Policy) -> Iterator[Rule]:
    yield from _ROUTING
    yield Rule(f"{_UNKNOWN} jump opening", "a connection that is new costs this host memory")
    yield _LINKED
    yield from _each(
        "daddr @gateways{}",
        f"udp dport 53 update @{QUESTIONS} {{ ether saddr limit rate over {_QUESTION_RATE} }}"
        f" counter name {QUESTIONS} drop",
        "no guest keeps DNS from the others",
    )
    yield from _each(
        "daddr @gateways{}",
        f"tcp dport 53 {_UNKNOWN} add @{RESOLVING}"
        f" {{ ether saddr ct count over {_MOST_RESOLVING} }} counter name {QUESTIONS} drop",
        "no guest keeps DNS from the others",
    )
    yield from _dns()
    for ports in policy.services_by_ports():
        there = f"daddr @services{{}}-{ports}"
        yield from _each(
            there,
            f"tcp dport {ports} ct state new update @{KNOCKS}"
            " { ether saddr limit rate over 10/second burst 50 packets }"
            f" counter name {FLOODED} drop",
            "a guest that floods costs this host nothing",
        )
        yield from _each(there, f"tcp dport {ports} accept", "a service of this host for guests")
    # What is established is let through in the direction of an answer only, and only to this host:
    # a denylist that has changed ends what runs.
    yield from _ANSWERED
    yield from _each("daddr @unheard{}", f"counter name {UNHEARD} drop", "to everybody")
    yield Rule(f"ip6 saddr {LINK_LOCAL} goto refuse", "an address of the link leads nowhere else")
    for ports in policy.allowed_by_ports():
        yield from _each(
            f"daddr @allowed{{}}-{ports}", f"{_at(ports)} accept", "allowed at these ports"
        )
    yield from _each("daddr @subnets{}", "goto refuse", "other guests")
    v4, v6 = LOOPBACK
    yield Rule(f"ip daddr {v4} goto refuse", "this host")
    yield Rule(f"ip6 daddr {{ {v6}, {LINK_LOCAL} }} goto refuse", "this host and its links")
    yield Rule("fib daddr type { local, broadcast, anycast } goto refuse", "this host")
    yield from _each("daddr @allowed{}", "accept", "allowed")
    yield from _each("daddr @denied{}", "goto refuse", "denied")
    yield Rule("accept", "the rest of the world is open")


def _closed(policy: Policy) -> Iterator[Rule]:
    yield from _ROUTING
    yield _LINKED
    yield from _dns()
    for ports in policy.services_by_ports():
        there = f"daddr @services{{}}-{ports}"
        yield from _each(there, f"tcp dport {ports} accept", "a service of this host for guests")
    yield from _ANSWERED
    yield Rule("drop", "closed for now")


def _dns() -> Iterator[Rule]:
    dns = "meta l4proto { tcp, udp } th dport 53"
    return _each("daddr @gateways{}", f"{dns} accept", "DNS of this host")


def _outward(policy: Policy) -> Iterator[Rule]:
    """Check what has come through `guest` again, as NAT may have turned it to another address."""
    bridge = policy.bridge
    # Where br_netfilter hands bridged packets to us, this is how neighbours discover each other.
    yield Rule(f'oifname "{bridge}" jump link', "what guests say to each other on the link")
    yield Rule(f'oifname "{bridge}" goto refuse', "other guests by a detour")
    for ports in policy.allowed_by_ports():
        yield from _each(
            f"daddr @allowed{{}}-{ports}", f"{_at(ports)} accept", "allowed at these ports"
        )
        yield from _each(
            f"daddr @allowed{{}}-{ports}",
            f"ct direction original {_dialled(ports)} accept",
            "allowed as it was sent",
            side="ct original ",
        )
    yield from _each("daddr @allowed{}", "accept", "allowed")
    yield from _each("daddr @denied{}", "goto refuse", "denied")
    yield Rule("accept", "the rest of the world is open")


def _inward(policy: Policy) -> Iterator[Rule]:
    """Drop what denied addresses send, whoever has begun; `verdict.arrival` says the same."""
    for ports in policy.allowed_by_ports():
        yield from _each(
            f"saddr @allowed{{}}-{ports}",
            f"meta l4proto {{ tcp, udp }} th sport {ports} accept",
            "allowed at these ports",
        )
        yield from _each(
            f"daddr @allowed{{}}-{ports}",
            f"ct direction reply {_dialled(ports)} accept",
            "allowed as it was sent",
            side="ct original ",
        )
    yield from _each("saddr @allowed{}", "accept", "allowed")
    yield from _each("saddr @denied{}", f"counter name {ANSWERS} drop", "denied")
    yield Rule("accept", "the rest of the world is open")


def _at(ports: Ports) -> str:
    return f"meta l4proto {{ tcp, udp }} th dport {ports}"


def _dialled(ports: Ports) -> str:
    return f"meta l4proto {{ tcp, udp }} ct original proto-dst {ports}"


def _each(where: str, then: str, comment: str, *, side: str = "") -> Iterator[Rule]:
    """Make the same rule for IPv4 and for IPv6."""
    yield Rule(f"{side}ip {where.format(4)} {then}", comment)
    yield Rule(f"{side}ip6 {where.format(6)} {then}", comment)
