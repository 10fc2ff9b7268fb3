"""The work of making what the daemon needs in LXD: blocks, and makes what is missing, nothing else.

It may be killed at any point, and run again: what LXD makes it makes whole, with its mark.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from secrets import randbelow
from typing import TYPE_CHECKING

from supervisor.firewall.names import installations
from supervisor.gateways import routes
from supervisor.gateways import storage as file_systems
from supervisor.gateways.lxd import Lxd, OperationFailed
from supervisor.gateways.nftables import Nftables, NftablesError
from supervisor.host import preparation
from supervisor.host.storage import fleet_bytes
from supervisor.text.sizes import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from supervisor.config import Config
    from supervisor.gateways.lxd import LxdEndpoint, Resource

_GROWS = "storage_pool_loop_resize"
_NONE_FREE = "unused IPv4 subnet"


@dataclass(frozen=True)
class PreparationWork:
    """What is done for one configuration.

    Attributes:
        endpoint: where LXD is, with the installation's project.
        config: the installation's.
        nftables: says who guards which bridge.
        say: told of each thing that was made.
    """

    endpoint: LxdEndpoint
    config: Config
    nftables: Nftables
    say: Callable[[str], object]

    def prepare(self) -> None:
        """Make project, pool, bridge and profile, where they are missing.

        Another's bridge, and disks that would not fit, are refused before anything is made.

        Raises:
            PreparationRefused: it can't be made as it is configured.
            LxdError: LXD does not do it.
            StorageError: LXD's disk can't be looked at.
            OSError: the kernel's routes can't.
        """
        lxd = Lxd(replace(self.endpoint, project="default"))
        pools = {one.name: one for one in lxd.resources("storage-pools")}
        bridges = {one.name: one.config for one in lxd.resources("networks")}
        bridge = bridges.get(self.config.lxd.network, {})
        preparation.refuse_bridge(self.config, bridge, self._guards())
        make_pool = self._pool(lxd, pools.get(self.config.lxd.pool))
        self._project(lxd)
        make_pool()
        self._bridge(lxd)
        self._profile()

    def _guards(self) -> list[str]:
        """Say which installations guard the bridge, as far as this user may know."""
        try:
            return installations(self.nftables.tables_with_chains(), self.config.lxd.network)
        except NftablesError:
            return []  # whoever starts the daemon is root, and refuses it then

    def _project(self, lxd: Lxd) -> None:
        name = self.endpoint.project
        if lxd.ensure_project(name, self._mark()):
            self.say(f"made project {name}")

    def _pool(self, lxd: Lxd, found: Resource | None) -> Callable[[], None]:
        """Decide what is to be done about the pool, and return that as a call."""
        config, name = self.config, self.config.lxd.pool
        if config.runner_storage != "pool":
            return _nothing
        if found is None:
            return self._new_pool(lxd)
        if not preparation.has_size(config, found.config):
            return _nothing
        used, total = lxd.pool_space(name)
        if total >= fleet_bytes(config):
            return _nothing
        if _GROWS not in lxd.server().api_extensions:
            # It would note another size, and leave the pool as it is.
            raise preparation.refuse_growth(config, total)
        preparation.refuse_pool(config, self._free() + used)

        def grow() -> None:
            lxd.grow_pool(name, preparation.pool_size(config))
            self.say(f"made storage pool {name} larger: {in_words(fleet_bytes(config))}")

        return grow

    def _new_pool(self, lxd: Lxd) -> Callable[[], None]:
        config, name = self.config, self.config.lxd.pool
        preparation.refuse_pool(config, self._free())
        drivers = lxd.server().storage_drivers
        driver = preparation.pool_driver(drivers, can_mount=file_systems.root_may_mount())

        def make() -> None:
            if lxd.ensure_pool(name, driver, preparation.pool(config, driver)):
                size = f", {in_words(fleet_bytes(config))}" if driver == "btrfs" else ""
                self.say(f"made storage pool {name} ({driver}{size})")

        return make

    def _free(self) -> int:
        return file_systems.free_bytes(self.endpoint.find_socket().parent)

    def _bridge(self, lxd: Lxd) -> None:
        name = self.config.lxd.network
        if self._ensure_bridge(lxd, name):
            self.say(f"made bridge {name} ({lxd.bridge_address(name)})")

    def _ensure_bridge(self, lxd: Lxd, name: str) -> bool:
        if preparation.fits_usual_bridge(self.config):
            try:
                return lxd.ensure_network(name, preparation.bridge(self.config.name, "auto"))
            except OperationFailed as error:
                # LXD asks whether there is somebody, and some surroundings answer for everybody.
                if _NONE_FREE not in str(error):
                    raise
        address = preparation.free_network(self.config, routes.routed(), randbelow(2**32))
        return lxd.ensure_network(name, preparation.bridge(self.config.name, str(address)))

    def _profile(self) -> None:
        """Make a profile with nothing in it: an interface of its own would be unguarded."""
        name = self.config.lxd.profile
        if Lxd(self.endpoint).ensure_profile(name, self._mark()):
            self.say(f"made profile {name}")

    def _mark(self) -> Mapping[str, str]:
        return preparation.mark(self.config.name)


def _nothing() -> None:
    """Leave a pool as it is."""
