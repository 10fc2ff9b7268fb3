"""What may be done to instances, and what comes of it: pure, on a `ServerState`."""

from __future__ import annotations

import ipaddress
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.lxd_emulator import config_keys
from sandbox.lxd_emulator.errors import LxdError, not_found
from sandbox.lxd_emulator.model import RUNNING, STOPPED, Instance
from sandbox.lxd_emulator.state import address_in, etag, strings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.lxd_emulator.model import Config, Devices, Image
    from sandbox.lxd_emulator.state import ServerState

# A client that replaces the configuration must send these back.
_PROTECTED = {"volatile.idmap.base", "volatile.idmap.next", "volatile.last_state.idmap"}
_RECORD = "Failed creating instance record: "
_IDMAP = (
    '[{"Isuid":true,"Isgid":false,"Hostid":100000,"Nsid":0,"Maprange":65536},'
    '{"Isuid":false,"Isgid":true,"Hostid":100000,"Nsid":0,"Maprange":65536}]'
)


@dataclass(frozen=True)
class Admission:
    """A request for an instance that LXD has accepted; the rest goes wrong in an operation.

    Attributes:
        instance: What is to be.
        image: The image to make it from.
        empty: It is to be made without an image.
    """

    instance: Instance
    image: Image | None
    empty: bool


def admit(state: ServerState, project: str, body: Mapping[str, Any], now: str) -> Admission:
    """Check a request for an instance as far as LXD does before it answers.

    Raises:
        LxdError: The request is refused at once.
    """
    if project not in state.projects:
        raise LxdError(404, "Failed loading project: Project not found")
    config = strings(body.get("config"), "InstancesPost.config")
    devices = _devices(body.get("devices"))
    kind = body.get("type") or config_keys.CONTAINER
    if kind not in {config_keys.CONTAINER, config_keys.VIRTUAL_MACHINE}:
        raise LxdError(400, "Invalid instance type")
    source = body.get("source") or {}
    if source.get("type", "") not in {"image", "none"}:
        raise LxdError(400, f"Unknown source type {source.get('type', '')}")
    image = _image(state, project, source)
    profiles = body.get("profiles")
    profiles = ("default",) if profiles is None else tuple(profiles)
    _check_profiles(state, project, profiles)
    name = body.get("name") or f"instance-{uuid.uuid4().hex[:8]}"
    config_keys.check_name(name)
    instance = Instance(
        project=project,
        name=name,
        type=kind,
        created_at=now,
        architecture=body.get("architecture") or "x86_64",
        ephemeral=bool(body.get("ephemeral")),
        profiles=profiles,
        config={key: value for key, value in config.items() if value},
        devices=devices,
        description=body.get("description") or "",
        busy="create",
    )
    return Admission(instance, image, source["type"] == "none")


def record(state: ServerState, admission: Admission, now: str) -> Instance:
    """Put an admitted instance into the state; it is busy until `created`.

    Raises:
        LxdError: The operation fails, and nothing is left of it.
    """
    wanted, image = admission.instance, admission.image
    if image is None and not admission.empty:
        raise LxdError(400, "Image not provided for instance creation")
    if image is not None and image.type != wanted.type:
        raise LxdError(
            400,
            f'Requested image\'s type "{image.type}" doesn\'t match instance type "{wanted.type}"',
        )
    try:
        config_keys.check_config(wanted.config, wanted.type)
        config_keys.check_device_types(wanted.devices)
        _check_free(state, wanted)
        _check_devices(state, wanted)
    except LxdError as error:
        raise LxdError(400, _RECORD + error.text) from error
    state.instances_made += 1
    number = state.instances_made
    config = {**wanted.config, **_volatile(number, wanted, image)}
    made = replace(wanted, config=config, number=number)
    state.put(made)
    if image is not None:
        state.images[image.project, image.fingerprint] = replace(image, last_used_at=now)
    return made


def begin(instance: Instance, work: str) -> Instance:
    """Note that LXD does something to an instance: `start`, `stop`, `delete` or `update`.

    Raises:
        LxdError: LXD can't do it now.
    """
    if work == "stop" and instance.status == STOPPED:
        raise LxdError(400, "The instance is already stopped")
    if instance.busy:
        raise LxdError(
            400,
            f"Failed to create instance {work} operation: "
            f'Instance is busy running a "{instance.busy}" operation',
        )
    if work == "start" and instance.status != STOPPED:
        raise LxdError(400, "The instance is already running")
    return replace(instance, busy=work)


