"""What the emulated LXD holds, as LXD's API describes it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.lxd_emulator import instances
from sandbox.lxd_emulator.model import DEFAULT_PROJECT, EPOCH, STATUS_CODES, STOPPED
from sandbox.lxd_emulator.state import address_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.lxd_emulator.model import (
        Acl,
        Alias,
        Image,
        Instance,
        Network,
        Pool,
        Profile,
        Project,
    )
    from sandbox.lxd_emulator.state import ServerState

_NOTHING_USED = {"usage": 0, "usage_peak": 0, "swap_usage": 0, "swap_usage_peak": 0}
_GUEST_MEMORY = {**_NOTHING_USED, "usage": 3_000_000, "usage_peak": 3_300_000}
_FIRST_PID = 100_000
_NO_COUNTERS = dict.fromkeys(
    (
        "bytes_received",
        "bytes_sent",
        "packets_received",
        "packets_sent",
        "errors_received",
        "errors_sent",
        "packets_dropped_outbound",
        "packets_dropped_inbound",
    ),
    0,
)


def instance(state: ServerState, item: Instance) -> dict[str, Any]:
    """Describe an instance, without its state."""
    config, devices = instances.expanded(state, item)
    expanded = {"expanded_config": config, "expanded_devices": devices}
    return {
        "architecture": item.architecture,
        "config": item.config,
        "devices": item.devices,
        "ephemeral": item.ephemeral,
        "profiles": list(item.profiles),
        "stateful": False,
        "description": item.description,
        "created_at": item.created_at,
        # LXD leaves these out where they are empty.
        **{key: value for key, value in expanded.items() if value},
        "name": item.name,
        "status": item.status,
        "status_code": STATUS_CODES[item.status],
        "last_used_at": item.last_used_at,
        "location": "none",
        "type": item.type,
        "project": item.project,
    }


def full_instance(state: ServerState, item: Instance) -> dict[str, Any]:
    """Describe an instance with its state, as a listing with recursion 2 does."""
    return {
        **instance(state, item),
        "backups": None,
        "state": instance_state(state, item),
        "snapshots": None,
    }


def instance_state(state: ServerState, item: Instance) -> dict[str, Any]:
    """Describe what an instance uses, in made-up figures."""
    runs = item.status != STOPPED
    return {
        "status": item.status,
        "status_code": STATUS_CODES[item.status],
        "disk": {},
        "memory": _GUEST_MEMORY if runs else _NOTHING_USED,
        "network": _instance_network(state, item) if runs else None,
        "pid": _FIRST_PID + item.number if runs else 0,
        "processes": 2 if runs else 0,
        "cpu": {"usage": 20_000_000 if runs else 0},
    }


def _instance_network(state: ServerState, item: Instance) -> dict[str, Any]:
    address = instances.address(state, item)
    addresses = []
    if address is not None:
        addresses.append(
            {
                "family": "inet",
                "address": str(address.ip),
                "netmask": str(address.network.prefixlen),
                "scope": "global",
            }
        )
    card = {
        "addresses": addresses,
        "counters": _NO_COUNTERS,
        "hwaddr": item.config.get("volatile.eth0.hwaddr", ""),
        "host_name": f"veth{item.number:08x}",
        "mtu": 1500,
        "state": "up",
        "type": "broadcast",
    }
    return {"eth0": card}


def image(state: ServerState, item: Image) -> dict[str, Any]:
    """Describe an image."""
    aliases = [
        {"name": alias.name, "description": alias.description}
        for alias in state.aliases.values()
        if (alias.project, alias.target) == (item.project, item.fingerprint)
    ]
    return {
        "auto_update": False,
        "properties": item.properties,
        "public": item.public,
        "expires_at": EPOCH,
        "profiles": ["default"],
        "aliases": aliases,
        "architecture": item.architecture,
        "cached": False,
        "filename": item.filename,
        "fingerprint": item.fingerprint,
        "size": item.size,
        "type": item.type,
        "created_at": item.created_at,
        "last_used_at": item.last_used_at,
        "uploaded_at": item.uploaded_at,
    }


def alias(state: ServerState, item: Alias) -> dict[str, Any]:
    """Describe an image's alias."""
    target = state.images.get((item.project, item.target))
    return {
        "description": item.description,
        "target": item.target,
        "name": item.name,
        "type": target.type if target else "container",
    }


