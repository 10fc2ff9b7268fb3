"""What instances need in LXD: projects, pools, networks, profiles."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import TYPE_CHECKING, Any, Literal

from supervisor.gateways.lxd._connection import Connection
from supervisor.gateways.lxd._errors import AlreadyExists, LxdError, NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["projects", "storage-pools", "networks", "profiles"]

_NOUNS: dict[str, str] = {
    "projects": "project",
    "storage-pools": "storage pool",
    "networks": "network",
    "profiles": "profile",
}
# Most things take a second; a storage pool may have to be formatted.
_LIMIT_S = 300.0


@dataclass(frozen=True)
class Resource:
    """Something that instances use.

    Attributes:
        kind: As in LXD's addresses.
        name: Unique within its kind and project.
        config: Its configuration; keys that start with `user.` may mark its owner.
        used_by: Addresses of what uses it; what is used can't be deleted.
        driver: What a storage pool is made with, such as `btrfs`.
        available: Whether it can be used now: LXD could not mount a pool that is not.
    """

    kind: Kind
    name: str
    config: Mapping[str, str]
    used_by: tuple[str, ...]
    driver: str = ""
    available: bool = True


class Resources(Connection):
    """The calls about what instances need; all block, any thread may make them.

    Each `ensure` makes what is missing and leaves what is there as it is, whatever its
    configuration; it returns whether it made it. Each `delete` returns whether there was one.
    """

    def resources(self, kind: Kind) -> list[Resource]:
        """List all of a kind that the project can see.

        Raises:
            LxdError: The list can't be had.
        """
        aim = f"list the {_NOUNS[kind]}s"
        answer = self._call(aim, "get", kind, params={"recursion": 1})
        try:
            return [
                Resource(
                    kind=kind,
                    name=entry["name"],
                    config=dict(entry.get("config") or {}),
                    used_by=tuple(entry.get("used_by") or ()),
                    driver=entry.get("driver", ""),
                    available=entry.get("status", "Created") == "Created",
                )
                for entry in answer.metadata
            ]
        except (KeyError, TypeError) as error:
            raise LxdError(f"could not {aim}: LXD describes them in an unknown way") from error

    def ensure_project(self, name: str, config: Mapping[str, str] | None = None) -> bool:
        """Make a project with images and profiles of its own, unless it is there.

        Raises:
            LxdError: It can't be made.
        """
        return self._ensure("projects", name, {"config": dict(config or {})})

    def ensure_pool(
        self, name: str, driver: str = "dir", config: Mapping[str, str] | None = None
    ) -> bool:
        """Make a storage pool, unless it is there.

        Raises:
            LxdError: It can't be made.
        """
        return self._ensure("storage-pools", name, {"driver": driver, "config": dict(config or {})})

    def pool_space(self, name: str) -> tuple[int, int]:
        """Say how much of a storage pool is used, and how large it is, in bytes.

        Raises:
            NotFound: There is no such pool.
            LxdError: LXD can't be asked.
        """
        aim = f"ask how full storage pool {name} is"
        found = self._call(aim, "get", "storage-pools", name, "resources").metadata
        try:
            space = found["space"]
            # LXD leaves a nothing out, such as in a pool that nobody has used yet.
            return int(space.get("used", 0)), int(space["total"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise LxdError(f"could not {aim}: LXD says it in an unknown way") from error

    def grow_pool(self, name: str, size: str) -> None:
        """Make a pool larger that LXD has made in a file of its own.

        Args:
            name: its name.
            size: how large, such as `50GiB`.

        Raises:
            LxdError: It can't be, as by a LXD without the API extension
                `storage_pool_loop_resize`.
        """
        aim = f"make storage pool {name} larger"
        answer = self._call(aim, "patch", "storage-pools", name, json={"config": {"size": size}})
        self._finish(aim, answer, limit_s=_LIMIT_S)

    def ensure_network(self, name: str, config: Mapping[str, str] | None = None) -> bool:
        """Make a bridge, unless it is there; its name is that of an interface: 15 characters.

        Raises:
            LxdError: It can't be made.
        """
        return self._ensure("networks", name, {"type": "bridge", "config": dict(config or {})})

    def ensure_profile(
        self,
        name: str,
        config: Mapping[str, str] | None = None,
        devices: Mapping[str, Mapping[str, str]] | None = None,
    ) -> bool:
        """Make a profile, unless it is there.

        Raises:
            LxdError: It can't be made.
        """
        own = {key: dict(device) for key, device in (devices or {}).items()}
        return self._ensure("profiles", name, {"config": dict(config or {}), "devices": own})

    def delete_project(self, name: str) -> bool:
        """Delete an empty project.

        Raises:
            Refused: Something is in it.
        """
        return self._delete_resource("projects", name)

    def delete_pool(self, name: str) -> bool:
        """Delete a storage pool.

        Raises:
            Refused: Something uses it.
        """
        return self._delete_resource("storage-pools", name)

    def delete_network(self, name: str) -> bool:
        """Delete a network.

        Raises:
            Refused: Something uses it.
        """
        return self._delete_resource("networks", name)

    def delete_profile(self, name: str) -> bool:
        """Delete a profile.

        Raises:
            Refused: Something uses it.
        """
        return self._delete_resource("profiles", name)

    def bridge_address(self, network: str) -> IPv4Interface:
        """Return the IPv4 address that the host has on a bridge: guests reach the host there.

        Raises:
            NotFound: There is no such network.
            Refused: It has no IPv4 address.
            LxdError: LXD can't be asked.
        """
        aim = f"find the host's address on network {network}"
        try:
            found = self._call(aim, "get", "networks", network).metadata
        except NotFound as error:
            raise NotFound(
                f"{error}; make it (lxc network create {network}) or name another as lxd.network",
                error.cause,
            ) from error
        try:
            address = (found.get("config") or {}).get("ipv4.address", "")
            if not address and not found.get("managed"):
                address = self._interface_address(aim, network)
        except (AttributeError, KeyError, TypeError) as error:
            raise LxdError(f"could not {aim}: LXD describes it in an unknown way") from error
        try:
            return IPv4Interface(address)
        except ValueError as error:
            raise Refused(
                f"could not {aim}: it has no IPv4 address"
                + (f" ({address})" if address else "")
                + f"; set one (lxc network set {network} ipv4.address=auto) or set signals.address"
            ) from error

    def bridge_addresses(self, network: str) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """Return all addresses, with their networks, that LXD gives the host on its own bridge.

        Raises:
            NotFound: There is no such network.
            Refused: It is no bridge of LXD's, or has no address.
            LxdError: LXD can't be asked.
        """
        aim = f"find the addresses of network {network}"
        try:
            found = self._call(aim, "get", "networks", network).metadata
        except NotFound as error:
            raise NotFound(
                f"{error}; make it (lxc network create {network}) or name another as lxd.network",
                error.cause,
            ) from error
        try:
            is_ours = found.get("type") == "bridge" and found.get("managed")
            config = found.get("config") or {}
            given = [config.get(key, "") for key in ("ipv4.address", "ipv6.address")]
        except (AttributeError, TypeError) as error:
            raise LxdError(f"could not {aim}: LXD describes it in an unknown way") from error
        if not is_ours:
            raise Refused(
                f"could not {aim}: it is no bridge that LXD manages; name one as lxd.network (lxc "
                "network list shows them), or set firewall: external"
            )
        try:
            addresses = tuple(ip_interface(one) for one in given if one not in {"", "none"})
        except ValueError as error:
            raise LxdError(f"could not {aim}: {error}") from error
        if not addresses:
            raise Refused(
                f"could not {aim}: it has none; set one "
                f"(lxc network set {network} ipv4.address=auto)"
            )
        return addresses

    def _interface_address(self, aim: str, network: str) -> str:
        """Read the address of a bridge that is the machine's own: LXD has no settings of it."""
        state: Any = self._call(aim, "get", "networks", network, "state").metadata
        for entry in state.get("addresses") or ():
            if entry.get("family") == "inet" and entry.get("scope") == "global":
                return f"{entry['address']}/{entry['netmask']}"
        return ""

    def _ensure(self, kind: Kind, name: str, body: Mapping[str, Any]) -> bool:
        aim = f"make {_NOUNS[kind]} {name}"
        try:
            self._call(aim, "get", kind, name)
        except NotFound:
            pass
        else:
            return False
        try:
            answer = self._call(aim, "post", kind, json={"name": name, **body})
            self._finish(aim, answer, limit_s=_LIMIT_S)
        except AlreadyExists:
            # Somebody else made it in this moment; or it is another thing that is taken, such
            # as the directory of a pool.
            self._call(aim, "get", kind, name)
            return False
        return True

    def _delete_resource(self, kind: Kind, name: str) -> bool:
        aim = f"delete {_NOUNS[kind]} {name}"
        try:
            answer = self._call(aim, "delete", kind, name)
            self._finish(aim, answer, limit_s=_LIMIT_S)
        except NotFound:
            return False
        return True
