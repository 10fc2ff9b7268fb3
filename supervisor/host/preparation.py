"""What LXD must have before the daemon starts, as far as it can be made: decisions alone.

What is made for an installation says so in its own configuration, and what says nothing is somebody
else's: it is used as it is, and never changed or removed.
"""

from __future__ import annotations

import bisect
from ipaddress import IPv4Interface, IPv4Network
from typing import TYPE_CHECKING

from supervisor.host import storage
from supervisor.runners.marks import PREFIX
from supervisor.text import sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from supervisor.config import Config

_PREPARED_FOR = f"{PREFIX}prepared-for"
_PRIVATE = IPv4Network("10.0.0.0/8")
_USUAL_PREFIX = 24
# Two of a network's addresses are nobody's, one is the host's, and one that of a builder's.
_NO_GUESTS = 4
_MIB = 2**20


class PreparationRefused(Exception):
    """It can't be made as it is configured: nothing was touched. The message is for people."""


def mark(installation: str) -> dict[str, str]:
    """Make the key by which what was made for an installation is known."""
    return {_PREPARED_FOR: installation}


def prepared_for(config: Mapping[str, str]) -> str:
    """Read for which installation something was made; empty if for none."""
    return config.get(_PREPARED_FOR, "")


def bridge(installation: str, address: str) -> dict[str, str]:
    """Configure a bridge: DHCP and DNS by LXD, and a way out by IPv4.

    No IPv6: hardly any host has a way out for it, guests that try it first would wait for nothing,
    and LXD filters none without the kernel's br_netfilter.

    Args:
        installation: whose.
        address: the host's, with the network; or `auto`, and LXD looks for one.
    """
    return {
        **mark(installation),
        "ipv4.address": address,
        "ipv4.nat": "true",
        "ipv6.address": "none",
    }


def fits_usual_bridge(config: Config) -> bool:
    """Tell whether the network that LXD looks for has addresses enough."""
    return _prefix(config) == _USUAL_PREFIX


def free_network(config: Config, routed: Iterable[IPv4Network], first: int) -> IPv4Interface:
    """Choose a private network that the host knows no way to, and the host's address in it.

    Args:
        config: the installation's, which says how many addresses it must have.
        routed: what the host knows a way to.
        first: which of all is tried first: any number, by chance, so that two hosts seldom have
            the same.

    Raises:
        PreparationRefused: there is none.
    """
    known, prefix = tuple(routed), _prefix(config)
    size = 2 ** (_PRIVATE.max_prefixlen - prefix)
    count = _PRIVATE.num_addresses // size
    for number in range(first, first + count):
        network = IPv4Network((_PRIVATE[number % count * size], prefix))
        if not any(network.overlaps(other) for other in known):
            return IPv4Interface((network[1], prefix))
    raise PreparationRefused(
        f"lxd.network: no network is free in {_PRIVATE}: make bridge {config.lxd.network} by hand "
        f"(lxc network create {config.lxd.network} ipv4.address=… ipv4.nat=true ipv6.address=none)"
    )


def _prefix(config: Config) -> int:
    """Say how small a network may be: each runner may have its successor beside it."""
    needed = 2 * config.virtual_machines + _NO_GUESTS
    return min(_USUAL_PREFIX, _PRIVATE.max_prefixlen - (needed - 1).bit_length())


def refuse_bridge(config: Config, found: Mapping[str, str], guards: list[str]) -> None:
    """Refuse a bridge that is another installation's.

    Args:
        config: the installation's.
        found: the configuration of the bridge; empty if it is to be made.
        guards: the installations whose firewall is on it.

    Raises:
        PreparationRefused: it is.
    """
    network = config.lxd.network
    others = sorted({prepared_for(found), *guards} - {"", config.name})
    if others:
        raise PreparationRefused(
            f"lxd.network: bridge {network} is that of installation {', '.join(others)}: each "
            "installation needs a bridge of its own, so name another"
        )


def pool_driver(drivers: tuple[str, ...], *, can_mount: bool) -> str:
    """Choose what a pool is made with: btrfs enforces `vm-disk` for instances of every type.

    A `dir` pool does so for virtual machines, whose disk is a file of that size.

    Args:
        drivers: those that LXD has.
        can_mount: whether LXD may mount file systems, which it may not within a container.
    """
    return "btrfs" if can_mount and "btrfs" in drivers else "dir"


def pool(config: Config, driver: str) -> dict[str, str]:
    """Configure a pool; LXD takes as much of the disk only as what is in it takes."""
    size = {"size": pool_size(config)} if driver == "btrfs" else {}
    return {**mark(config.name), **size}


def pool_size(config: Config) -> str:
    """Write how large a pool must be, as LXD takes it."""
    return f"{storage.fleet_bytes(config) // _MIB}MiB"


def has_size(config: Config, found: Mapping[str, str]) -> bool:
    """Tell whether a pool was made for this installation, with a size that it may outgrow."""
    return prepared_for(found) == config.name and "size" in found


def refuse_growth(config: Config, total: int) -> PreparationRefused:
    """Say that a pool is too small, and that this LXD makes none larger.

    Args:
        config: the installation's.
        total: how large the pool is, in bytes.
    """
    needed = sizes.in_words(storage.fleet_bytes(config))
    return PreparationRefused(
        f"lxd.pool: storage pool {config.lxd.pool} has {sizes.in_words(total)}, "
        f"{_need(config)} {needed}, and this LXD makes no pool larger: "
        "lower virtual-machines or vm-disk, or name another pool"
    )


def refuse_pool(config: Config, free: int) -> None:
    """Refuse a pool in which the fleet's disks could not all be filled.

    Args:
        config: the installation's.
        free: on LXD's disk, in bytes.

    Raises:
        PreparationRefused: there is less than the fleet may need.
    """
    count, needed = config.virtual_machines, storage.fleet_bytes(config)
    if needed <= free:
        return
    fitting = bisect.bisect_right(
        range(count), free, key=lambda number: storage.fleet_bytes(config, number)
    )
    raise PreparationRefused(
        f"runner-storage: {_need(config)} {sizes.in_words(needed)} of disk, and LXD's has "
        f"{sizes.in_words(free)}: {max(0, fitting - 1) or 'none'} would fit; lower "
        "virtual-machines or vm-disk"
    )


def _need(config: Config) -> str:
    count = config.virtual_machines
    return "1 runner needs" if count == 1 else f"{count} runners need"
