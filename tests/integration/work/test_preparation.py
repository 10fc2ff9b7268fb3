"""What the daemon needs is made in a real LXD, which may be fresh; nobody else's is touched."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.namespaces import namespace
from sandbox.private_lxd import fresh_lxd
from supervisor.config import Config, parse
from supervisor.firewall.names import table_name
from supervisor.gateways.lxd import Lxd, LxdEndpoint, LxdUnavailable
from supervisor.gateways.nftables import Nftables
from supervisor.host import storage
from supervisor.host.preparation import PreparationRefused
from supervisor.work import preparation as preparation_work
from supervisor.work.preparation import PreparationWork

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.lxd_daemon import LxdDaemon

_KINDS = ("projects", "storage-pools", "networks")


@dataclass
class Host:
    """A LXD and a packet filter, and what an installation is configured to use of them."""

    daemon: LxdDaemon
    nftables: Nftables
    given: dict[str, Any]

    def configure(self, **changes: Any) -> None:
        lxd = {**self.given["lxd"], **changes.pop("lxd", {})}
        self.given |= {name.replace("_", "-"): value for name, value in changes.items()}
        self.given["lxd"] = lxd

    @property
    def config(self) -> Config:
        return parse(self.given, "test")

    @property
    def lxd(self) -> Lxd:
        """The gateway, with no project of ours."""
        return Lxd(LxdEndpoint(self.daemon.socket))

    @property
    def ours(self) -> Lxd:
        """The gateway, with our project."""
        return Lxd(LxdEndpoint(self.daemon.socket, self.given["lxd"]["project"]))

    def prepare(self) -> list[str]:
        """Prepare, and return what was said to be made."""
        said: list[str] = []
        PreparationWork(self.ours.endpoint, self.config, self.nftables, said.append).prepare()
        return said

    def everything(self) -> dict[str, dict[str, Any]]:
        """Return the configuration of all that there is."""
        found = {kind: self.lxd.resources(kind) for kind in _KINDS}
        return {
            kind: {one.name: dict(one.config) for one in all_ if one.config}
            for kind, all_ in found.items()
        }


@pytest.fixture(scope="module")
def daemon() -> Iterator[LxdDaemon]:
    with fresh_lxd() as made:
        yield made


@pytest.fixture
def host(daemon: LxdDaemon, tmp_path: Path) -> Iterator[Host]:
    """A LXD that was never initialised."""
    bridge = f"gr{secrets.token_hex(4)}"
    config = {
        "name": "ours",
        "path": "acme",
        "token": "s",
        "virtual-machines": 2,
        "vm-disk": "64MiB",
        "state-directory": str(tmp_path),
        "lxd": {
            "socket": str(daemon.socket),
            "project": "github-runners",
            "pool": "github-runners",
            "network": bridge,
            "profile": "github-runners",
            "image": "github-runner",
        },
    }
    with namespace() as there:
        made = Host(daemon, Nftables((*there.prefix, "nft")), config)
        yield made
        daemon.start()
        everywhere, ours = made.lxd, made.ours
        if any(one.name == "github-runners" for one in everywhere.resources("projects")):
            ours.delete_profile("github-runners")
            everywhere.delete_project("github-runners")
        everywhere.delete_network(bridge)
        for pool in everywhere.resources("storage-pools"):
            everywhere.delete_pool(pool.name)


def test_all_that_is_missing_is_made_once_in_a_fresh_lxd(host: Host) -> None:
    bridge = host.given["lxd"]["network"]
    said = host.prepare()
    assert said[0] == "made project github-runners"
    assert said[1].startswith("made storage pool github-runners (btrfs, ")
    assert said[2].startswith(f"made bridge {bridge} (")
    assert said[3] == "made profile github-runners"
    assert host.prepare() == []


def test_what_is_made_says_for_whom(host: Host) -> None:
    host.prepare()
    mark = {"user.supervisor.prepared-for": "ours"}.items()
    found = host.everything()
    for kind, name in zip(_KINDS, ("project", "pool", "network"), strict=True):
        assert mark <= found[kind][host.given["lxd"][name]].items()
    (profile,) = [one for one in host.ours.resources("profiles") if one.name == "github-runners"]
    assert mark <= profile.config.items()


def test_the_bridge_has_addresses_for_ipv4_alone_and_leads_out(host: Host) -> None:
    host.prepare()
    bridge = host.given["lxd"]["network"]
    (address,) = host.lxd.bridge_addresses(bridge)
    assert address.version == 4
    config = host.everything()["networks"][bridge]
    assert config["ipv4.nat"] == "true"
    assert config.get("ipv4.dhcp", "true") == "true"


def test_the_pool_is_as_large_as_the_fleet_may_need(host: Host) -> None:
    host.prepare()
    wanted = 3 * (64 + 128)
    total = host.lxd.pool_space("github-runners")[1]
    assert total > wanted * 2**20


def test_a_pool_of_the_daemons_own_is_not_made_here(host: Host) -> None:
    host.configure(runner_storage="memory")
    assert not any("pool" in line for line in host.prepare())
    assert host.lxd.resources("storage-pools") == []


def test_others_things_of_these_names_are_used_as_they_are(host: Host) -> None:
    bridge = host.given["lxd"]["network"]
    host.lxd.ensure_project("github-runners")
    host.lxd.ensure_pool("github-runners", "dir")
    host.lxd.ensure_network(bridge, {"ipv4.address": "none", "ipv6.address": "none"})
    host.ours.ensure_profile("github-runners", {"user.whose": "theirs"})
    before = host.everything()
    assert host.prepare() == []
    assert host.everything() == before


def test_a_bridge_that_was_made_for_another_installation_is_refused(host: Host) -> None:
    host.prepare()
    before = host.everything()
    host.configure(name="theirs")
    with pytest.raises(PreparationRefused, match="that of installation ours"):
        host.prepare()
    assert host.everything() == before


def test_a_bridge_that_another_installation_guards_is_refused_before_anything_is_made(
    host: Host,
) -> None:
    table = table_name("theirs", host.given["lxd"]["network"])
    host.nftables.apply(f"table inet {table} {{ chain guards {{ }}; }}")
    with pytest.raises(PreparationRefused, match="that of installation theirs"):
        host.prepare()
    assert [project.name for project in host.lxd.resources("projects")] == ["default"]


def test_what_does_not_fit_on_the_disk_is_refused_before_anything_is_made(host: Host) -> None:
    host.configure(vm_disk="1TiB")
    with pytest.raises(PreparationRefused, match=r"2 runners need 3\.2 TiB of disk"):
        host.prepare()
    assert [project.name for project in host.lxd.resources("projects")] == ["default"]


def test_a_pool_that_has_become_too_small_is_refused_by_a_lxd_that_makes_none_larger(
    host: Host,
) -> None:
    host.prepare()
    host.configure(virtual_machines=4)
    with pytest.raises(PreparationRefused, match="this LXD makes no pool larger"):
        host.prepare()


def test_a_pool_that_has_become_too_small_is_made_larger_by_a_lxd_that_can(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.prepare()
    server = replace(host.lxd.server(), api_extensions=frozenset({"storage_pool_loop_resize"}))
    grown: list[tuple[str, str]] = []
    monkeypatch.setattr(Lxd, "server", lambda _self: server)
    monkeypatch.setattr(Lxd, "grow_pool", lambda _self, *arguments: grown.append(arguments))
    host.configure(virtual_machines=4)
    said = host.prepare()
    assert grown == [("github-runners", f"{storage.fleet_bytes(host.config) >> 20}MiB")]
    assert said == ["made storage pool github-runners larger: 1.2 GiB"]


def test_a_fleet_that_needs_more_addresses_has_a_larger_network(host: Host) -> None:
    host.configure(virtual_machines=1000, runner_storage="memory")
    host.prepare()
    (address,) = host.lxd.bridge_addresses(host.given["lxd"]["network"])
    assert address.network.num_addresses == 2048


def test_within_a_container_the_pool_is_a_directory(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation_work.file_systems, "root_may_mount", lambda: False)
    assert "made storage pool github-runners (dir)" in host.prepare()


def test_what_an_interrupted_call_has_left_is_completed(host: Host) -> None:
    host.prepare()
    host.ours.delete_profile("github-runners")
    host.lxd.delete_network(host.given["lxd"]["network"])
    assert [line.split()[1] for line in host.prepare()] == ["bridge", "profile"]


def test_a_lxd_that_is_down_is_said(host: Host) -> None:
    host.daemon.kill()
    with pytest.raises(LxdUnavailable):
        host.prepare()
