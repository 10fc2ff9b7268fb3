"""The pool that runners' disks are in: which one it is, how large it must be, what is to be done.

A pool of our own is a btrfs file system in an image file, because LXD enforces `vm-disk` there for
instances of every type. The file lies in memory (a tmpfs) or in a directory that is named.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.causes import CausedError
from supervisor.runners.marks import PREFIX
from supervisor.text import sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from supervisor.config import Config

_MIB = 2**20
_GIB = 2**30
_MEMORY = "memory"
_INSTALLATION = f"{PREFIX}installation"
_MEDIUM = f"{PREFIX}storage"
_DIGITS = 6

# What LXD keeps beside each disk: templates, and 100 MiB of a virtual machine's own files.
_BESIDE_A_DISK = 128 * _MIB
# What btrfs needs for itself, whatever is in it, and for each byte that it holds: room for its
# trees and checksums, and for chunks that are only partly used.
_FILE_SYSTEM = 256 * _MIB
_TREES = 16
# What the emulator of a virtual machine, or the monitor of a container, takes beside vm-memory.
_BESIDE_A_GUEST = 128 * _MIB
# What the host keeps for itself: a sixteenth of its memory, and never less than this.
_HOSTS_LEAST = 1 * _GIB
_HOSTS_SHARE = 16
# A tmpfs counts whole pages, and some of its own.
_BESIDE_AN_IMAGE = 4 * _MIB


class StorageRefused(CausedError):
    """What is there is not ours, or is in use: nothing was touched. The message is for people."""


@dataclass(frozen=True)
class OwnPool:
    """A pool that the daemon makes, grows, heals and removes, and where its parts are.

    Attributes:
        installation: whose it is.
        name: in LXD.
        medium: `memory`, or the directory in which its image file lies.
        home: the directory that holds its mount points.
    """

    installation: str
    name: str
    medium: str
    home: Path

    @property
    def in_memory(self) -> bool:
        """Whether the image file lies in memory."""
        return self.medium == _MEMORY

    @property
    def memory(self) -> Path:
        """Where the file system in memory is mounted that holds the image file."""
        return self.home / "memory"

    @property
    def image(self) -> Path:
        """The image file."""
        return (self.memory if self.in_memory else Path(self.medium)) / f"{self.name}.img"

    @property
    def note(self) -> Path:
        """Where the pool's marks are noted on disk: what LXD forgot is to be found again."""
        return self.home / "marks.json"

    @property
    def complaint(self) -> Path:
        """Where it is told why root could not do what was asked for."""
        return _complaint(self.home.parent, self.installation)

    @property
    def mounted(self) -> Path:
        """Where the image file is mounted, which is the pool's source for LXD."""
        return self.home / "mounted"

    def marks(self) -> dict[str, str]:
        """Make the keys by which the pool is known as ours."""
        return {_INSTALLATION: self.installation, _MEDIUM: self.medium}

    def memory_bytes(self, size: int) -> int:
        """Say how large the file system in memory must be for an image file of this size."""
        return size + _BESIDE_AN_IMAGE


def own_pool(config: Config) -> OwnPool | None:
    """Say which pool of our own is configured; None if it is one that LXD has already."""
    medium = config.runner_storage
    if medium == "pool":
        return None
    label = medium
    if medium != _MEMORY:
        label = f"disk-{sha256(medium.encode()).hexdigest()[:_DIGITS]}"
    return _own_pool(config, f"{config.name}-{label}", medium)


def pool_name(config: Config) -> str:
    """Name the pool that runners' disks are in."""
    own = own_pool(config)
    return own.name if own else config.lxd.pool


@dataclass(frozen=True)
class Room:
    """What a pool of our own, and the host, must have room for by one configuration.

    Attributes:
        runners: how many.
        disk: of each, in bytes.
        memory: of each, in bytes.
    """

    runners: int
    disk: int
    memory: int


def room(config: Config) -> Room | None:
    """Say what there is room for; None where the size of the pool is not ours to know."""
    if not own_pool(config):
        return None
    disk, memory = sizes.parse(config.vm_disk), sizes.parse(config.vm_memory)
    return Room(config.virtual_machines, disk, memory)


def at_once(now: Room, earlier: Iterable[Room]) -> int:
    """Say how many instances may be there at once, those included that are of earlier settings.

    While some of these are larger it is the least number of all their settings: none of them asks
    for more than the host has.
    """
    larger = [one for one in earlier if one.disk > now.disk or one.memory > now.memory]
    return min(one.runners for one in (now, *larger))


def recognise(config: Config, name: str, marks: Mapping[str, str]) -> OwnPool | None:
    """Say which pool of this installation a pool of LXD's is, by its configuration."""
    medium = marks.get(_MEDIUM)
    if medium is None or marks.get(_INSTALLATION) != config.name:
        return None
    return _own_pool(config, name, medium)


def _own_pool(config: Config, name: str, medium: str) -> OwnPool:
    return OwnPool(config.name, name, medium, homes(config) / name)


def homes(config: Config) -> Path:
    """Say where all pools of our own have their directories.

    It is root's, beside the state directory and not in it: root must not write where another user
    could put a link, and systemd gives all that is in a state directory to its service's user,
    who would then own what the guests' disks hold.
    """
    state = config.state_directory
    return state.parent / f"{state.name}-pools"


def request(config: Config) -> Path:
    """Say which file the daemon writes to have done for it what it may not: systemd watches it."""
    return config.state_directory / "storage-wanted"


