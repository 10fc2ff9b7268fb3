"""What the firewall's actor may be told, and what it announces."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.firewall.debug_servers import Server
from supervisor.firewall.intent import Intent


@dataclass(frozen=True)
class AnnounceFirewall:
    """Say to fleet and image whether the firewall is in place: answered by `FirewallChanged`."""


@dataclass(frozen=True)
class FirewallChanged:
    """Whether guests are held to what they may reach has changed.

    Attributes:
        in_place: they are.
        reason: why they aren't, for the operator; empty if they are.
        intent: what the settings wanted that are in force in the kernel.
        filters_ipv6: whether LXD can filter IPv6 at the ports of the bridge; None if that is not
            known yet.
        servers: of each tmate server, why runners can't reach it; empty if they can. One that is
            not named has not been looked at yet.
    """

    in_place: bool
    reason: str = ""
    intent: Intent | None = None
    filters_ipv6: bool | None = None
    servers: Mapping[Server, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckFirewall:
    """Look at everything that the firewall depends on, and at what the kernel has of it.

    Asked, it is answered by `CheckOrdered`.

    Attributes:
        with_runners: also learn which runner has which hardware address.
    """

    with_runners: bool = False


@dataclass(frozen=True)
class CheckOrdered:
    """When a look that was ordered is done.

    Attributes:
        done_by: how many such looks this incarnation of the actor will have done then.
        incarnation: of the actor; the first look of another one comes after the order.
    """

    done_by: int
    incarnation: str
