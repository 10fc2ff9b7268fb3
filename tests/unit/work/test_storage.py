from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.causes import Cause
from supervisor.config import Config, ConfigError, parse
from supervisor.gateways import storage as file_systems
from supervisor.gateways.lxd import Instance, LxdError, LxdUnavailable, Resource, ServerInfo
from supervisor.host import storage
from supervisor.host.storage import Record, StorageRefused
from supervisor.runners import marks
from supervisor.work import storage as storage_work
from supervisor.work.storage import PoolFailed, PoolReady, StorageWork

_GIB = 2**30


class FakeLxd:
    """LXD's pools, in a list."""

    def __init__(self, *pools: Resource, drivers: tuple[str, ...] = ("dir",)) -> None:
        self.pools = list(pools)
        self.drivers = drivers
        self.space = (_GIB, 10 * _GIB)
        self.error: LxdError | None = None

    def resources(self, kind: str) -> list[Resource]:
        assert kind == "storage-pools"
        if self.error:
            raise self.error
        return self.pools

    def pool_space(self, _name: str) -> tuple[int, int]:
        return self.space

    def server(self) -> ServerInfo:
        return ServerInfo("5.0.2", frozenset(), True, True, 1, False, "nftables", self.drivers)  # noqa: FBT003


class DeadPool:
    """An LXD with one instance, whose pool the end of the host has killed."""

    def __init__(self, dead: Instance) -> None:
        self.endpoint = SimpleNamespace(project="default")
        self.dead = dead
        self.deleted: list[str] = []

    def instances(self) -> list[Instance]:
        return [self.dead]

    def delete(self, name: str, *, limit_s: float) -> None:
        self.deleted.append(name)


def pool(name: str = "default", driver: str = "zfs", **more: Any) -> Resource:
    return Resource("storage-pools", name, {}, (), driver, **more)


def config(tmp_path: Path, **given: Any) -> Config:
    keys = {key.replace("_", "-"): value for key, value in given.items()}
    minimum = {"name": "fleet", "path": "acme", "token": "s", "state-directory": str(tmp_path)}
    return parse({**minimum, **keys}, "x")


def ensure(lxd: Any, configured: Config) -> PoolReady | PoolFailed:
    return StorageWork(lxd, configured).ensure()


def reason(lxd: FakeLxd, configured: Config) -> str:
    found = ensure(lxd, configured)
    assert isinstance(found, PoolFailed)
    assert not found.outage
    return found.reason


def test_a_pool_of_lxds_is_taken_as_it_is(tmp_path: Path) -> None:
    lxd = FakeLxd(pool("other"), pool("fast"))
    assert ensure(lxd, config(tmp_path, lxd={"pool": "fast"})) == PoolReady("fast", 0, lxd.space)


def test_a_pool_that_lxd_has_not_is_said_with_what_to_do(tmp_path: Path) -> None:
    said = reason(FakeLxd(pool("other")), config(tmp_path))
    assert said.startswith("LXD has no storage pool default: make it (lxc storage create default")


def test_a_pool_that_lxd_can_not_use_is_said(tmp_path: Path) -> None:
    said = reason(FakeLxd(pool(available=False)), config(tmp_path))
    assert said == "LXD says that storage pool default is unavailable"


def test_an_outage_of_lxd_is_told_from_a_failure(tmp_path: Path) -> None:
    lxd = FakeLxd()
    lxd.error = LxdUnavailable("LXD is not running")
    outage = PoolFailed("LXD is not running", Cause.LXD_UNAVAILABLE, outage=True)
    assert ensure(lxd, config(tmp_path)) == outage


@pytest.mark.parametrize(
    ("driver", "type_", "warned"),
    [
        ("dir", "container", True),
        ("dir", "virtual-machine", False),
        ("btrfs", "container", False),
    ],
)
def test_where_lxd_does_not_enforce_the_disks_size_it_is_warned_of(
    tmp_path: Path, driver: str, type_: str, warned: bool
) -> None:
    configured = config(tmp_path, lxd={"instance-type": type_})
    found = ensure(FakeLxd(pool(driver=driver)), configured)
    assert isinstance(found, PoolReady)
    assert ["does not enforce vm-disk" in warning for warning in found.warnings] == [True] * warned


def test_a_pool_that_is_nearly_full_is_warned_of(tmp_path: Path) -> None:
    lxd = FakeLxd(pool())
    lxd.space = (96, 100)
    found = ensure(lxd, config(tmp_path))
    assert isinstance(found, PoolReady)
    assert "storage pool default is nearly full" in found.warnings[0]


@pytest.mark.parametrize(
    ("mark", "is_ours"),
    [
        ({f"{marks.PREFIX}installation": "fleet"}, True),
        (marks.of_builder("fleet"), True),
        (marks.of_builder("other"), False),
        ({}, False),
    ],
)
def test_of_a_dead_pool_only_runners_and_builders_of_ours_are_deleted(
    tmp_path: Path, mark: dict[str, str], is_ours: bool
) -> None:
    own = storage.own_pool(config(tmp_path, runner_storage="memory"))
    assert own
    made = datetime(2030, 1, 1, tzinfo=timezone.utc)
    dead = Instance("one", "Stopped", "container", ephemeral=True, created_at=made, config=mark)
    lxd = DeadPool(dead)
    record = Record({}, False, ("/1.0/instances/one",))  # noqa: FBT003
    work = StorageWork(lxd, config(tmp_path))  # type: ignore[arg-type]
    if is_ours:
        work._empty(own, record)
        assert lxd.deleted == ["one"]
    else:
        with pytest.raises(StorageRefused, match="delete what uses it"):
            work._empty(own, record)
        assert lxd.deleted == []


