"""Which tmate servers runners are told of: those that have an address that they could reach.

Another application may name them, so nothing is opened for them: what the denylist holds stays
closed, and so does this host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.firewall.intent import reachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from supervisor.config import Config
    from supervisor.firewall.networks import Address, Network

Server = tuple[str, int]
"""A server's host, as it is configured, and its port."""

NO_ADDRESS = "no address of it is known"
"""Of a name that has not been looked up with success yet, and may be at any time."""


def judged(
    config: Config, known: Mapping[str, tuple[Address, ...]], own: tuple[Network, ...]
) -> dict[Server, str]:
    """Say of each server why runners can't reach it; nothing if they can.

    Args:
        config: the settings.
        known: what hosts' names stand for, as far as that is known.
        own: this host's addresses.
    """
    return {
        (one.host, one.port): _obstacle(config, one.port, known.get(one.host, ()), own)
        for one in config.ssh_debug
    }


def _obstacle(
    config: Config, port: int, addresses: Iterable[Address], own: tuple[Network, ...]
) -> str:
    obstacles = [_obstacle_at(config, port, address, own) for address in addresses]
    if not obstacles:
        return NO_ADDRESS
    return "" if "" in obstacles else "; ".join(obstacles)


def _obstacle_at(config: Config, port: int, address: Address, own: tuple[Network, ...]) -> str:
    at_port = [one for one in config.allowlist if one.ports and port in one.ports]
    allowed = [one.network for one in config.allowlist if one.ports is None]
    by_itself = [one.network for one in at_port if one.is_one_address]
    if _within(address, by_itself):
        return ""
    if not reachable(address):
        return f"{address} is nothing that guests could reach"
    if _within(address, own):
        return f"{address} is an address of this host"
    is_allowed = _within(address, [*allowed, *(one.network for one in at_port)])
    if _within(address, config.denylist) and not is_allowed:
        return f"{address} is in the denylist, and not in the allowlist"
    return ""


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
