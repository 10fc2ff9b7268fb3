"""The work on LXD's own filters, as calls that block and return what they found.

Workers run it in their threads: it holds nothing that changes, and raises nothing that is LXD's or
nftables'.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from supervisor.config import Config
from supervisor.firewall import filters
from supervisor.firewall.filters import Chains, Port
from supervisor.gateways.lxd import Instance, Lxd, LxdError, LxdUnavailable, NotFound
from supervisor.gateways.nftables import Nftables, NftablesError
from supervisor.runners import marks, naming

BRIDGE = ""
"""Stands for the bridge where others are called by their names."""
_LOOK_S = 10.0
"""How long LXD may take to tell of one guest."""
_RUNNING = "Running"
_MAC = "volatile.eth0.hwaddr"


@dataclass(frozen=True)
class FiltersSeen:
    """What a look at LXD's filters has found.

    Attributes:
        checks: of the firewall, that it was the last of.
        lacking: what is not there, by the guest's name, or BRIDGE.
        spelled: how guests' filters are spelled when they are whole, by their names.
        builders: names of guests that images are built or tried in, and that are no runners.
        left_over: chains of guests of ours that LXD does not list.
        error: why it could not be looked; then nothing else is known.
        warning: why there was nothing to look at.
    """

    checks: int
    lacking: Mapping[str, str] = field(default_factory=dict)
    spelled: Mapping[str, str] = field(default_factory=dict)
    builders: frozenset[str] = frozenset()
    left_over: tuple[str, ...] = ()
    error: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Swept:
    """Chains of guests of ours that are gone were deleted.

    Attributes:
        chains: those that were, if all were.
        error: why one was not; empty if all were.
    """

    chains: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Restored:
    """LXD was asked to make its filters anew.

    Attributes:
        name: of the guest, or BRIDGE.
        error: why it did not; empty if it says that it has.
        outage: it did not answer, which says nothing of the guest.
    """

    name: str
    error: str = ""
    outage: bool = False


def look(
    lxd: Lxd, nftables: Nftables, config: Config, before: Mapping[str, str], checks: int
) -> FiltersSeen:
    """See whether LXD's filters are there, of our guests that run and of their bridge.

    Args:
        lxd: whose they are.
        nftables: where they are.
        config: names the bridge and whose guests are ours.
        before: how they were spelled when they were whole.
        checks: to be handed back.
    """
    try:
        driver = lxd.server().firewall
        if driver != filters.NFTABLES:
            return FiltersSeen(checks, warning=_unseen(driver))
        # First the guests: one that starts meanwhile is not missed, and has its filters by then.
        there = lxd.instances()
        ours = [one for one in there if _is_ours(one, config)]
        wanted = [_port(lxd, one) for one in ours]
        network = config.lxd.network
        names = filters.bridge_chains(network, lxd.network_config(network))
        guests = filters.read(nftables.table(filters.TABLE, filters.GUESTS_FAMILY))
        bridge = filters.read(nftables.table(filters.TABLE, filters.BRIDGE_FAMILY))
    except (LxdError, NftablesError, ValueError) as error:
        return FiltersSeen(checks, error=str(error))
    faults = {BRIDGE: filters.bridge_fault(names, bridge)}
    spelled = {}
    for port in wanted:
        if port.filtered:
            known = before.get(port.instance, "")
            fault = filters.guest_fault(port, guests, known)
            faults[port.instance] = fault
            spelled[port.instance] = known if fault else filters.spelling(port, guests)
    lacking = {name: fault for name, fault in faults.items() if fault}
    builders = (one.name for one in ours if marks.is_builder_of(config.name, one.config))
    gone = left_over(config.name, lxd.endpoint.project, guests, {one.name for one in there})
    return FiltersSeen(checks, lacking, spelled, frozenset(builders), gone)


def left_over(
    installation: str, project: str, chains: Chains, there: Collection[str]
) -> tuple[str, ...]:
    """Name the chains of guests of an installation that are not there, as their names tell it.

    LXD (5.0.2) leaves those of an instance that it could not start.

    Args:
        installation: whose guests.
        project: where they were.
        chains: of the table that LXD filters guests in.
        there: the instances that there are in the project.
    """
    found = {chain: filters.instance_of(chain, project) for chain in sorted(chains.spelled)}
    return tuple(
        chain
        for chain, name in found.items()
        if name not in there and naming.is_made_by(installation, name)
    )


def sweep(lxd: Lxd, nftables: Nftables, config: Config) -> Swept:
    """Delete the chains of guests of ours that are gone.

    LXD's list may lack guests that run, so LXD is asked for each by name. A name is never given
    twice, so whose chain was there before that, and whom LXD does not know, does not come any more.
    """
    project = lxd.endpoint.project
    try:
        chains = filters.read(nftables.table(filters.TABLE, filters.GUESTS_FAMILY))
        listed = {one.name for one in lxd.instances()}
        unlisted = left_over(config.name, project, chains, listed)
        names = {filters.instance_of(chain, project) for chain in unlisted}
        there = {name for name in names if _is_there(lxd, name)}
        doomed = left_over(config.name, project, chains, listed | there)
        for chain in doomed:
            nftables.delete_chain(filters.TABLE, chain, filters.GUESTS_FAMILY)
    except (LxdError, NftablesError, ValueError) as error:
        return Swept(error=str(error))
    return Swept(doomed)


def restore(lxd: Lxd, name: str) -> Restored:
    """Have LXD make a guest's filters anew, while that goes on; one that is gone needs none."""
    try:
        if lxd.instance(name).status == _RUNNING:
            lxd.renew_filters(name)
    except NotFound:
        pass
    except LxdError as error:
        return Restored(name, str(error), outage=isinstance(error, LxdUnavailable))
    return Restored(name)


def restore_bridge(lxd: Lxd, network: str) -> Restored:
    """Have LXD make the rules of its bridge anew."""
    try:
        lxd.renew_network(network)
    except LxdError as error:
        return Restored(BRIDGE, str(error), outage=isinstance(error, LxdUnavailable))
    return Restored(BRIDGE)


def _is_ours(instance: Instance, config: Config) -> bool:
    of_runner = marks.are_of(config.name, instance.config)
    is_ours = of_runner or marks.is_builder_of(config.name, instance.config)
    return instance.status == _RUNNING and is_ours


def _is_there(lxd: Lxd, name: str) -> bool:
    try:
        lxd.instance(name, limit_s=_LOOK_S)
    except NotFound:
        return False
    return True


def _port(lxd: Lxd, instance: Instance) -> Port:
    return Port(
        project=lxd.endpoint.project,
        instance=instance.name,
        mac=instance.config.get(_MAC, "").lower(),
        options=instance.devices.get("eth0", {}),
    )


def _unseen(driver: str) -> str:
    return (
        f"LXD filters with {driver or 'something that it does not name'} and not with "
        f"{filters.NFTABLES}: whether its filters of guests are there is not looked at"
    )
