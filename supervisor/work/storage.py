"""The work on the pool that runners' disks are in, as calls that block and return what is there.

A worker runs it in its thread: it holds nothing that changes, and raises nothing that is LXD's or a
file system's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from supervisor.causes import Cause, cause_of
from supervisor.config import ConfigError
from supervisor.gateways import storage as file_systems
from supervisor.gateways.lxd import Lxd, LxdEndpoint, LxdError, LxdUnavailable, NotFound
from supervisor.gateways.storage import StorageError
from supervisor.host import storage
from supervisor.host.storage import Move, Record, StorageRefused
from supervisor.runners import marks
from supervisor.text import sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from supervisor.config import Config
    from supervisor.gateways.lxd import Instance, Resource
    from supervisor.host.storage import OwnPool

_UNIT = "github-runner-supervisor-storage.service"
_REMOVAL_LIMIT_S = 60.0
_NEARLY_FULL = 0.95


def check(config: Config) -> None:
    """Check that the host has what the runners and their pool need; nothing is made.

    Raises:
        ConfigError: it has not, or the directory can't be used.
    """
    own = storage.own_pool(config)
    if own is None:
        return
    try:
        lack = storage.shortage(config, file_systems.host(own))
    except StorageError as error:
        raise ConfigError(f"runner-storage: {error}") from error
    if lack:
        raise ConfigError(f"runner-storage: {lack}")


def work_of(config: Config) -> StorageWork:
    """Give the work for a configuration, with a way of its own to LXD."""
    lxd = config.lxd
    return StorageWork(
        Lxd(LxdEndpoint(lxd.socket, lxd.project, lxd.timeout.total_seconds())), config
    )


@dataclass(frozen=True)
class PoolReady:
    """The pool is there and large enough.

    Attributes:
        pool: its name.
        size: for how many bytes of disks it was found large enough.
        space: how much of it is used, and how large it is.
        warnings: what is not as it should be, though runners can be made.
    """

    pool: str
    size: int
    space: tuple[int, int]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PoolFailed:
    """It isn't, and why.

    Attributes:
        reason: for the operator.
        cause: the same in a word.
        outage: LXD did not answer, which says nothing of the pool.
        asked: it will be soon, as who may mount has been asked.
    """

    reason: str
    cause: Cause = Cause.UNKNOWN
    outage: bool = False
    asked: bool = False


class _Asked(Exception):
    """Who may mount has been asked to do what is to be done."""


@dataclass(frozen=True)
class StorageWork:
    """What is done for one configuration.

    What mounts, and what is left of earlier pools, is root's. Who is not root asks for it, by
    a file that systemd watches, and asks again at each look: a wish that comes while another
    is being met is lost.
    """

    lxd: Lxd
    config: Config

    def ensure(self) -> PoolReady | PoolFailed:
        """See to it that the pool is there and large enough; what is right stays as it is."""
        try:
            return self._ensure()
        except LxdUnavailable as error:
            return PoolFailed(str(error), error.cause, outage=True)
        except _Asked as asked:
            return PoolFailed(str(asked), asked=True)
        except (LxdError, StorageError, StorageRefused) as error:
            return PoolFailed(str(error), cause_of(error))

    def prepare(self) -> PoolReady | PoolFailed:
        """Do what a daemon that is not root has asked for, and tell it why it can't be done."""
        if not file_systems.may_mount():
            return PoolFailed("only root may mount file systems for storage pools")
        found = self.ensure()
        try:
            reason = found.reason if isinstance(found, PoolFailed) else ""
            file_systems.complain(storage.complaint(self.config), reason)
        except StorageError as error:
            logger.warning("{}", error)
        return found

    def _ensure(self) -> PoolReady:
        own, name = storage.own_pool(self.config), storage.pool_name(self.config)
        wanted = storage.wanted_bytes(self.config)
        known = {pool.name: pool for pool in self.lxd.resources("storage-pools")}
        if own:
            self._ensure_own(own, known.get(name), wanted)
        elif name not in known:
            raise StorageRefused(
                f"LXD has no storage pool {name}: make it (lxc storage create {name} …), name "
                "another as lxd.pool, or set runner-storage",
                Cause.LXD_INCOMPLETE,
            )
        elif not known[name].available:
            raise StorageRefused(f"LXD says that storage pool {name} is unavailable")
        warnings = [*self._enforcement(known.get(name)), *self._retire(known)]
        used, total = self.lxd.pool_space(name)
        if used > _NEARLY_FULL * total:
            full = f"{sizes.in_words(used)} of {sizes.in_words(total)} are used"
            warnings.append(f"storage pool {name} is nearly full: {full}")
        return PoolReady(name, wanted, (used, total), tuple(warnings))

    def _ensure_own(self, own: OwnPool, found: Resource | None, wanted: int) -> None:
        record = Record(found.config, found.available, found.used_by) if found else None
        if record is None and file_systems.image_bytes(own):
            self._refuse_if_there(own)
        moves = storage.moves(
            own,
            record,
            mounted=file_systems.mounted_bytes(own),
            image=file_systems.image_bytes(own),
            wanted=wanted,
        )
        if moves and not file_systems.may_mount():
            wish = " and ".join(move.order for move in moves)
            raise _Asked(self._ask(f"{wish} storage pool {own.name}"))
        for move in moves:
            if move is Move.MOUNT:
                file_systems.mount(own)
            elif move is Move.GROW:
                file_systems.grow(own, wanted)
            else:
                self._remake(own, record, wanted)
            logger.info("storage pool {} has been {}", own.name, move.value)

    def _ask(self, wish: str) -> str:
        """Ask who may mount; say for what, or why it could not be done when it was asked last."""
        file_systems.ask(storage.request(self.config), wish)
        if why := file_systems.complained(storage.complaint(self.config)):
            raise StorageError(f"{_UNIT} could not {wish}: {why}")
        return f"waits for {_UNIT} to {wish}"

    def _refuse_if_there(self, own: OwnPool) -> None:
        """Believe no list that lacks the pool: what is made anew is removed first."""
        try:
            self.lxd.pool_space(own.name)
        except NotFound:
            return
        raise StorageRefused(f"LXD lists no storage pool {own.name}, and says that it has one")

    def _remake(self, own: OwnPool, record: Record | None, wanted: int) -> None:
        if record:
            self._empty(own, record)
            self.lxd.delete_pool(own.name)
        self._ensure_driver()
        file_systems.make(own, wanted)
        config = {**own.marks(), "source": str(own.mounted)}
        self.lxd.ensure_pool(own.name, "btrfs", config)

    def _empty(self, own: OwnPool, record: Record) -> None:
        """Delete the instances of ours that the pool's end has killed, and nothing else."""
        project = self.lxd.endpoint.project
        dead = {
            storage.instance_address(instance.name, project): instance.name
            for instance in self.lxd.instances()
            if _is_ours(own, instance)
            and not marks.read(instance.status, instance.config).seen.running
        }
        if alien := [user for user in record.users() if user not in dead]:
            raise StorageRefused(
                f"LXD says that storage pool {own.name} is unavailable, and it is in use: delete "
                f"what uses it ({', '.join(alien)})"
            )
        for user in record.users():
            self.lxd.delete(dead[user], limit_s=_REMOVAL_LIMIT_S)

    def _ensure_driver(self) -> None:
        if "btrfs" not in self.lxd.server().storage_drivers:
            raise StorageRefused(
                "LXD makes no btrfs pools: install btrfs-progs, then restart LXD "
                "(systemctl restart lxd)"
            )

    def _enforcement(self, found: Resource | None) -> list[str]:
        is_loose = found is not None and found.driver == "dir"
        if not is_loose or self.config.lxd.instance_type != "container":
            return []
        pool = self.config.lxd.pool
        return [
            (
                f"storage pool {pool} is of LXD's driver dir, which does not enforce vm-disk: a "
                "job can fill the disk of all; set runner-storage, or take a pool of btrfs or zfs"
            )
        ]

    def _retire(self, known: Mapping[str, Resource]) -> list[str]:
        """Remove pools that were made for earlier settings, as soon as nobody uses them.

        Returns:
            A sentence for each that is not removed yet.
        """
        config = self.config
        marked = file_systems.noted(storage.homes(config))
        marked.update({pool.name: dict(pool.config) for pool in known.values()})
        found = [storage.recognise(config, name, marked[name]) for name in sorted(marked)]
        left = []
        for old in found:
            if old is None or old.name == storage.pool_name(config):
                continue
            pool = known.get(old.name)
            if pool and Record(pool.config, pool.available, pool.used_by).users():
                left.append(f"storage pool {old.name} is of earlier settings, and still in use")
                continue
            try:
                if not file_systems.may_mount():
                    left.append(self._ask(f"remove storage pool {old.name} of earlier settings"))
                    continue
                logger.info("storage pool {} is of earlier settings: removing it", old.name)
                self.lxd.delete_pool(old.name)
                file_systems.discard(old)
            except (LxdError, StorageError) as error:
                left.append(f"storage pool {old.name} is of earlier settings: {error}")
        return left


def _is_ours(own: OwnPool, instance: Instance) -> bool:
    """Tell whether an instance is a runner's, or one that an image was built or tried in."""
    of_runner = marks.are_of(own.installation, instance.config)
    return of_runner or marks.is_builder_of(own.installation, instance.config)