def complaint(config: Config) -> Path:
    """Say in which file it is told why that could not be done."""
    return _complaint(homes(config), config.name)


def _complaint(homes: Path, installation: str) -> Path:
    return homes / f"{installation}.failed"


# How large.


def pool_bytes(runners: int, disk: int, beside: int = 1) -> int:
    """Say how large a pool must be in which so many runners may fill their disks, all at once.

    Args:
        runners: how many.
        disk: of each, in bytes.
        beside: how many more are there: the image is unpacked once, and it is not larger than a
            disk that is made of it.
    """
    disks = (runners + beside) * (disk + _BESIDE_A_DISK)
    size = _FILE_SYSTEM + disks + disks // _TREES
    return -(-size // _MIB) * _MIB


def wanted_bytes(config: Config) -> int:
    """Say how large the pool must be for a configuration; 0 for one whose size is not ours."""
    return fleet_bytes(config) if own_pool(config) else 0


def fleet_bytes(config: Config, runners: int | None = None) -> int:
    """Say how large a pool must be that holds a configured fleet and its images.

    Args:
        config: what is configured.
        runners: how many, if not as many as are configured.
    """
    # Where images are built, the next one is there too, and the instance that it is built or
    # tried in.
    beside = 3 if config.lxd.image is None else 1
    count = config.virtual_machines if runners is None else runners
    return pool_bytes(count, sizes.parse(config.vm_disk), beside)


@dataclass(frozen=True)
class Host:
    """What the machine has.

    Attributes:
        memory: all of it.
        free: on the disk of the image file, with what that takes already; 0 for one in memory.
        pool: how large the image file is; it is never made smaller. 0 if there is none.
    """

    memory: int
    free: int = 0
    pool: int = 0


def shortage(config: Config, host: Host) -> str:
    """Say in one line what the host lacks for a configuration; empty if it lacks nothing."""
    own = own_pool(config)
    if own is None:
        return ""
    memory = sizes.parse(config.vm_memory)
    builders = 1 if config.lxd.image is None else 0

    def needed(runners: int) -> int:
        pool = fleet_bytes(config, runners)
        if not own.in_memory:
            return pool
        return max(host.pool, pool) + (runners + builders) * (memory + _BESIDE_A_GUEST)

    reserve = max(_HOSTS_LEAST, host.memory // _HOSTS_SHARE)
    has = host.memory - reserve if own.in_memory else host.free
    count = config.virtual_machines
    if needed(count) <= has:
        return ""
    fitting = max(0, bisect.bisect_right(range(count), has, key=needed) - 1) or "none"
    words = sizes.in_words
    pool, all_of_it = words(max(host.pool, wanted_bytes(config))), words(needed(count))
    if own.in_memory:
        need = (
            f"{count} runners need {all_of_it} of memory ({pool} for their disks), and this host "
            f"has {words(host.memory)}, of which it keeps {words(reserve)}"
        )
    else:
        need = f"{count} runners need {pool} of disk, and {own.medium} has {words(host.free)}"
    less = (
        "virtual-machines, vm-disk or vm-memory" if own.in_memory else "virtual-machines or vm-disk"
    )
    return f"{need}: {fitting} would fit; lower {less}"


# What is to be done.


class Move(Enum):
    """Something that is done to a pool, in the words of what has been done."""

    REMAKE = "made anew"
    MOUNT = "mounted again"
    GROW = "made larger"

    @property
    def order(self) -> str:
        """What is to be done, in words that the pool's name goes with."""
        return {"made anew": "make", "mounted again": "mount"}.get(self.value, "enlarge")


@dataclass(frozen=True)
class Record:
    """The pool as LXD knows it.

    Attributes:
        config: its configuration.
        available: LXD has it mounted. After a start of the host it has not, until it is remade.
        used_by: addresses of what uses it.
    """

    config: Mapping[str, str]
    available: bool
    used_by: tuple[str, ...] = ()

    def users(self) -> tuple[str, ...]:
        """Give the addresses of what keeps it from being deleted: copies of images don't."""
        return tuple(user for user in self.used_by if not user.startswith("/1.0/images/"))


def instance_address(name: str, project: str) -> str:
    """Write the address under which LXD lists an instance as something's user."""
    address = f"/1.0/instances/{name}"
    return address if project == "default" else f"{address}?project={project}"


def moves(
    own: OwnPool, record: Record | None, *, mounted: int, image: int, wanted: int
) -> tuple[Move, ...]:
    """Decide what is to be done so that the pool is there, and large enough.

    Args:
        own: the pool.
        record: what LXD knows of it; None if it knows none of this name.
        mounted: the size of the file system that is mounted in its place; 0 if none is.
        image: the size of the image file; 0 if there is none.
        wanted: how large it must be at least.

    Raises:
        StorageRefused: the pool of this name is another's, or lies elsewhere.
    """
    if record is None:
        return (Move.REMAKE,)
    if not own.marks().items() <= record.config.items():
        raise StorageRefused(
            f"LXD has a storage pool {own.name} that is not ours: rename this installation, or "
            f"remove the pool (lxc storage delete {own.name})"
        )
    if record.config.get("source") != str(own.mounted):
        raise StorageRefused(
            f"storage pool {own.name} was made from {record.config.get('source')}: set "
            f"state-directory back, or remove the pool (lxc storage delete {own.name})"
        )
    if not record.available or not (mounted or image):
        return (Move.REMAKE,)
    found = mounted or image
    grow = (Move.GROW,) if found < wanted else ()
    return grow if mounted else (Move.MOUNT, *grow)
