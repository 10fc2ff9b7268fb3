"""The LXD daemon itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervisor.gateways.lxd._connection import Connection
from supervisor.gateways.lxd._errors import LxdError


@dataclass(frozen=True)
class ServerInfo:
    """What LXD says of itself.

    Attributes:
        version: Such as `5.0.2`.
        api_extensions: Names of what its API can do beyond 1.0.
        containers: Whether it can run containers.
        virtual_machines: Whether it can run virtual machines; without KVM and vhost_vsock not.
        pid: The daemon's process.
        clustered: Whether it is a member of a cluster.
        firewall: What it filters with: `nftables` or `xtables`.
        storage_drivers: The kinds of pools it can make.
    """

    version: str
    api_extensions: frozenset[str] = field(repr=False)
    containers: bool
    virtual_machines: bool
    pid: int
    clustered: bool
    firewall: str
    storage_drivers: tuple[str, ...]


class Server(Connection):
    """The call about the daemon."""

    def server(self) -> ServerInfo:
        """Ask LXD about itself.

        Raises:
            Refused: LXD doesn't trust the caller.
            LxdError: It can't be asked.
        """
        found = self._call("ask LXD about itself", "get").metadata
        try:
            environment = found["environment"]
            drivers = {name.strip() for name in environment["driver"].split("|")}
            return ServerInfo(
                version=environment["server_version"],
                api_extensions=frozenset(found["api_extensions"]),
                containers="lxc" in drivers,
                virtual_machines="qemu" in drivers,
                pid=environment["server_pid"],
                clustered=bool(environment.get("server_clustered")),
                firewall=environment.get("firewall", ""),
                storage_drivers=tuple(
                    driver["Name"] for driver in environment.get("storage_supported_drivers") or ()
                ),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise LxdError("LXD describes itself in an unknown way, or denies access") from error