def test_an_lxd_that_knows_no_btrfs_is_said_before_anything_is_mounted(tmp_path: Path) -> None:
    said = reason(FakeLxd(), config(tmp_path, runner_storage="memory"))
    assert said.startswith("LXD makes no btrfs pools: install btrfs-progs, then restart LXD")
    assert list(tmp_path.iterdir()) == []


def test_what_the_host_has_not_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    storage_work.check(config(tmp_path, vm_disk="1EiB"))
    with pytest.raises(ConfigError, match=r"^runner-storage: 1 runners need .* of memory"):
        storage_work.check(config(tmp_path, vm_disk="1EiB", runner_storage="memory"))
    with pytest.raises(ConfigError, match=f"^runner-storage: {tmp_path}/none can't be used: No "):
        storage_work.check(config(tmp_path, runner_storage=f"{tmp_path}/none"))


def test_a_directory_in_others_hands_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match=r"^runner-storage: runners' disks would be in others'"):
        storage_work.check(config(tmp_path, runner_storage=str(tmp_path)))


# A daemon that may not mount.


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_systems, "may_mount", lambda: False)


_UNIT = "github-runner-supervisor-storage.service"


def wish(configured: Config) -> str:
    path = storage.request(configured)
    return path.read_text() if path.exists() else ""


def state(tmp_path: Path, **given: Any) -> Config:
    """Give a configuration whose state directory is there, with room for others beside it."""
    directory = tmp_path / "state"
    directory.mkdir(exist_ok=True)
    return config(directory, **given)


def test_who_may_not_mount_asks_for_it_and_makes_nothing(
    tmp_path: Path, unprivileged: None
) -> None:
    configured = state(tmp_path, runner_storage="memory")
    asked = f"waits for {_UNIT} to make storage pool fleet-memory"
    assert ensure(FakeLxd(), configured) == PoolFailed(asked, asked=True)
    assert wish(configured) == "make storage pool fleet-memory\n"
    storage.request(configured).unlink()
    ensure(FakeLxd(), configured)
    assert wish(configured)


def test_who_may_not_mount_asks_for_what_is_to_be_done_in_its_order(
    tmp_path: Path, unprivileged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = state(tmp_path, runner_storage="memory")
    own = storage.own_pool(configured)
    assert own
    made = Resource(
        "storage-pools", own.name, {**own.marks(), "source": str(own.mounted)}, (), "btrfs"
    )
    monkeypatch.setattr(file_systems, "image_bytes", lambda _own: 1)
    found = ensure(FakeLxd(made), configured)
    wanted = f"waits for {_UNIT} to mount and enlarge storage pool fleet-memory"
    assert found == PoolFailed(wanted, asked=True)


def test_who_may_not_mount_asks_for_nothing_where_all_is_there(
    tmp_path: Path, unprivileged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = state(tmp_path, runner_storage="memory")
    own = storage.own_pool(configured)
    assert own
    made = Resource(
        "storage-pools", own.name, {**own.marks(), "source": str(own.mounted)}, (), "btrfs"
    )
    monkeypatch.setattr(file_systems, "mounted_bytes", lambda _own: 2**50)
    assert isinstance(ensure(FakeLxd(made), configured), PoolReady)
    assert wish(configured) == ""


def test_an_earlier_pool_is_roots_to_remove_when_nobody_uses_it(
    tmp_path: Path, unprivileged: None
) -> None:
    own = storage.own_pool(state(tmp_path, runner_storage="memory"))
    assert own
    configured = state(tmp_path)
    old = Resource("storage-pools", own.name, own.marks(), ("/1.0/instances/busy",), "btrfs")
    found = ensure(FakeLxd(pool(), old), configured)
    assert isinstance(found, PoolReady)
    assert "still in use" in found.warnings[0]
    assert wish(configured) == ""
    old = Resource("storage-pools", own.name, own.marks(), (), "btrfs")
    found = ensure(FakeLxd(pool(), old), configured)
    assert isinstance(found, PoolReady)
    waits = f"waits for {_UNIT} to remove storage pool fleet-memory of earlier settings"
    assert found.warnings == (waits,)
    assert wish(configured)


def test_why_root_could_not_do_it_is_said_until_it_could(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = state(tmp_path, runner_storage="memory")
    failed = StorageWork(FakeLxd(), configured).prepare()  # type: ignore[arg-type]
    assert isinstance(failed, PoolFailed)
    with monkeypatch.context() as other:
        other.setattr(file_systems, "may_mount", lambda: False)
        why = f"{_UNIT} could not make storage pool fleet-memory: {failed.reason}"
        assert ensure(FakeLxd(), configured) == PoolFailed(why)
        assert wish(configured)
    settled = state(tmp_path)
    assert isinstance(StorageWork(FakeLxd(pool()), settled).prepare(), PoolReady)  # type: ignore[arg-type]
    assert not storage.complaint(configured).exists()


def test_only_root_prepares_storage(tmp_path: Path, unprivileged: None) -> None:
    configured = state(tmp_path, runner_storage="memory")
    found = StorageWork(FakeLxd(), configured).prepare()  # type: ignore[arg-type]
    assert found == PoolFailed("only root may mount file systems for storage pools")
    assert wish(configured) == ""


def test_a_wish_that_can_not_be_written_is_said(tmp_path: Path, unprivileged: None) -> None:
    configured = config(tmp_path / "none", runner_storage="memory")
    said = reason(FakeLxd(), configured)
    assert said == f"could not write {tmp_path}/none/storage-wanted: No such file or directory"
