"""What LXD must have before the daemon starts, as far as it can be made: decisions alone.

What is made for an installation says so in its own configuration, and what says nothing is somebody
else's: it is used as it is, and never changed or removed.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from supervisor import sizes, storage
from supervisor.marks import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from supervisor.config import Config

_PREPARED_FOR = f"{PREFIX}prepared-for"
# LXD finds a free network of 256 addresses: two are nobody's, and one is the host's.
MOST_GUESTS = 253
_MIB = 2**20


class PreparationRefused(Exception):
    """It can't be made as it is configured: nothing was touched. The message is for people."""


def mark(installation: str) -> dict[str, str]:
    """Make the key by which what was made for an installation is known."""
    return {_PREPARED_FOR: installation}


def prepared_for(config: Mapping[str, str]) -> str:
    """Read for which installation something was made; empty if for none."""
    return config.get(_PREPARED_FOR, "")


def bridge(installation: str) -> dict[str, str]:
    """Configure a bridge: DHCP and DNS by LXD, on an IPv4 network that LXD finds free.

    No IPv6: what few hosts could route would only be in the way of guests that try it first, and
    LXD filters none without the kernel's br_netfilter.
    """
    return {
        **mark(installation),
        "ipv4.address": "auto",
        "ipv4.nat": "true",
        "ipv6.address": "none",
    }


def refuse_bridge(config: Config, found: Mapping[str, str] | None, guards: list[str]) -> None:
    """Refuse a bridge that can't be this installation's.

    Args:
        config: the installation's.
        found: the configuration of the bridge; None if it is to be made.
        guards: the installations whose firewall is on it.

    Raises:
        PreparationRefused: it is another's, or too small to be made.
    """
    network = config.lxd.network
    owner = prepared_for(found or {})
    others = sorted({owner, *guards} - {"", config.name})
    if others:
        raise PreparationRefused(
            f"lxd.network: bridge {network} is that of installation {', '.join(others)}: each "
            "installation needs a bridge of its own, so name another"
        )
    if found is None and config.virtual_machines > MOST_GUESTS:
        raise PreparationRefused(
            f"lxd.network: a bridge that LXD finds a network for has {MOST_GUESTS} addresses, and "
            f"virtual-machines is {config.virtual_machines}: make a larger one (lxc network create "
            f"{network} ipv4.address=10.64.0.1/18 ipv4.nat=true ipv6.address=none)"
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


def is_too_small(config: Config, found: Mapping[str, str]) -> bool:
    """Tell whether a pool that was made for this installation is too small for it by now."""
    try:
        size = sizes.parse(found.get("size", ""))
    except ValueError:
        return False  # it has no size of its own, or one that somebody has thought about
    return prepared_for(found) == config.name and size < storage.fleet_bytes(config)


def refuse_growth(config: Config, found: Mapping[str, str]) -> PreparationRefused:
    """Say that a pool is too small, and that this LXD makes none larger."""
    return PreparationRefused(
        f"lxd.pool: storage pool {config.lxd.pool} was made with {found['size']}, "
        f"{config.virtual_machines} runners need {pool_size(config)}, and this LXD makes no pool "
        "larger: lower virtual-machines or vm-disk, or name another pool"
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
        f"runner-storage: {count} runners need {sizes.in_words(needed)} of disk, and LXD's has "
        f"{sizes.in_words(free)}: {max(0, fitting - 1) or 'none'} would fit; lower "
        "virtual-machines or vm-disk"
    )
