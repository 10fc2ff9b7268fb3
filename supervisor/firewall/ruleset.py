"""The table of nftables that holds a policy, as a script.

It is written for nft 1.0.2 and Linux 5.15, which Ubuntu 22.04 has. Names, comments and sets are all
that depends on the policy, so that what the kernel holds can be compared with what is wanted.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from supervisor.firewall.addresses import sets
from supervisor.firewall.chains import chains
from supervisor.firewall.closed import closed_chains
from supervisor.firewall.names import COUNTERS, DYNAMIC, FAMILY, REJECTED, table_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from supervisor.firewall.live import Counted
    from supervisor.firewall.networks import Network
    from supervisor.firewall.policy import Policy
    from supervisor.firewall.rules import Chain


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
