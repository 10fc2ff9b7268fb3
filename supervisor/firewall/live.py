"""What the kernel holds, as nft lists it, and how that differs from what is wanted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address, ip_network, summarize_address_range
from typing import TYPE_CHECKING, Any

from supervisor.firewall import names
from supervisor.firewall.addresses import sets
from supervisor.firewall.chains import chains
from supervisor.firewall.networks import collapsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from supervisor.firewall.networks import Network
    from supervisor.firewall.policy import Policy
    from supervisor.firewall.rules import Chain

_VOLATILE = {"handle", "packets", "bytes", "elem", "table"}
_SHOWN = 3


@dataclass(frozen=True)
class Counted:
    """How much of something there was."""

    packets: int
    bytes: int


@dataclass(frozen=True)
class LiveRule:
    """A rule: what it does in the spelling of the nft that has listed it, and its comment."""

    chain: str
    comment: str
    spelling: str


@dataclass(frozen=True)
class LiveTable:
    """A table as it was listed, without handles and what the kernel changes by itself.

    Attributes:
        name: Without its family.
        chains: By their names: hook, priority and what else they are.
        rules: In order.
        forms: Of sets, and of whatever else there is, by kind and name: type and flags.
        sets: What the sets of addresses hold, as it was listed.
        rejected: What each guest was refused, by its MAC.
        counters: By their names.
    """

    name: str
    chains: Mapping[str, str]
    rules: tuple[LiveRule, ...]
    forms: Mapping[str, str]
    sets: Mapping[str, tuple[Network, ...]]
    rejected: Mapping[str, Counted]
    counters: Mapping[str, Counted]

    @property
    def refused(self) -> Counted:
        """All that guests were refused."""
        return self.counters.get(names.REJECTED, Counted(0, 0))

    @property
    def spoofed(self) -> Counted:
        """What was dropped as no guest can have its sender's address."""
        return self.counters.get(names.SPOOFED, Counted(0, 0))

    @property
    def answers(self) -> Counted:
        """What denied addresses have sent to guests."""
        return self.counters.get(names.ANSWERS, Counted(0, 0))

    @property
    def flooded(self) -> Counted:
        """New connections to services of this host that were too many."""
        return self.counters.get(names.FLOODED, Counted(0, 0))


class _NotOurs(ValueError):
    """Something is there that no rule of ours makes."""


def read(document: Mapping[str, Any]) -> LiveTable:
    """Read what `nft -j list table` has printed.

    Raises:
        ValueError: It is something else, or a set of guests holds what the daemon's rules never
            put there.
    """
    name = ""
    chain_forms: dict[str, str] = {}
    rules: list[LiveRule] = []
    forms: dict[str, str] = {}
    held: dict[str, tuple[Network, ...]] = {}
    rejected: dict[str, Counted] = {}
    counters: dict[str, Counted] = {}
    try:
        for entry in document["nftables"]:
            ((kind, thing),) = entry.items()
            if kind == "table":
                name = thing["name"]
                forms.update(_flags(thing))
            elif kind == "chain":
                chain_forms[thing["name"]] = _spelling(thing)
            elif kind == "rule":
                spelling = json.dumps(thing["expr"], sort_keys=True)
                rules.append(LiveRule(thing["chain"], thing.get("comment", ""), spelling))
            elif kind != "metainfo":
                forms[f"{kind} {thing['name']}"] = _spelling(thing)
                if kind == "counter":
                    counters[thing["name"]] = Counted(thing["packets"], thing["bytes"])
                elif kind == "set" and thing["name"] == names.REJECTED:
                    rejected.update(_guests(thing.get("elem", ())))
                elif kind == "set" and thing["type"] in {"ipv4_addr", "ipv6_addr"}:
                    held[thing["name"]] = tuple(_networks(thing.get("elem", ())))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _not_known(error) from error
    return LiveTable(name, chain_forms, tuple(rules), forms, held, rejected, counters)


def _not_known(error: Exception) -> ValueError:
    if isinstance(error, _NotOurs):
        return error
    return ValueError(f"nft lists a table in a way that is not known: {error!r}")


def fault(policy: Policy, live: LiveTable | None, reference: LiveTable | None) -> str:
    """Say in what a table differs first from what it must be; nothing if in nothing.

    Args:
        policy: What guests may reach.
        live: The table of that policy as listed now; None if there is none.
        reference: As listed right after it was put in place, if this process has done so: then
            what each rule does is compared too, in the spelling of one and the same nft.
    """
    name = names.table_name(policy.installation, policy.bridge)
    if live is None:
        return f"the table {names.FAMILY} {name} is gone"
    return next(_faults(policy, live, reference), "")


