"""The work on the firewall, as calls that block and return what they found.

Workers run it in their threads: it holds nothing that changes, and raises nothing that is LXD's,
nftables' or a resolver's. To find out what is wanted and to have it in the kernel are apart, as the
first may hang with LXD or a name server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from supervisor.config import Config
from supervisor.firewall import live, ruleset
from supervisor.firewall.intent import Interface, endpoints, reachable
from supervisor.firewall.live import Counted, LiveTable
from supervisor.firewall.networks import Address
from supervisor.firewall.policy import Policy
from supervisor.gateways.lxd import Lxd, LxdError, LxdUnavailable
from supervisor.gateways.names import Answer, Names
from supervisor.gateways.nftables import Nftables, NftablesError

_LOOKUP_LIMIT_S = 5.0
_PREFIX = "github-runners."
_HWADDR = "volatile.eth0.hwaddr"


@dataclass(frozen=True)
class Surroundings:
    """What the firewall depends on.

    Attributes:
        bridge: the host's addresses on it; empty if LXD did not say.
        addresses: what the endpoints' names stand for.
        warnings: what is not as it should be.
        runners: the runner of each hardware address; None if that was not asked for, or LXD did not
            say.
        error: why the bridge is not known.
        outage: LXD did not answer, which says nothing of the bridge.
    """

    bridge: tuple[Interface, ...] = ()
    addresses: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    runners: Mapping[str, str] | None = None
    error: str = ""
    outage: bool = False


def ask(lxd: Lxd, names: Names, config: Config, *, with_runners: bool) -> Surroundings:
    """Find out what the firewall depends on."""
    answers = names.answers({one.host for one in endpoints(config)}, _LOOKUP_LIMIT_S)
    addresses = {host: answer.addresses for host, answer in answers.items()}
    warnings = tuple(_unresolved(config, answers))
    try:
        bridge = lxd.bridge_addresses(config.lxd.network)
    except LxdError as error:
        outage = isinstance(error, LxdUnavailable)
        return Surroundings((), addresses, warnings, error=str(error), outage=outage)
    return Surroundings(bridge, addresses, warnings, _runners(lxd) if with_runners else None)


def _runners(lxd: Lxd) -> dict[str, str] | None:
    try:
        found = {one.config.get(_HWADDR, ""): one.name for one in lxd.instances()}
    except LxdError:
        return None  # others tell of it; it costs no more than names in a list
    return {address.lower(): name for address, name in found.items() if address}


def _unresolved(config: Config, answers: Mapping[str, Answer]) -> Iterator[str]:
    for one in endpoints(config):
        answer = answers[one.host]
        if answer.error:
            known = ", ".join(map(str, answer.addresses))
            so = f"stays open at {known}" if known else "is open only where the denylist lets it be"
            yield f"{one.key}: {one.host} can't be looked up ({answer.error}); it {so}"
        for address in answer.addresses:
            if not reachable(address):
                yield (
                    f"{one.key}: {one.host} is {address} to this host, which is nothing that "
                    "guests could reach: name an address of this host that they can"
                )


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
        others: tables of this installation for other bridges.
    """

    kept: Kept
    live: LiveTable
    healed: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableFailed:
    """It does not, and why, for the operator."""

    reason: str


def ensure(
    nftables: Nftables, policy: Policy, kept: Kept | None, rejected: Mapping[str, Counted]
) -> TableReady | TableFailed:
    """See to it that the kernel holds what is wanted; what is right stays as it is.

    Args:
        nftables: the kernel's packet filter.
        policy: what is wanted.
        kept: what was put there before, if anything.
        rejected: what was counted of each guest, for a table that is not there any more.
    """
    try:
        return _ensure(nftables, policy, kept, rejected)
    except NftablesError as error:
        return TableFailed(str(error))


def _ensure(
    nftables: Nftables, policy: Policy, kept: Kept | None, rejected: Mapping[str, Counted]
) -> TableReady | TableFailed:
    tables = nftables.tables()
    if foreign := _foreign(tables, policy):
        return TableFailed(foreign)
    others = tuple(
        name for name in tables_of(policy.installation, tables) if name != _name(policy)
    )
    found = _read(nftables, policy) if _name(policy) in tables else None
    is_same = kept is not None and kept.policy == policy
    healed = ""
    if kept is not None and is_same:
        healed = live.fault(policy, found, kept.reference)
        if found is not None and not healed:
            return TableReady(kept, found, others=others)
    nftables.apply(ruleset.render(policy, found.rejected if found else rejected))
    applied = _read(nftables, policy)
    wrong = live.fault(policy, applied, None)
    if applied is None or wrong:
        return TableFailed(
            f"the kernel holds something else than was put there: {wrong}; look at it with: nft "
            f"list table inet {_name(policy)}"
        )
    return TableReady(Kept(policy, applied), applied, healed, others)


def table_of(config: Config) -> str:
    """Name the table of the configured bridge."""
    return ruleset.table_name(config.name, config.lxd.network)


def _read(nftables: Nftables, policy: Policy) -> LiveTable | None:
    document = nftables.table(_name(policy))
    return None if document is None else live.read(document)


def _name(policy: Policy) -> str:
    return ruleset.table_name(policy.installation, policy.bridge)


def _foreign(tables: list[str], policy: Policy) -> str:
    """Say that another installation guards this bridge; nothing if none does."""
    for name in tables:
        other, _, bridge = name.removeprefix(_PREFIX).partition(".")
        if not name.startswith(_PREFIX) or bridge != policy.bridge:
            continue
        if other != policy.installation:
            return (
                f"installation {other} guards the guests of bridge {policy.bridge} already (nft "
                f"table inet {name}): each installation needs a bridge of its own, so name another "
                f"as lxd.network; if there is no {other} any more: nft delete table inet {name}"
            )
    return ""


def tables_of(installation: str, tables: list[str]) -> list[str]:
    """Pick the tables of one installation."""
    return [name for name in tables if name.startswith(f"{_PREFIX}{installation}.")]


def remove(nftables: Nftables, installation: str) -> list[str]:
    """Delete all tables of an installation, and name them.

    Raises:
        NftablesError: one can't be deleted.
    """
    ours = tables_of(installation, nftables.tables())
    return [name for name in ours if nftables.delete(name)]
