"""LXD's instance configuration: which keys and values it takes, and its words for the others.

The keys are those of LXD 5.0.2, tried one by one against the real daemon by the contract test.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox.lxd_emulator.errors import LxdError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Check = Callable[[str], str | None]

_TRUTHS = {"true", "false", "1", "0", "yes", "no", "on", "off"}
_SIZE = re.compile(r"\d+(?:B|bit|[kMGTPE]B|[KMGTPE]iB|[kMGTPE]bit|[KMGTPE]ibit)?")
_PERCENT = re.compile(r"\d+%")
_CPUS = re.compile(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*")
_INTEGER = re.compile(r"-?\d+")
_NAME = re.compile(r"[A-Za-z0-9-]+")
_LONGEST_NAME = 63

CONTAINER = "container"
VIRTUAL_MACHINE = "virtual-machine"


def _any(_value: str) -> str | None:
    return None


def boolean_fault(value: str) -> str | None:
    """Say in LXD's words why a value is neither on nor off."""
    return None if value.lower() in _TRUTHS else f'Invalid value for a boolean "{value}"'


def _integer(value: str) -> str | None:
    return None if _INTEGER.fullmatch(value) else f'Invalid value for an integer "{value}"'


def size(value: str) -> str | None:
    """Return what is wrong with a size in bytes, if anything is."""
    return None if _SIZE.fullmatch(value) else f"Invalid value: {value}"


def _memory(value: str) -> str | None:
    return None if _PERCENT.fullmatch(value) else size(value)


def _cpus(value: str) -> str | None:
    return None if _CPUS.fullmatch(value) else "Invalid CPU limit syntax"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _keys(check: Check, text: str) -> dict[str, Check]:
    return dict.fromkeys(text.split(), check)


_COMMON: dict[str, Check] = {
    **_keys(
        boolean_fault,
        "boot.autostart security.devlxd security.protection.delete snapshots.schedule.stopped",
    ),
    **_keys(
        _integer,
        "boot.autostart.delay boot.autostart.priority boot.stop.priority"
        " boot.host_shutdown_timeout",
    ),
    **_keys(
        _any,
        "cloud-init.network-config cloud-init.user-data cloud-init.vendor-data cluster.evacuate"
        " limits.disk.priority limits.network.priority raw.apparmor snapshots.schedule"
        " snapshots.pattern snapshots.expiry volatile.apply_template volatile.base_image"
        " volatile.cloud-init.instance-id volatile.evacuate.origin volatile.last_state.idmap"
        " volatile.last_state.power volatile.idmap.base volatile.idmap.current"
        " volatile.idmap.next volatile.apply_quota volatile.uuid volatile.vsock_id"
        " volatile.last_state.ready",
    ),
    "limits.cpu": _cpus,
    "limits.memory": _memory,
}
_OF_CONTAINERS: dict[str, Check] = {
    **_keys(
        boolean_fault,
        "limits.memory.swap migration.incremental.memory nvidia.runtime security.devlxd.images"
        " security.idmap.isolated security.nesting security.privileged security.protection.shift"
        " security.syscalls.deny_compat security.syscalls.deny_default"
        " security.syscalls.intercept.mknod security.syscalls.intercept.mount"
        " security.syscalls.intercept.setxattr security.syscalls.intercept.bpf",
    ),
    **_keys(
        _integer,
        "limits.processes migration.incremental.memory.iterations"
        " migration.incremental.memory.goal",
    ),
    **_keys(
        _any,
        "limits.cpu.allowance limits.cpu.priority limits.memory.enforce"
        " limits.memory.swap.priority linux.kernel_modules nvidia.driver.capabilities raw.idmap"
        " raw.lxc raw.seccomp security.idmap.base security.idmap.size security.syscalls.allow"
        " security.syscalls.deny security.syscalls.intercept.mount.allowed"
        " security.syscalls.intercept.mount.fuse security.syscalls.intercept.mount.shift",
    ),
}
_OF_MACHINES: dict[str, Check] = {
    **_keys(
        boolean_fault,
        "agent.nic_config limits.memory.hugepages migration.stateful security.agent.metrics"
        " security.secureboot",
    ),
    **_keys(_any, "raw.qemu raw.qemu.conf volatile.apply_nvram"),
}
_TABLES: Mapping[str, Mapping[str, Check]] = {
    CONTAINER: {**_COMMON, **_OF_CONTAINERS},
    VIRTUAL_MACHINE: {**_COMMON, **_OF_MACHINES},
    "": {**_COMMON, **_OF_CONTAINERS, **_OF_MACHINES},
}
_FREE = ("user.", "environment.", "image.")
_FREE_OF_CONTAINERS = ("linux.sysctl.", "limits.kernel.", "limits.hugepages.")
# LXD keeps what it knows of each device in keys volatile.DEVICE.WHAT.
_OF_DEVICES = re.compile(
    r"volatile\.[^.]+\.(?:hwaddr|host_name|name|mtu|vlan|spoofcheck|apply_quota|created"
    r"|last_state\..+)"
)