def started(instance: Instance, now: str) -> Instance:
    """Return an instance that runs."""
    config = dict(instance.config)
    config.pop("volatile.apply_template", None)
    config["volatile.last_state.power"] = "RUNNING"
    return replace(
        instance,
        status=RUNNING,
        busy="",
        boots=instance.boots + 1,
        last_used_at=now,
        config=config,
    )


def stopped(instance: Instance) -> Instance:
    """Return an instance that doesn't run any more."""
    config = {**instance.config, "volatile.last_state.power": "STOPPED"}
    return replace(instance, status=STOPPED, busy="", config=config)


def change(
    state: ServerState, instance: Instance, body: Mapping[str, Any], *, whole: bool
) -> Instance:
    """Return an instance with another configuration.

    Args:
        state: Where its profiles and devices' networks are.
        instance: As it is.
        body: What LXD got.
        whole: What the body doesn't name goes (PUT); otherwise it stays (PATCH).

    Raises:
        LxdError: The configuration is wrong, or the instance is busy.
    """
    if instance.busy == "create":
        raise LxdError(
            500,
            "Failed to create instance update operation: "
            f'Instance is busy running a "{instance.busy}" operation',
        )
    config = strings(body.get("config"), "InstancePut.config")
    devices: Devices = _devices(body.get("devices"))
    profiles = body.get("profiles")
    if not whole:
        config = {**instance.config, **config}
        devices = {**instance.devices, **devices}
        profiles = instance.profiles if profiles is None else profiles
    changed = replace(
        instance,
        config={key: value for key, value in config.items() if value},
        devices=devices,
        profiles=tuple(profiles or ()),
        ephemeral=bool(body.get("ephemeral", not whole and instance.ephemeral)),
        description=body.get("description", "" if whole else instance.description),
    )
    lost = _PROTECTED & instance.config.keys() - changed.config.keys()
    if lost:
        raise LxdError(500, "Volatile idmap keys can't be deleted by the user")
    try:
        config_keys.check_config(changed.config, changed.type)
    except LxdError as error:
        raise LxdError(500, f"Invalid config: {error.text}") from error
    _check_changed_devices(state, changed)
    return changed


def check_new_profiles(state: ServerState, project: str, body: Mapping[str, Any]) -> None:
    """Refuse a change to profiles that aren't there, as LXD does before it begins.

    Raises:
        LxdError: One isn't there.
    """
    owner = state.project_for("profiles", project)
    if any((owner, name) not in state.profiles for name in body.get("profiles") or ()):
        raise not_found("Profile")


def expanded(state: ServerState, instance: Instance) -> tuple[Config, Devices]:
    """Return an instance's configuration and devices with those of its profiles."""
    config: dict[str, str] = {}
    devices: dict[str, Mapping[str, str]] = {}
    project = state.project_for("profiles", instance.project)
    for name in instance.profiles:
        profile = state.profiles.get((project, name))
        if profile is not None:
            config.update(profile.config)
            devices.update(profile.devices)
    return {**config, **instance.config}, {**devices, **instance.devices}


def instance_etag(instance: Instance) -> str:
    """Return the etag of what a client can change of an instance."""
    return etag(
        instance.architecture,
        instance.config,
        instance.devices,
        instance.ephemeral,
        instance.profiles,
        instance.description,
    )


def address(state: ServerState, instance: Instance) -> ipaddress.IPv4Interface | None:
    """Return the address that a running instance has got, if its bridge gives one."""
    _, devices = expanded(state, instance)
    for device in devices.values():
        network = state.networks.get(device.get("network", ""))
        try:
            bridge = ipaddress.IPv4Interface(network.config["ipv4.address"]) if network else None
        except (KeyError, ValueError):
            continue
        if bridge is not None:
            usable = max(1, bridge.network.num_addresses - 3)
            guest = bridge.network.network_address + 2 + instance.number % usable
            return ipaddress.IPv4Interface(f"{guest}/{bridge.network.prefixlen}")
    return None


