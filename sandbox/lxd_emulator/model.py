"""What the emulated LXD holds: plain data, without behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    Config: TypeAlias = Mapping[str, str]
    Devices: TypeAlias = Mapping[str, Mapping[str, str]]

DEFAULT_PROJECT = "default"
EPOCH = "1970-01-01T00:00:00Z"
NEVER = "0001-01-01T00:00:00Z"

STOPPED = "Stopped"
RUNNING = "Running"
FROZEN = "Frozen"
ERROR = "Error"
STATUS_CODES = {STOPPED: 102, RUNNING: 103, FROZEN: 110, ERROR: 112}


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One instance.

    Attributes:
        project: The project it is in.
        name: Unique within the project.
        type: `container` or `virtual-machine`.
        created_at: As LXD prints a time.
        busy: What LXD is doing with it: `create`, `start`, `stop`, `delete`, or nothing.
        boots: How often it was started; a guest that boots again knows.
        number: Counts all instances that ever were; its address is made from it.
    """

    project: str
    name: str
    type: str
    created_at: str
    architecture: str = "x86_64"
    ephemeral: bool = False
    profiles: tuple[str, ...] = ("default",)
    config: Config = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)
    description: str = ""
    last_used_at: str = EPOCH
    status: str = STOPPED
    busy: str = ""
    boots: int = 0
    number: int = 0


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image; its content is thrown away after its hash has been taken."""

    project: str
    fingerprint: str
    type: str
    size: int
    uploaded_at: str
    created_at: str = EPOCH
    filename: str = ""
    public: bool = False
    architecture: str = "x86_64"
    properties: Config = field(default_factory=dict)
    last_used_at: str = NEVER


@dataclass(frozen=True, kw_only=True)
class Alias:
    """A name for an image."""

    project: str
    name: str
    target: str
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Configuration and devices that instances share."""

    project: str
    name: str
    description: str = ""
    config: Config = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Project:
    """A name space for instances and, if it has the features, images and profiles."""

    name: str
    description: str = ""
    config: Config = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A storage pool, on no storage."""

    name: str
    driver: str
    description: str = ""
    config: Config = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A bridge that isn't there; its addresses are the machine's own loopback by default."""

    name: str
    description: str = ""
    config: Config = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Acl:
    """A network access list, kept and not enforced."""

    name: str
    description: str = ""
    config: Config = field(default_factory=dict)
    egress: tuple[Config, ...] = ()
    ingress: tuple[Config, ...] = ()