def _faults(policy: Policy, live: LiveTable, reference: LiveTable | None) -> Iterator[str]:
    wanted, wanted_sets = chains(policy), sets(policy)
    yield from _differences("chain", [chain.name for chain in wanted], list(live.chains))
    for chain in wanted:
        yield from _chain_faults(chain, live)
    for name, networks in wanted_sets.items():
        yield from _set_faults(name, networks, live.sets.get(name))
    forms = [f"set {name}" for name in (*names.DYNAMIC, *wanted_sets)]
    forms += [f"counter {name}" for name in names.COUNTERS]
    yield from _differences("its", forms, list(live.forms))
    if reference is None:
        return
    for rule, then in zip(live.rules, reference.rules, strict=False):
        if rule.spelling != then.spelling:
            yield f'the rule "{rule.comment}" of the chain {rule.chain} was changed'
    for now, before in ((live.chains, reference.chains), (live.forms, reference.forms)):
        for name, form in now.items():
            if before.get(name) != form:
                yield f"{name} was changed"


def _chain_faults(chain: Chain, live: LiveTable) -> Iterator[str]:
    form = json.loads(live.chains[chain.name])
    if chain.hook:
        wanted = {
            "type": "filter",
            "hook": chain.hook,
            "prio": chain.priority,
            "policy": "accept",
        }
        for key, value in wanted.items():
            if form.get(key) != value:
                yield f"the chain {chain.name} has {key} {form.get(key)} instead of {value}"
    elif "hook" in form:
        yield f"the chain {chain.name} hangs at the hook {form['hook']}"
    comments = [rule.comment for rule in live.rules if rule.chain == chain.name]
    for number, rule in enumerate(chain.rules):
        if number >= len(comments):
            yield f'the chain {chain.name} lacks its rule "{rule.comment}"'
        elif comments[number] != rule.comment:
            there = comments[number] or "without a comment"
            yield f'the chain {chain.name} has the rule "{there}" instead of "{rule.comment}"'
    if len(comments) > len(chain.rules):
        there = comments[len(chain.rules)] or "without a comment"
        yield f'the chain {chain.name} has a rule too many: "{there}"'


def _set_faults(
    name: str, wanted: tuple[Network, ...], there: tuple[Network, ...] | None
) -> Iterator[str]:
    if there is None:
        yield f"the set {name} is gone"
    elif wanted != there:
        # The same addresses may be listed as other networks.
        v4, v6 = collapsed(there)
        held: set[Network] = {*v4, *v6}
        yield from _listed(f"the set {name} lacks", set(wanted) - held)
        yield from _listed(f"the set {name} holds too much:", held - set(wanted))


def _listed(what: str, networks: set[Network]) -> Iterator[str]:
    if networks:
        first = sorted(str(network) for network in networks)[:_SHOWN]
        more = len(networks) - len(first)
        yield f"{what} {', '.join(first)}" + (f" and {more} more" if more else "")


def _differences(what: str, wanted: Sequence[str], there: Sequence[str]) -> Iterator[str]:
    for name in wanted:
        if name not in there:
            yield f"{what} {name} is gone"
    for name in there:
        if name not in wanted:
            yield f"{what} {name} is not of the daemon's making"


def _flags(table: Mapping[str, Any]) -> dict[str, str]:
    """Give what puts a table out of force, or under another's control, as a form like others."""
    # Which flag it is, nft 1.0.6 prints wrongly.
    return {"flag (dormant or owner)": ""} if table.get("flags") else {}


def _spelling(thing: Mapping[str, Any]) -> str:
    lasting = {key: value for key, value in thing.items() if key not in _VOLATILE}
    return json.dumps(lasting, sort_keys=True)


def _guests(elements: Iterable[Any]) -> Iterator[tuple[str, Counted]]:
    for element in elements:
        there = element if isinstance(element, str) else element["elem"]["val"]
        if element == there or "counter" not in element["elem"]:
            raise _NotOurs(
                f"the set {names.REJECTED} holds {there} without a counter, as no rule of the "
                "daemon's puts it there"
            )
        counter = element["elem"]["counter"]
        yield there, Counted(counter["packets"], counter["bytes"])


def _networks(elements: Iterable[Any]) -> Iterator[Network]:
    for element in elements:
        value = element["elem"]["val"] if "elem" in element else element
        if isinstance(value, str):
            yield ip_network(value)
        elif "prefix" in value:
            yield ip_network(f"{value['prefix']['addr']}/{value['prefix']['len']}")
        else:
            first, last = map(ip_address, value["range"])
            yield from summarize_address_range(first, last)