def url(instance: Instance) -> str:
    """Return an instance's address in the API, with its project where that isn't the default."""
    return address_in(instance.project, f"/1.0/instances/{instance.name}")


def _image(state: ServerState, project: str, source: Mapping[str, Any]) -> Image | None:
    owner = state.project_for("images", project)
    fingerprint = source.get("fingerprint") or ""
    if source["type"] == "image" and source.get("alias"):
        alias = state.aliases.get((owner, source["alias"]))
        if alias is None:
            raise LxdError(404, "Image alias not found")
        fingerprint = alias.target
    if not fingerprint:
        return None
    found = [
        image
        for (of, hashed), image in state.images.items()
        if of == owner and hashed.startswith(fingerprint)
    ]
    return found[0] if len(found) == 1 else None


def _check_profiles(state: ServerState, project: str, names: tuple[str, ...]) -> None:
    owner = state.project_for("profiles", project)
    for name in names:
        if (owner, name) not in state.profiles:
            raise LxdError(500, f'Requested profile "{name}" doesn\'t exist')


def _check_free(state: ServerState, wanted: Instance) -> None:
    if (wanted.project, wanted.name) in state.instances:
        text = 'Add instance info to the database: This "instances" entry already exists'
        raise LxdError(400, text)


def _check_devices(state: ServerState, instance: Instance) -> None:
    _, devices = expanded(state, instance)
    prefix = "Failed initialising instance: "
    root = next((d for d in devices.values() if d["type"] == "disk" and d.get("path") == "/"), None)
    if root is None or not root.get("pool"):
        raise LxdError(400, f"{prefix}Failed getting root disk: No root device could be found")
    if root["pool"] not in state.pools:
        raise LxdError(400, f"{prefix}Failed loading storage pool: Storage pool not found")
    for name, device in devices.items():
        try:
            config_keys.check_device_options(name, device)
            check_network(state, name, device)
        except LxdError as error:
            raise LxdError(400, f"{prefix}Invalid devices: {error.text}") from error


def _check_changed_devices(state: ServerState, instance: Instance) -> None:
    # A change may even take the root disk away: LXD 5.0 lets it.
    _, devices = expanded(state, instance)
    for name, device in devices.items():
        try:
            config_keys.check_device_types({name: device})
        except LxdError as error:
            raise LxdError(
                500,
                f'Invalid devices: Device validation failed for "{name}": '
                f'Failed loading device "{name}": Unsupported device type',
            ) from error
        try:
            config_keys.check_device_options(name, device)
        except LxdError as error:
            raise LxdError(500, f"Invalid devices: {error.text}") from error
        try:
            check_network(state, name, device)
        except LxdError as error:
            raise LxdError(error.status, f"Invalid devices: {error.text}") from error


def check_network(state: ServerState, name: str, device: Mapping[str, str]) -> None:
    """Refuse a network card on a bridge that isn't there.

    Raises:
        LxdError: It isn't.
    """
    network = device.get("network")
    if device.get("type") == "nic" and network and network not in state.networks:
        raise LxdError(
            404,
            f'Device validation failed for "{name}": Failed loading device "{name}": '
            f'Failed to load network "{network}" for project "default": Network not found',
        )


def _devices(value: Any) -> dict[str, dict[str, str]]:
    return {
        name: strings(device, "InstancesPost.devices") for name, device in (value or {}).items()
    }


def _volatile(number: int, instance: Instance, image: Image | None) -> dict[str, str]:
    octets = number.to_bytes(3, "big").hex(":")
    keys = {
        "volatile.apply_template": "create",
        "volatile.cloud-init.instance-id": str(uuid.uuid4()),
        "volatile.eth0.hwaddr": f"00:16:3e:{octets}",
        "volatile.uuid": str(uuid.uuid4()),
    }
    if instance.type == config_keys.CONTAINER:
        keys["volatile.idmap.base"] = "0"
        keys["volatile.idmap.next"] = _IDMAP
        keys["volatile.last_state.idmap"] = "[]"
    if image is not None:
        keys["volatile.base_image"] = image.fingerprint
        keys.update({f"image.{key}": value for key, value in image.properties.items()})
    return keys
