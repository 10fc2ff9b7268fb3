"""Profiles, projects, pools, networks and access lists: what may be done to them. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from sandbox.lxd_emulator import config_keys, documents
from sandbox.lxd_emulator.errors import LxdError
from sandbox.lxd_emulator.instances import check_network
from sandbox.lxd_emulator.model import (
    DEFAULT_PROJECT,
    Acl,
    Network,
    Pool,
    Profile,
    Project,
)
from sandbox.lxd_emulator.state import strings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.lxd_emulator.state import ServerState

    Body = Mapping[str, Any]

_FEATURES = ("images", "profiles", "storage.volumes")
_PROJECT_KEY = re.compile(r"(?:features|limits|restricted|backups|images|user)(?:\..+)?")
_NETWORK_KEY = re.compile(
    r"(?:ipv[46]\.|dns\.|bridge\.|raw\.dnsmasq|security\.acls|maas\.|fan\.|tunnel\.|bgp\.|user\."
    r"|volatile\.).*"
)
_DRIVERS = {"dir", "btrfs", "zfs", "lvm", "ceph", "cephfs"}
_LONGEST_INTERFACE = 15


def _name(body: Body) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise LxdError(400, "No name provided")
    return name


def make_profile(state: ServerState, project: str, body: Body) -> Profile:
    """Make a profile.

    Raises:
        LxdError: It is refused.
    """
    name = _name(body)
    if "/" in name:
        raise LxdError(400, "Profile names may not contain slashes")
    profile = _profile(state, project, name, body, bad_device=400)
    if (project, name) in state.profiles:
        raise LxdError(500, f'Error inserting "{name}" into database: The profile already exists')
    state.profiles[project, name] = profile
    return profile


def change_profile(state: ServerState, old: Profile, body: Body, *, whole: bool) -> None:
    """Change a profile, and with it the instances that have it.

    Raises:
        LxdError: It is refused.
    """
    if not whole:
        body = {
            "description": body.get("description", old.description),
            "config": {**old.config, **(body.get("config") or {})},
            "devices": {**old.devices, **(body.get("devices") or {})},
        }
    state.profiles[old.project, old.name] = _profile(
        state, old.project, old.name, body, bad_device=500
    )


def delete_profile(state: ServerState, profile: Profile) -> None:
    """Delete a profile.

    Raises:
        LxdError: It is in use, or it is the default one.
    """
    if profile.name == "default":
        raise LxdError(403, 'The "default" profile cannot be deleted')
    if any(documents.users_of_profile(state, profile)):
        raise LxdError(500, "Profile is currently in use")
    del state.profiles[profile.project, profile.name]


def _profile(
    state: ServerState, project: str, name: str, body: Body, *, bad_device: int
) -> Profile:
    config = strings(body.get("config"), "ProfilesPost.config")
    devices = {
        key: strings(device, "ProfilesPost.devices")
        for key, device in (body.get("devices") or {}).items()
    }
    config_keys.check_config(config, "")
    config_keys.check_device_types(devices)
    for key, device in devices.items():
        try:
            config_keys.check_device_options(key, device)
        except LxdError as error:
            raise LxdError(bad_device, error.text) from error
        check_network(state, key, device)
    return Profile(
        project=project,
        name=name,
        description=body.get("description") or "",
        config={key: value for key, value in config.items() if value},
        devices=devices,
    )


def make_project(state: ServerState, body: Body) -> Project:
    """Make a project, with features unless they are declined, and its default profile.

    Raises:
        LxdError: It is refused.
    """
    name = _name(body)
    for what, sign in (("spaces", " "), ("slashes", "/")):
        if sign in name:
            raise LxdError(400, f"Project names may not contain {what}")
    config = _project_config(body)
    if name in state.projects:
        raise LxdError(
            409,
            f'Failed creating project "{name}": Failed adding database record: '
            'This "projects" entry already exists',
        )
    for feature in _FEATURES:
        config.setdefault(f"features.{feature}", "true")
    project = Project(name=name, description=body.get("description") or "", config=config)
    state.projects[name] = project
    if config_keys.is_true(config["features.profiles"]):
        state.profiles[name, "default"] = Profile(
            project=name, name="default", description=f"Default LXD profile for project {name}"
        )
    return project


def change_project(state: ServerState, old: Project, body: Body, *, whole: bool) -> None:
    """Change a project.

    Raises:
        LxdError: It is refused.
    """
    config = _project_config(body)
    state.projects[old.name] = Project(
        name=old.name,
        description=body.get("description", "" if whole else old.description) or "",
        config=config if whole else {**old.config, **config},
    )


def delete_project(state: ServerState, project: Project) -> None:
    """Delete a project in which nothing is left but its default profile.

    Raises:
        LxdError: It is refused.
    """
    if project.name == DEFAULT_PROJECT:
        raise LxdError(403, "The 'default' project cannot be deleted")
    own = f"/1.0/profiles/default?project={project.name}"
    if any(user != own for user in documents.users_of_project(state, project.name)):
        raise LxdError(500, "Only empty projects can be removed")
    state.profiles.pop((project.name, "default"), None)
    del state.projects[project.name]


def _project_config(body: Body) -> dict[str, str]:
    config = strings(body.get("config"), "ProjectsPost.config")
    for key in config:
        if not _PROJECT_KEY.fullmatch(key):
            raise LxdError(400, f'Invalid project configuration key "{key}"')
    return config


def make_pool(state: ServerState, body: Body) -> Pool:
    """Make a storage pool; nothing is made on any disk.

    Raises:
        LxdError: It is refused.
    """
    name = _name(body)
    driver = body.get("driver") or ""
    if not driver:
        raise LxdError(400, "No driver provided")
    if name in state.pools:
        raise LxdError(409, "The storage pool already exists: The record already exists")
    if driver not in _DRIVERS:
        raise LxdError(500, "Unknown driver")
    pool = Pool(
        name=name,
        driver=driver,
        description=body.get("description") or "",
        config=strings(body.get("config"), "StoragePoolsPost.config"),
    )
    state.pools[name] = pool
    return pool


def delete_pool(state: ServerState, pool: Pool) -> None:
    """Delete a storage pool.

    Raises:
        LxdError: It is in use.
    """
    if any(documents.users_of_device(state, "pool", pool.name)):
        raise LxdError(400, "The storage pool is currently in use")
    del state.pools[pool.name]


def make_network(state: ServerState, body: Body) -> Network:
    """Make a bridge that isn't there; where its address isn't given it is the loopback's.

    Raises:
        LxdError: It is refused.
    """
    name = _name(body)
    if len(name) > _LONGEST_INTERFACE:
        raise LxdError(400, "Network interface is too long (maximum 15 characters)")
    if (body.get("type") or "bridge") != "bridge":
        raise LxdError(400, "Unknown driver")
    if name in state.networks:
        raise LxdError(400, "The network already exists")
    config = strings(body.get("config"), "NetworksPost.config")
    if config.get("ipv4.address", "auto") == "auto":
        config["ipv4.address"] = "127.0.0.1/8"
    config.setdefault("ipv6.address", "none")
    _check_network_config(name, config, bad_value=500)
    network = Network(name=name, description=body.get("description") or "", config=config)
    state.networks[name] = network
    return network


def change_network(state: ServerState, old: Network, body: Body, *, whole: bool) -> None:
    """Change a network.

    Raises:
        LxdError: It is refused.
    """
    config = strings(body.get("config"), "NetworkPut.config")
    if not whole:
        config = {**old.config, **config}
    config = {key: value for key, value in config.items() if value}
    _check_network_config(old.name, config, bad_value=400)
    description = body.get("description", "" if whole else old.description) or ""
    state.networks[old.name] = Network(name=old.name, description=description, config=config)


def delete_network(state: ServerState, network: Network) -> None:
    """Delete a network.

    Raises:
        LxdError: It is in use.
    """
    if any(documents.users_of_device(state, "network", network.name)):
        raise LxdError(400, "The network is currently in use")
    del state.networks[network.name]


def _check_network_config(name: str, config: Mapping[str, str], *, bad_value: int) -> None:
    for key, value in config.items():
        if not _NETWORK_KEY.fullmatch(key):
            raise LxdError(400, f'Invalid option for network "{name}" option "{key}"')
        if key == "ipv4.address" and value != "none" and not _is_cidr(value):
            raise LxdError(
                bad_value,
                f'Invalid value for network "{name}" option "{key}": invalid CIDR address: {value}',
            )
        if key == "ipv4.firewall" and (wrong := config_keys.boolean_fault(value)):
            raise LxdError(bad_value, f'Invalid value for network "{name}" option "{key}": {wrong}')


def _is_cidr(value: str) -> bool:
    try:
        ipaddress.IPv4Interface(value)
    except ValueError:
        return False
    return "/" in value


def make_acl(state: ServerState, body: Body) -> Acl:
    """Make a network access list.

    Raises:
        LxdError: It is refused.
    """
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise LxdError(500, "Name is required")
    if name in state.acls:
        raise LxdError(400, "The network ACL already exists")
    state.acls[name] = _acl(name, body)
    return state.acls[name]


def change_acl(state: ServerState, old: Acl, body: Body) -> None:
    """Replace a network access list.

    Raises:
        LxdError: It is refused.
    """
    state.acls[old.name] = _acl(old.name, body)


def _acl(name: str, body: Body) -> Acl:
    rules = {
        way: tuple(strings(rule, "NetworkACLRule") for rule in body.get(way) or ())
        for way in ("egress", "ingress")
    }
    return Acl(
        name=name,
        description=body.get("description") or "",
        config=strings(body.get("config"), "NetworkACLPut.config"),
        **rules,
    )
