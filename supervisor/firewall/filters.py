"""What LXD itself filters with: whether its chains of nftables are there, for guests and bridge.

LXD makes them when it starts an instance or a network, and never looks at them again.
https://documentation.ubuntu.com/lxd/en/latest/howto/network_bridge_firewalld/
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NFTABLES = "nftables"
"""LXD's name for the one way of filtering that can be looked at here."""
TABLE = "lxd"
GUESTS_FAMILY = "bridge"
BRIDGE_FAMILY = "inet"

_DEFAULT_PROJECT = "default"
_OPTIONS = ("security.mac_filtering", "security.ipv4_filtering", "security.ipv6_filtering")
_TRUE = frozenset({"true", "1", "yes", "on"})
_INTERFACE = "eth0"
_GUESTS_HOOKS = ("in", "fwd")
_VOLATILE = frozenset({"handle", "index"})


@dataclass(frozen=True)
class Port:
    """An instance's port of the bridge, as LXD describes it.

    Attributes:
        project: of the instance.
        instance: its name.
        mac: of the interface.
        options: of the interface's device.
    """

    project: str
    instance: str
    mac: str
    options: Mapping[str, str]

    @property
    def filtered(self) -> bool:
        """Whether LXD is to filter what comes from it."""
        return any(_is_true(self.options.get(option, "")) for option in _OPTIONS)

    @property
    def chains(self) -> tuple[str, ...]:
        """The names of its chains."""
        plain = self.project == _DEFAULT_PROJECT
        owner = self.instance if plain else f"{self.project}_{self.instance}"
        return tuple(f"{hook}.{owner}.{_INTERFACE}" for hook in _GUESTS_HOOKS)


def instance_of(chain: str, project: str) -> str:
    """Name the instance of a project that LXD has made a chain for; nothing if for none of it."""
    owner = "" if project == _DEFAULT_PROJECT else f"{project}_"
    pattern = rf"(?:{'|'.join(_GUESTS_HOOKS)})\.{re.escape(owner)}([^._]+)\.{_INTERFACE}"
    match = re.fullmatch(pattern, chain)
    return match[1] if match else ""


@dataclass(frozen=True)
class Chains:
    """The chains of a table, by their names.

    Attributes:
        spelled: each with its rules, without what the kernel numbers.
        dropping: those of its rules that drop something.
    """

    spelled: Mapping[str, str]
    dropping: Mapping[str, tuple[str, ...]]


def read(document: Mapping[str, Any] | None) -> Chains:
    """Read what `nft -j list table` has printed; None, that there is no such table.

    Raises:
        ValueError: It is something else.
    """
    found: dict[str, list[str]] = {}
    dropping: dict[str, list[str]] = {}
    try:
        for entry in ({"nftables": ()} if document is None else document)["nftables"]:
            ((kind, thing),) = entry.items()
            if kind not in {"chain", "rule"}:
                continue
            chain = thing["name" if kind == "chain" else "chain"]
            kept = {key: value for key, value in thing.items() if key not in _VOLATILE}
            spelling = json.dumps(kept, sort_keys=True)
            found.setdefault(chain, []).append(spelling)
            dropping.setdefault(chain, [])
            if kind == "rule" and any("drop" in statement for statement in thing["expr"]):
                dropping[chain].append(spelling)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"nft lists a table in a way that is not known: {error!r}") from error
    return Chains(
        {name: "\n".join(lines) for name, lines in found.items()},
        {name: tuple(lines) for name, lines in dropping.items()},
    )


def spelling(port: Port, chains: Chains) -> str:
    """Spell a guest's filters, to be compared with what they are later."""
    return "\n".join(chains.spelled.get(name, "") for name in port.chains)


def guest_fault(port: Port, chains: Chains, before: str) -> str:
    """Say what a guest's filters lack first; nothing if they are whole.

    What LXD puts into them depends on its release, so they are held to what every one has, and to
    what they were.

    Args:
        port: the guest's.
        chains: of the table that LXD filters guests in.
        before: how they were spelled when they were whole; empty if that is not known.
    """
    for name in port.chains:
        if name not in chains.spelled:
            return f"the chain {name} is gone"
        if not any(port.mac in rule for rule in chains.dropping[name]):
            return f"the chain {name} does not hold the guest to its MAC"
    changed = before and spelling(port, chains) != before
    return f"the filters of {port.instance} were changed" if changed else ""


def bridge_chains(bridge: str, config: Mapping[str, str]) -> tuple[str, ...]:
    """Name the chains that LXD makes for a bridge."""
    families = [
        family
        for family in ("ipv4", "ipv6")
        if config.get(f"{family}.address", "none") not in {"", "none"}
    ]
    hooks = []
    if any(_is_true(config.get(f"{family}.firewall", "true")) for family in families):
        hooks += ["in", "out", "fwd"]
    if any(_is_true(config.get(f"{family}.nat", "")) for family in families):
        hooks += ["pstrt"]
    return tuple(f"{hook}.{bridge}" for hook in hooks)


def bridge_fault(names: tuple[str, ...], chains: Chains) -> str:
    """Say what a bridge's rules lack first; nothing if there are such in each of its chains."""
    for name in names:
        if name not in chains.spelled:
            return f"the chain {name} is gone"
        if "\n" not in chains.spelled[name]:
            return f"the chain {name} is empty"
    return ""


def _is_true(value: str) -> bool:
    return value.lower() in _TRUE
