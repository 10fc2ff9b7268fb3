"""The work on the firewall, as calls that block and return what they found.

Workers run it in their threads: it holds nothing that changes, and raises nothing that is LXD's,
nftables' or a resolver's. To find out what is wanted and to have it in the kernel are apart, as the
first may hang with LXD or a name server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from supervisor.causes import Cause, cause_of
from supervisor.config import Config
from supervisor.firewall import intent, live, ruleset
from supervisor.firewall.debug_servers import Server
from supervisor.firewall.intent import Interface
from supervisor.firewall.live import LiveTable
from supervisor.firewall.names import installations, table_name
from supervisor.firewall.networks import Address, Network
from supervisor.firewall.policy import Policy
from supervisor.gateways import own_addresses
from supervisor.gateways.lxd import Lxd, LxdError, NotFound, Refused
from supervisor.gateways.names import Names
from supervisor.gateways.nftables import Nftables, NftablesError
from supervisor.work import endpoints

_LONG = 1_000
"""So many networks take no time that anybody would notice; 50,000 take seconds."""
_HWADDR = "volatile.eth0.hwaddr"
_EXTERNAL = (
    "firewall: external: nothing here holds the guests to what they may reach; whoever does it "
    "must keep them from this host, from each other and from what the denylist would name"
)
_UNFILTERED = (
    "LXD can't filter runners' IPv6 at the bridge: load the kernel's br_netfilter and set "
    "net.bridge.bridge-nf-call-ip6tables=1"
)
_WE_CLOSE_IPV6 = "until then the firewall lets none of it through"
_OTHERS_CLOSE_IPV6 = "until then whoever keeps the firewall should let none of it through"


@dataclass(frozen=True)
class Surroundings:
    """What the firewall depends on.

    Attributes:
        bridge: the host's addresses on it; empty if LXD did not say, or was not asked.
        filters_ipv6: whether LXD can filter IPv6 at the ports of the bridge; None if that has not
            been found out yet.
        addresses: what the endpoints' names stand for.
        warnings: what is not as it should be.
        runners: the runner of each hardware address; None if that was not asked for, or LXD did not
            say.
        error: why the bridge is not known.
        outage: LXD did not answer, or nonsense, which says nothing of the bridge.
        servers: why runners can't reach a tmate server, of each one that is configured; empty for
            those that they can.
    """

    bridge: tuple[Interface, ...] = ()
    addresses: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    runners: Mapping[str, str] | None = None
    error: str = ""
    cause: Cause = Cause.UNKNOWN
    outage: bool = False
    filters_ipv6: bool | None = None
    servers: Mapping[Server, str] = field(default_factory=dict)


def ask(
    lxd: Lxd,
    names: Names,
    sees_ipv6: Callable[[], bool],
    config: Config,
    *,
    with_runners: bool,
    own: Callable[[], tuple[Network, ...]] = own_addresses.of_this_host,
) -> Surroundings:
    """Find out what the firewall depends on.

    Args:
        lxd: it has the bridge.
        names: the resolver.
        sees_ipv6: tells whether the kernel lets LXD filter IPv6 at a bridge.
        config: the settings.
        with_runners: whether to find out whose each hardware address is.
        own: gives this host's addresses.
    """
    filters_ipv6 = sees_ipv6()
    if config.firewall == "external":
        unfiltered = () if filters_ipv6 else (f"{_UNFILTERED}; {_OTHERS_CLOSE_IPV6}",)
        return Surroundings(
            servers={(one.host, one.port): "" for one in config.ssh_debug},
            warnings=(_EXTERNAL, *unfiltered),
            filters_ipv6=filters_ipv6,
        )
    named = endpoints.look_up(names, config, own())
    unfiltered = () if filters_ipv6 else (f"{_UNFILTERED}; {_WE_CLOSE_IPV6}",)
    found = Surroundings(
        addresses=named.addresses,
        servers=named.servers,
        warnings=(*unfiltered, *named.warnings),
        filters_ipv6=filters_ipv6,
    )
    try:
        bridge = lxd.bridge_addresses(config.lxd.network)
    except LxdError as error:
        outage = not isinstance(error, (NotFound, Refused))
        return replace(found, error=str(error), cause=error.cause, outage=outage)
    return replace(found, bridge=bridge, runners=_runners(lxd) if with_runners else None)


def policy_of(config: Config, known: Surroundings) -> Policy:
    """Say what guests may reach, by what was found out."""
    closes_ipv6 = not known.filters_ipv6
    return intent.policy_of(config, known.bridge, known.addresses, closes_ipv6=closes_ipv6)


def _runners(lxd: Lxd) -> dict[str, str] | None:
    try:
        found = {one.config.get(_HWADDR, ""): one.name for one in lxd.instances()}
    except LxdError:
        return None  # others tell of it; it costs no more than names in a list
    return {address.lower(): name for address, name in found.items() if address}


@dataclass(frozen=True)
class Kept:
    """What was put into the kernel, and how the kernel itself spells it."""

    policy: Policy
    reference: LiveTable


@dataclass(frozen=True)
class TableReady:
    """The kernel holds what is wanted.

    Attributes:
        kept: what that is.
        live: as it was seen last, with its counters.
        healed: what was found different from what had been put there; empty if nothing was.
        warnings: what is there besides and should not be.
        obstacle: what is there besides and makes it worthless, for the operator.
    """

    kept: Kept
    live: LiveTable
    healed: str = ""
    warnings: tuple[str, ...] = ()
    obstacle: str = ""


@dataclass(frozen=True)
class TableFailed:
    """It does not, and why, for the operator and in a word."""

    reason: str
    cause: Cause = Cause.UNKNOWN


def ensure(
    nftables: Nftables, policy: Policy, kept: Kept | None, before: LiveTable | None
) -> TableReady | TableFailed:
    """See to it that the kernel holds what is wanted; what is right stays as it is.

    Args:
        nftables: the kernel's packet filter.
        policy: what is wanted.
        kept: what was put there before, if anything.
        before: what was there last, to go on counting from if it is not there any more.
    """
    try:
        tables = nftables.tables_with_chains()
        obstacle, there = _foreign(tables, policy), _name_of(policy) in tables
        if obstacle and kept is None and not there:
            return TableFailed(obstacle)  # it was there first
        found = _ensure(nftables, policy, kept, before, there=there)
        return replace(found, warnings=tuple(_stale(tables, policy)), obstacle=obstacle)
    except (NftablesError, _NotTaken) as error:
        return TableFailed(str(error), cause_of(error))


class _NotTaken(Exception):
    """What was put into the kernel is not what it shows."""


def _ensure(
    nftables: Nftables,
    policy: Policy,
    kept: Kept | None,
    before: LiveTable | None,
    *,
    there: bool,
) -> TableReady:
    healed, found = "", None
    try:
        found = _read(nftables, policy) if there else None
    except ValueError as error:
        healed = str(error)  # somebody has put into it what never was in it
    if kept and kept.policy == policy:
        healed = healed or live.fault(policy, found, kept.reference)
        if found and not healed:
            return TableReady(kept, found)
    counted = found or before
    counts = (counted.rejected, counted.counters) if counted else ()
    if (healed or found is None) and _takes_long(policy):
        nftables.apply(ruleset.render_closed(policy, *counts))
    nftables.apply(ruleset.render(policy, *counts))
    if kept and kept.policy == policy:
        # What is known to work needs no proof; the kernel's notice of it has the daemon look again.
        again = kept.reference
        if counted:
            again = replace(again, rejected=counted.rejected, counters=counted.counters)
        return TableReady(kept, again, healed)
    try:
        applied = _read(nftables, policy)
        wrong = live.fault(policy, applied, None)
    except ValueError as error:
        applied, wrong = None, str(error)
    if applied is None or wrong:
        raise _NotTaken(f"the kernel does not hold what was just put there: {wrong}")
    return TableReady(Kept(policy, applied), applied, healed if kept else "")


def close_if_gone(nftables: Nftables, policy: Policy, before: LiveTable | None) -> None:
    """Let guests reach nothing but this host if their table is gone, until it is back.

    For while another call of `ensure` is under way, which may take seconds; one more is to follow.
    """
    counts = (before.rejected, before.counters) if before else ()
    # What goes wrong here, the look that follows meets too, and tells of.
    with suppress(NftablesError):
        if _takes_long(policy) and _name_of(policy) not in nftables.tables_with_chains():
            nftables.apply(ruleset.render_closed(policy, *counts))


def _takes_long(policy: Policy) -> bool:
    return len(policy.denied) + len(policy.allowed) > _LONG


def table_of(config: Config) -> str:
    """Name the table of the configured bridge."""
    return table_name(config.name, config.lxd.network)


def _name_of(policy: Policy) -> str:
    return table_name(policy.installation, policy.bridge)


def _read(nftables: Nftables, policy: Policy) -> LiveTable | None:
    document = nftables.table(_name_of(policy))
    return None if document is None else live.read(document)


def _foreign(tables: list[str], policy: Policy) -> str:
    """Say that another installation guards this bridge; nothing if none does."""
    for other in installations(tables, policy.bridge):
        if other != policy.installation:
            name = table_name(other, policy.bridge)
            return (
                f"installation {other} guards the guests of bridge {policy.bridge} already (nft "
                f"table inet {name}): each installation needs a bridge of its own, so name another "
                f"as lxd.network; if there is no {other} any more: nft delete table inet {name}"
            )
    return ""


def _stale(tables: list[str], policy: Policy) -> Iterator[str]:
    for name in tables_of(policy.installation, tables):
        if name != _name_of(policy):
            yield (
                f"nft table inet {name} is of an earlier lxd.network; when no runner is on that "
                f"any more: nft delete table inet {name}"
            )


def tables_of(installation: str, tables: list[str]) -> list[str]:
    """Pick the tables of one installation, whatever their bridges."""
    return [name for name in tables if name.startswith(table_name(installation, ""))]


def remove(nftables: Nftables, installation: str) -> list[str]:
    """Delete all tables of an installation, and name them.

    Raises:
        NftablesError: one can't be deleted.
    """
    ours = tables_of(installation, nftables.tables())
    return [name for name in ours if nftables.delete(name)]