def profile(state: ServerState, item: Profile) -> dict[str, Any]:
    """Describe a profile."""
    return {
        "config": item.config,
        "description": item.description,
        "devices": item.devices,
        "name": item.name,
        "used_by": list(users_of_profile(state, item)),
    }


def users_of_profile(state: ServerState, item: Profile) -> Iterator[str]:
    """List the addresses of instances that have a profile."""
    for one in state.instances_of(None):
        if item.name in one.profiles and (
            state.project_for("profiles", one.project) == item.project
        ):
            yield instances.url(one)


def project(state: ServerState, item: Project) -> dict[str, Any]:
    """Describe a project."""
    return {
        "config": item.config,
        "description": item.description,
        "name": item.name,
        "used_by": list(users_of_project(state, item.name)),
    }


def users_of_project(state: ServerState, name: str) -> Iterator[str]:
    """List the addresses of all that is in a project."""
    for one in state.instances_of(name):
        yield instances.url(one)
    for owner, profile_name in sorted(state.profiles):
        if owner == name:
            yield address_in(name, f"/1.0/profiles/{profile_name}")
    for owner, fingerprint in sorted(state.images):
        if owner == name:
            yield address_in(name, f"/1.0/images/{fingerprint}")
    if name == DEFAULT_PROJECT:
        for network_name in sorted(state.networks):
            yield f"/1.0/networks/{network_name}"


def pool(state: ServerState, item: Pool) -> dict[str, Any]:
    """Describe a storage pool."""
    return {
        "config": {"source": f"/var/lib/lxd/storage-pools/{item.name}", **item.config},
        "description": item.description,
        "name": item.name,
        "driver": item.driver,
        "used_by": list(users_of_device(state, "pool", item.name)) or None,
        "status": "Created",
        "locations": ["none"],
    }


def network(state: ServerState, item: Network) -> dict[str, Any]:
    """Describe a network."""
    return {
        "config": item.config,
        "description": item.description,
        "name": item.name,
        "type": "bridge",
        "used_by": list(users_of_device(state, "network", item.name)) or None,
        "managed": True,
        "status": "Created",
        "locations": ["none"],
    }


def network_state(item: Network) -> dict[str, Any]:
    """Describe a bridge's own card: up, with its configured address."""
    address, _, prefix = item.config.get("ipv4.address", "").partition("/")
    addresses = []
    if prefix:
        addresses.append(
            {"family": "inet", "address": address, "netmask": prefix, "scope": "global"}
        )
    return {
        "addresses": addresses,
        "counters": _NO_COUNTERS,
        "hwaddr": "00:16:3e:00:00:00",
        "mtu": 1500,
        "state": "up",
        "type": "broadcast",
        "bond": None,
        "bridge": None,
        "vlan": None,
        "ovn": None,
    }


def leases(state: ServerState, item: Network) -> list[dict[str, str]]:
    """List the addresses that a bridge has given."""
    found = [
        {
            "hostname": f"{item.name}.gw",
            "hwaddr": "",
            "address": item.config.get("ipv4.address", "").partition("/")[0],
            "type": "gateway",
            "location": "",
        }
    ]
    for one in state.instances_of(None):
        address = instances.address(state, one) if one.status != STOPPED else None
        if address is not None:
            found.append(
                {
                    "hostname": one.name,
                    "hwaddr": one.config.get("volatile.eth0.hwaddr", ""),
                    "address": str(address.ip),
                    "type": "dynamic",
                    "location": "none",
                }
            )
    return found


def users_of_device(state: ServerState, option: str, name: str) -> Iterator[str]:
    """List the addresses of profiles and instances with a device on a pool or network."""
    for (owner, profile_name), one in sorted(state.profiles.items()):
        if any(device.get(option) == name for device in one.devices.values()):
            yield address_in(owner, f"/1.0/profiles/{profile_name}")
    for item in state.instances_of(None):
        _, devices = instances.expanded(state, item)
        if any(device.get(option) == name for device in devices.values()):
            yield instances.url(item)


def acl(item: Acl) -> dict[str, Any]:
    """Describe a network access list."""
    return {
        "name": item.name,
        "description": item.description,
        "egress": list(item.egress),
        "ingress": list(item.ingress),
        "config": item.config,
        "used_by": [],
    }
