"""Pools of our own on a real LXD: quotas hold, and the pool is made, found, grown and healed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.lxd_daemon import remove_leftovers
from sandbox.private_lxd import PrivateLxd, private_lxd
from supervisor.config import Config, parse
from supervisor.gateways import storage as file_systems
from supervisor.gateways.lxd import Lxd, LxdError
from supervisor.gateways.storage import StorageError
from supervisor.host import storage
from supervisor.runners import marks
from supervisor.runners.instances import InstanceTemplate, instance_request
from supervisor.work.storage import PoolFailed, PoolReady, StorageWork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisor.host.storage import OwnPool

_MIB = 2**20
_IDLE = "exec sleep 3600\n"


@pytest.fixture(scope="module")
def host() -> Iterator[PrivateLxd]:
    """A LXD whose machine can be "started anew": all its processes and mounts end."""
    with private_lxd() as made:
        yield made


def restart(host: PrivateLxd) -> None:
    """Do to LXD, its guests and our mounts what a power failure and a start do."""
    host.daemon.kill()
    remove_leftovers(host.daemon.directory)
    host.daemon.start()


@dataclass
class Storage:
    """One installation's storage. All its mounts are below LXD's directory, which cleans up.

    Attributes:
        host: its LXD.
        given: its configuration.
        lxd: the gateway to it.
        directory: where its state is.
        disk: a directory on a real disk.
    """

    host: PrivateLxd
    given: dict[str, Any]
    lxd: Lxd
    directory: Path
    disk: Path

    @property
    def config(self) -> Config:
        return parse(self.given, "test")

    @property
    def own(self) -> OwnPool:
        own = storage.own_pool(self.config)
        assert own
        return own

    def configure(self, **changes: Any) -> None:
        self.given.update({name.replace("_", "-"): value for name, value in changes.items()})

    def look(self) -> PoolReady | PoolFailed:
        return StorageWork(self.lxd, self.config).ensure()

    def ensure(self) -> PoolReady:
        found = self.look()
        assert isinstance(found, PoolReady), found
        return found

    def fail(self) -> str:
        found = self.look()
        assert isinstance(found, PoolFailed), found
        return found.reason

    def create(self, name: str, *, start: bool = True, installation: str = "ours") -> None:
        template = InstanceTemplate(
            type="container",
            image=str(self.lxd.image(self.host.image)),
            pool=storage.pool_name(self.config),
            network=self.host.network,
            profiles=(self.host.profile,),
            cpu=1,
            memory="256MiB",
            disk=self.config.vm_disk,
        )
        mark = {f"{marks.PREFIX}installation": installation}
        request = instance_request(template, name=name, user_data=_IDLE, metadata=mark)
        self.lxd.create(request, limit_s=60)
        if start:
            self.lxd.start(name, limit_s=60)

    def run(self, name: str, script: str) -> tuple[bool, str]:
        """Run something in a guest; say whether it succeeded, and what it complained of."""
        done = subprocess.run(
            ["lxc", "exec", f"--project={self.host.project}", name, "--", "sh", "-c", script],
            env={**os.environ, "LXD_DIR": str(self.host.daemon.directory)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode == 0, done.stderr

    def fill(self, name: str, mib: int) -> tuple[bool, str]:
        """Write so much into a guest."""
        return self.run(name, f"dd if=/dev/zero of=/fill bs=1M count={mib} && sync")

    def pools(self) -> set[str]:
        return {pool.name for pool in self.lxd.resources("storage-pools")}


@pytest.fixture(params=["memory", "path"])
def kept(request: pytest.FixtureRequest, host: PrivateLxd, tmp_path: Path) -> Iterator[Storage]:
    """Storage for two runners with small disks, in memory or in a directory; nothing is made."""
    directory = Path(tempfile.mkdtemp(dir=host.daemon.directory, prefix="ours-"))
    # Not in LXD's, which is in memory: there each page that is reserved must be written.
    disk = tmp_path / "disk"
    disk.mkdir()
    config = {
        "name": "ours",
        "path": "acme",
        "token": "s",
        "virtual-machines": 2,
        "vm-disk": "64MiB",
        "vm-memory": "256MiB",
        "runner-storage": "memory" if request.param == "memory" else str(disk),
        "state-directory": str(directory / "state"),
        "lxd": {
            "pool": host.pool,
            "project": host.project,
            "image": host.image,
            "instance-type": "container",
        },
    }
    made = Storage(host, config, Lxd(host.endpoint), directory, disk)
    yield made
    host.daemon.start()
    for instance in made.lxd.instances():
        made.lxd.delete(instance.name, limit_s=60)
    made.configure(runner_storage="pool")
    made.ensure()
    assert made.pools() == {host.pool}
    assert str(directory) not in Path("/proc/self/mountinfo").read_text()
    loops = subprocess.run(["losetup", "--all"], capture_output=True, text=True, check=True).stdout
    assert str(directory) not in loops
    assert list(disk.iterdir()) == []
    shutil.rmtree(directory)


def test_a_guest_that_fills_its_disk_hurts_nobody_else(kept: Storage) -> None:
    kept.ensure()
    kept.create("greedy")
    kept.create("modest")
    could, said = kept.fill("greedy", 500)
    assert not could
    assert "quota exceeded" in said.lower() or "no space" in said.lower()
    assert kept.fill("modest", 50)[0]


def test_who_asks_for_more_room_than_there_is_hurts_nobody_else(kept: Storage) -> None:
    total = kept.ensure().space[1]
    kept.create("greedy")
    kept.create("modest")
    pool = kept.host.daemon.directory / "storage-pools" / kept.own.name
    for place in (pool / "containers" / f"{kept.host.project}_greedy" / "rootfs", pool):
        with (place / "huge").open("wb") as file, pytest.raises(OSError, match=r"space|quota"):
            os.posix_fallocate(file.fileno(), 0, total)
    assert kept.run("modest", "for i in $(seq 500); do echo hello > /$i || exit; done") == (
        True,
        "",
    )
    assert kept.fill("modest", 50)[0]
    (pool / "huge").unlink()


def test_all_guests_can_fill_their_disks_at_the_same_time(kept: Storage) -> None:
    kept.configure(virtual_machines=4, vm_disk="100MiB")
    kept.ensure()
    names = [f"guest-{number}" for number in range(4)]
    for name in names:
        kept.create(name)
    with ThreadPoolExecutor(4) as writing:
        outcomes = list(writing.map(lambda name: kept.fill(name, 92), names))
    assert [could for could, _ in outcomes] == [True] * 4, outcomes
    with ThreadPoolExecutor(4) as writing:
        outcomes = list(writing.map(lambda name: kept.fill(name, 200), names))
    # Each meets the limit of its own disk, and none that of the pool.
    assert all("Disk quota exceeded" in said for _, said in outcomes), outcomes


def test_it_is_found_as_it_is_by_the_next_daemon(kept: Storage) -> None:
    before = kept.ensure()
    kept.create("guest")
    image = kept.own.image.stat().st_ino
    assert kept.ensure().pool == before.pool
    kept.host.daemon.kill()
    kept.host.daemon.start()
    kept.ensure()
    assert kept.own.image.stat().st_ino == image
    assert kept.lxd.instance("guest").status == "Running"
    assert kept.fill("guest", 20)[0]


def test_it_grows_under_running_guests_and_never_shrinks(kept: Storage) -> None:
    small = kept.ensure()
    kept.create("guest")
    kept.configure(virtual_machines=5)
    large = kept.ensure()
    wanted = storage.wanted_bytes(kept.config)
    assert small.space[1] < wanted
    assert large.space[1] == file_systems.mounted_bytes(kept.own) == wanted
    assert kept.fill("guest", 50)[0]
    kept.configure(virtual_machines=1)
    assert kept.ensure().space[1] == wanted


def test_a_growth_that_was_interrupted_is_done_to_its_end(kept: Storage) -> None:
    kept.ensure()
    kept.configure(virtual_machines=3)
    wanted = storage.wanted_bytes(kept.config)
    if kept.own.in_memory:
        size = kept.own.memory_bytes(wanted)
        _run("mount", "-o", f"remount,size={size}", str(kept.own.memory))
    os.truncate(kept.own.image, wanted)
    assert kept.ensure().space[1] == wanted


def test_after_a_start_of_the_host_it_is_made_anew(kept: Storage) -> None:
    kept.ensure()
    kept.create("guest")
    kept.create("never-started", start=False)
    restart(kept.host)
    assert {one.status for one in kept.lxd.instances()} == {"Stopped"}
    kept.ensure()
    assert kept.lxd.instances() == []
    kept.create("next")
    assert kept.fill("next", 30)[0]


def test_an_image_file_that_was_lost_with_the_host_does_not_keep_it_from_being_made(
    kept: Storage,
) -> None:
    kept.ensure()
    restart(kept.host)
    kept.own.image.unlink(missing_ok=True)
    kept.ensure()
    kept.create("next")


def test_others_instances_on_it_are_not_deleted(kept: Storage) -> None:
    kept.ensure()
    kept.create("ours")
    kept.create("theirs", installation="theirs")
    restart(kept.host)
    theirs = f"/1.0/instances/theirs?project={kept.host.project}"
    assert f"delete what uses it ({theirs})" in kept.fail()
    assert {one.name for one in kept.lxd.instances()} == {"ours", "theirs"}
    kept.lxd.delete("theirs", limit_s=60)
    kept.ensure()


def test_it_is_mounted_again_where_lxd_never_lost_it(kept: Storage) -> None:
    kept.ensure()
    kept.create("guest")
    _run("umount", str(kept.own.mounted))
    assert kept.look() == kept.ensure()
    assert file_systems.mounted_bytes(kept.own)
    assert kept.lxd.instance("guest").status == "Running"
    assert kept.fill("guest", 30)[0]
    devices = _run("losetup", "--associated", str(kept.own.image)).splitlines()
    assert len(devices) == 1


def test_what_a_killed_daemon_left_half_made_is_no_obstacle(kept: Storage) -> None:
    wanted = storage.wanted_bytes(kept.config)
    file_systems.make(kept.own, wanted)  # it was killed before LXD heard of it
    kept.ensure()
    kept.create("guest")


def test_a_pool_of_the_same_name_that_is_not_ours_is_left_alone(kept: Storage) -> None:
    kept.lxd.ensure_pool(kept.own.name)
    try:
        assert f"a storage pool {kept.own.name} that is not ours" in kept.fail()
        assert kept.own.name in kept.pools()
    finally:
        kept.lxd.delete_pool(kept.own.name)


def test_a_pool_of_earlier_settings_goes_when_nobody_uses_it(kept: Storage) -> None:
    kept.ensure()
    old = kept.own
    kept.create("busy")
    other = kept.disk.with_name("other")
    other.mkdir()
    kept.configure(runner_storage=str(other))
    found = kept.ensure()
    assert found.warnings == (f"storage pool {old.name} is of earlier settings, and still in use",)
    assert kept.lxd.instance("busy").status == "Running"
    kept.lxd.delete("busy", limit_s=60)
    assert kept.ensure().warnings == ()
    assert old.name not in kept.pools()
    assert not old.image.exists()
    assert not old.home.exists()


def test_what_lxd_forgot_of_earlier_settings_is_removed(kept: Storage) -> None:
    kept.ensure()
    old = kept.own
    kept.lxd.delete_pool(old.name)  # and then the daemon was killed
    kept.configure(runner_storage="pool")
    kept.ensure()
    assert not old.image.exists()
    assert not old.home.exists()


def test_others_storage_in_the_same_state_directory_is_left_alone(kept: Storage) -> None:
    kept.ensure()
    ours, given = kept.own, dict(kept.given)
    kept.configure(name="ours-2", runner_storage="pool")
    kept.ensure()
    kept.given = given
    assert file_systems.mounted_bytes(ours)
    assert kept.own == ours
    assert ours.name in kept.pools()


def test_a_full_pool_is_warned_of_and_makes_no_runner(kept: Storage) -> None:
    kept.ensure()
    kept.create("guest")
    reserve_all(kept.own.mounted / "fill")
    (warning,) = kept.ensure().warnings
    assert warning.startswith(f"storage pool {kept.own.name} is nearly full: ")
    with pytest.raises(LxdError, match=r"could not (create|start) instance one-more: LXD says: "):
        kept.create("one-more")
    kept.own.mounted.joinpath("fill").unlink()


def test_a_directory_that_is_not_there_is_said(kept: Storage) -> None:
    kept.configure(runner_storage=str(kept.host.daemon.directory / "none"))
    with pytest.raises(StorageError, match=r"none can't be used: No such file or directory"):
        file_systems.host(kept.own)
    kept.configure(runner_storage=str(kept.host.daemon.log))
    with pytest.raises(StorageError, match="is not a directory"):
        file_systems.host(kept.own)


def test_room_on_a_disk_is_reserved_or_the_lack_is_said(kept: Storage) -> None:
    if kept.own.in_memory:
        kept.configure(runner_storage=str(kept.disk))
    kept.ensure()
    image = kept.own.image.stat()
    assert image.st_blocks * 512 >= storage.wanted_bytes(kept.config)
    free = file_systems.host(kept.own).free
    assert free > storage.wanted_bytes(kept.config)
    kept.configure(virtual_machines=100, vm_disk="1GiB")
    assert "there is not enough room there" in kept.fail()


def reserve_all(path: Path) -> None:
    """Take all the room there is, without writing."""
    end, step = 0, 2**30
    with path.open("wb") as file:
        while step >= _MIB // 4:
            try:
                os.posix_fallocate(file.fileno(), end, step)
                end += step
            except OSError:
                step //= 2
        os.fsync(file.fileno())


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
