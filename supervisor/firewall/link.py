"""What every guest needs of its link, and what no guest may send on it."""

from supervisor.firewall.addresses import LINK_LOCAL
from supervisor.firewall.names import CLOSED, ROUTED, SPOOFED
from supervisor.firewall.rules import Rule

ROUTING = (
    Rule(
        f"ip option lsrr exists counter name {ROUTED} drop", "no way of the sender's choice, loose"
    ),
    Rule(
        f"ip option ssrr exists counter name {ROUTED} drop", "no way of the sender's choice, strict"
    ),
    # Of whatever type: a header of type 0 may stand behind another.
    Rule(f"exthdr rt exists counter name {ROUTED} drop", "no way of the sender's choice, IPv6"),
)

_LISTENERS = "{ mld-listener-report, mld-listener-done, mld2-listener-report }"
# Advertisements of routers and redirects are not among these: nobody but this host may tell guests
# where to send.
LINK = (
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
    Rule(f"ip saddr != @subnets4 counter name {SPOOFED} drop", "no guest's IPv4 address"),
    Rule(f"ip saddr @gateways4 counter name {SPOOFED} drop", "the bridge's own IPv4 address"),
    Rule(
        f"ip6 saddr != @subnets6 ip6 saddr != {LINK_LOCAL} counter name {SPOOFED} drop",
        "no guest's IPv6 address",
    ),
    Rule(f"ip6 saddr @gateways6 counter name {SPOOFED} drop", "the bridge's own IPv6 address"),
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

# Neighbour discovery too: an advertisement may name any guest as any address's owner.
WITHOUT_IPV6 = Rule(f"meta nfproto ipv6 counter name {CLOSED} drop", "IPv6 is closed to guests")
LINKED = Rule("jump link", "what every guest needs, and who may send at all")
