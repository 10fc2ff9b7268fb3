"""What LXD is asked to make: the body of `POST /1.0/instances`, built in this one place."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

USER_DATA = "cloud-init.user-data"
"""The configuration key of the guest's script, which holds secrets."""

_GENERATION_DIGITS = 12


@dataclass(frozen=True)
class InstanceTemplate:
    """What all instances of one generation are made from.

    Attributes:
        type: LXD's word for the kind of instance.
        image: The image's fingerprint: an alias may mean another one a moment later.
        pool: The storage pool of the root disk.
        network: The managed bridge that its interface is on.
        profiles: Applied before everything here, so that what stands here wins.
        cpu: How many CPUs it sees.
        memory: With LXD's unit, such as `7GiB`.
        disk: The root disk's size, likewise. A `dir` pool takes it and does not enforce it.
        ipv6_filtering: Whether LXD filters IPv6 at its port of the bridge. LXD starts no such
            instance where br_netfilter is off.
    """

    type: Literal["virtual-machine", "container"]
    image: str
    pool: str
    network: str
    profiles: tuple[str, ...]
    cpu: int
    memory: str
    disk: str
    ipv6_filtering: bool = True


def instance_request(
    template: InstanceTemplate, *, name: str, user_data: str, metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Build the request that creates one runner's instance.

    Args:
        template: What it is made from.
        name: The instance's name, and the guest's host name.
        user_data: The guest's script: holds secrets.
        metadata: Configuration keys that start with `user.`: what is to be known of it later.

    Raises:
        ValueError: A key of the metadata is one of LXD's own.
    """
    if alien := sorted(key for key in metadata if not key.startswith("user.")):
        raise ValueError(f"metadata keys must start with user., these don't: {', '.join(alien)}")
    return {
        "name": name,
        "type": template.type,
        "source": {"type": "image", "fingerprint": template.image},
        "profiles": list(template.profiles),
        # LXD deletes it when it stops, whoever stops it and whether or not a daemon watches.
        "ephemeral": True,
        "config": {
            **metadata,
            **_config_of_type(template),
            # Without this LXD starts again, at its own start, what died while it was down: a
            # guest whose single-use registration is spent. So it stays stopped, to be deleted.
            "boot.autostart": "false",
            "limits.cpu": str(template.cpu),
            "limits.memory": template.memory,
            # Through /dev/lxd/sock every process of a guest, the job too, could read the
            # configuration with the user data and its secrets. cloud-init does not need it: it
            # has the seed that the image's templates write, and in a virtual machine the disk
            # of _devices_of_type.
            "security.devlxd": "false",
            USER_DATA: user_data,
        },
        "devices": {
            "root": {"type": "disk", "path": "/", "pool": template.pool, "size": template.disk},
            "eth0": _interface(template),
            **_devices_of_type(template),
        },
    }


def generation(template: InstanceTemplate, *extra: str) -> str:
    """Return a short name of all that makes instances alike: equal if, and only if, they are.

    It is computed from the request itself, so a release that builds another request makes a new
    generation of the same settings.

    Args:
        template: What they are made from.
        extra: More that they depend on, such as labels and the path; the order counts.
    """
    request = instance_request(template, name="", user_data="", metadata={})
    text = json.dumps([request, *extra], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_GENERATION_DIGITS]


def _config_of_type(template: InstanceTemplate) -> dict[str, str]:
    """Return the keys that LXD takes for this type only; it refuses them for the other."""
    if template.type == "container":
        # A profile that makes containers privileged would give each job the host's root.
        return {"security.privileged": "false"}
    # Secure boot refuses kernels and loaders that Microsoft's key has not signed, which is what
    # an image built or upgraded on the host may hold. It would protect a guest's boot from the
    # guest's own root: of no use in one that lives for a single job.
    return {"security.secureboot": "false"}


def _interface(template: InstanceTemplate) -> dict[str, str]:
    """Return the network interface, and what LXD lets through at its port of the bridge.

    https://documentation.ubuntu.com/lxd/en/latest/reference/devices_nic/#nictype-bridged
    """
    # Where the bridge has no addresses of a family to give, LXD drops all of that family.
    filters = {
        "security.mac_filtering": "true",
        "security.ipv4_filtering": "true",
        **({"security.ipv6_filtering": "true"} if template.ipv6_filtering else {}),
        # Nothing passes between two such ports: no false DHCP server, router or neighbour.
        "security.port_isolation": "true",
    }
    return {"type": "nic", "name": "eth0", "network": template.network, **filters}


def _devices_of_type(template: InstanceTemplate) -> dict[str, dict[str, str]]:
    if template.type == "container":
        return {}
    # A disk with the user data as cloud-init's NoCloud source looks for it. Only root can read
    # it, and unlike LXD's templates it needs no LXD agent in the image.
    return {"cloud-init": {"type": "disk", "source": "cloud-init:config"}}
