"""The chains of a table that is closed to all but what guests need of this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.firewall.hooks import forward, prerouting
from supervisor.firewall.host import ANSWERED, dns, service
from supervisor.firewall.link import LINK, LINKED, ROUTING, WITHOUT_IPV6
from supervisor.firewall.rules import Chain, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisor.firewall.policy import Policy


def closed_chains(policy: Policy) -> tuple[Chain, ...]:
    """Say which chains there are while nothing but this host is open to guests.

    NAT may lead nothing to this host but what guests have sent to what it offers them.
    """
    bridge = policy.bridge
    return (
        Chain("link", LINK),
        Chain("guest", tuple(_closed(policy))),
        prerouting(bridge),
        forward(
            Rule(f'iifname "{bridge}" drop', "closed for now to what guests send"),
            Rule(f'oifname "{bridge}" drop', "closed for now to what is sent to guests"),
        ),
    )


def _closed(policy: Policy) -> Iterator[Rule]:
    if policy.closes_ipv6:
        yield WITHOUT_IPV6
    yield from ROUTING
    yield LINKED
    yield from dns()
    for ports in policy.services_by_ports():
        yield from service(ports)
    yield from ANSWERED
    yield Rule("drop", "closed for now")