_NIC = _words(
    "type name network nictype parent hwaddr host_name mtu vlan vlan.tagged boot.priority"
    " ipv4.address ipv6.address ipv4.routes ipv6.routes limits.ingress limits.egress limits.max"
    " security.mac_filtering security.ipv4_filtering security.ipv6_filtering"
    " security.port_isolation queue.tx.length"
)
_DISK = _words(
    "type path source pool size size.state required readonly optional recursive shift propagation"
    " raw.mount.options limits.read limits.write limits.max boot.priority"
)
_FILTERS = ("security.ipv4_filtering", "security.ipv6_filtering")
# LXD takes any word for the other filters, and reads what it doesn't know as false.
_VALUES: Mapping[str, Check] = {"size": size, "security.port_isolation": boolean_fault}
_DEVICE_TYPES = _words(
    "none nic disk unix-char unix-block unix-hotplug usb gpu infiniband proxy tpm pci"
)


def check_config(config: Mapping[str, str], instance_type: str) -> None:
    """Refuse what LXD's own check of a configuration refuses.

    Args:
        config: The instance's own keys, without those of its profiles.
        instance_type: `container` or `virtual-machine`; empty for a profile, which serves both.

    Raises:
        LxdError: A key is unknown or its value can't be read.
    """
    table = _TABLES[instance_type]
    for key, value in sorted(config.items()):
        if key.startswith(_FREE) or _OF_DEVICES.fullmatch(key):
            continue
        if instance_type != VIRTUAL_MACHINE and key.startswith(_FREE_OF_CONTAINERS):
            continue
        check = table.get(key)
        if check is None:
            raise LxdError(400, f"Unknown configuration key: {key}")
        wrong = check(value) if value else None
        if wrong is not None:
            raise LxdError(400, wrong)


def check_device_types(devices: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse devices of an unknown type.

    Raises:
        LxdError: There is one.
    """
    for device in devices.values():
        if device.get("type") not in _DEVICE_TYPES:
            raise LxdError(400, f"Invalid device type {device.get('type', '')}")


def check_device_options(name: str, device: Mapping[str, str]) -> None:
    """Refuse options that a network card or a disk doesn't have.

    Raises:
        LxdError: One is unknown, a value can't be read, or two don't go together.
    """
    known = {"nic": _NIC, "disk": _DISK}.get(device["type"])
    prefix = f'Device validation failed for "{name}": '
    by_address = is_true(device.get(_FILTERS[0])) or is_true(device.get(_FILTERS[1]))
    if by_address and (device.get("vlan") or device.get("vlan.tagged")):
        raise LxdError(400, f"{prefix}IP filtering cannot be used with VLAN filtering")
    for option, value in sorted(device.items()):
        if known is not None and option not in known and not option.startswith("user."):
            raise LxdError(400, f'{prefix}Invalid device option "{option}"')
        check = _VALUES.get(option)
        wrong = check(value) if check is not None and value else None
        if wrong is not None:
            raise LxdError(400, f'{prefix}Invalid value for device option "{option}": {wrong}')


def check_name(name: str) -> None:
    """Refuse what can't be an instance's name.

    Raises:
        LxdError: It can't.
    """
    wrong = None
    if not 1 <= len(name) <= _LONGEST_NAME:
        wrong = "Name must be 1-63 characters long"
    elif not _NAME.fullmatch(name):
        wrong = "Name can only contain alphanumeric and hyphen characters"
    elif name[0].isdigit():
        wrong = "Name must not start with a number"
    elif name.startswith("-"):
        wrong = 'Name must not start with "-" character'
    elif name.endswith("-"):
        wrong = 'Name must not end with "-" character'
    if wrong is not None:
        raise LxdError(400, f"Invalid instance name: {wrong}")


def is_true(value: str | None) -> bool:
    """Tell whether LXD reads a value as true."""
    return (value or "").lower() in {"true", "1", "yes", "on"}
