from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.causes import Cause
from supervisor.gateways import storage
from supervisor.gateways.storage import StorageError
from supervisor.host.storage import OwnPool


@pytest.fixture
def own(tmp_path: Path) -> OwnPool:
    """A pool in a directory, of which nothing is there."""
    disk = tmp_path / "disk"
    disk.mkdir()
    return OwnPool("fleet", "fleet-disk", str(disk), tmp_path / "state" / "pool" / "fleet-disk")


def stand_in(directory: Path, program: str, script: str) -> None:
    path = directory / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_where_nothing_is_there_nothing_is_found_and_nothing_to_remove(own: OwnPool) -> None:
    assert storage.mounted_bytes(own) == 0
    assert storage.image_bytes(own) == 0
    assert storage.noted(own.home.parent) == {}
    storage.discard(own)


def test_a_missing_program_is_named_with_its_package(
    own: OwnPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("fallocate", "umount", "mount"):
        stand_in(tmp_path, program, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageError) as caught:
        storage.make(own, 2**28)
    wanted = "could not make a file system: there is no program mkfs.btrfs; install btrfs-progs"
    assert str(caught.value) == wanted


def test_what_a_program_complains_of_is_told_in_one_line(
    own: OwnPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, "fallocate", "echo one >&2; echo two >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(StorageError, match=r"^could not reserve room for the pool: one; two$"):
        storage.make(own, 2**28)


def test_more_than_a_disk_has_is_not_even_asked_for(
    own: OwnPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, "fallocate", "echo asked >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(StorageError, match=r"1 EiB are wanted, and .* not enough room") as caught:
        storage.make(own, 2**60)
    assert caught.value.cause is Cause.NO_SPACE


def test_what_was_reserved_in_vain_is_given_back(
    own: OwnPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = 'truncate --size=1M "$2"; echo "No space left on device" >&2; exit 1'
    stand_in(tmp_path, "fallocate", some)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(StorageError, match="there is not enough room there"):
        storage.make(own, 2**28)
    assert own.image.stat().st_size == 0


def test_programs_are_given_nothing_of_the_daemons_environment(
    own: OwnPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:made-up-secret@proxy.example.com:3128")
    stand_in(tmp_path, "fallocate", "env >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(StorageError) as caught:
        storage.make(own, 2**28)
    given = str(caught.value).removeprefix("could not reserve room for the pool: ").split("; ")
    assert {entry.split("=")[0] for entry in given} - {"PWD", "_", "SHLVL"} == {"PATH", "LC_ALL"}


def test_a_kernel_without_btrfs_is_told(
    own: OwnPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, "losetup", "exit 0")
    stand_in(tmp_path, "mount", "echo \"mount: unknown filesystem type 'btrfs'\" >&2; exit 32")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageError, match=r"this kernel has no btrfs \(modprobe btrfs\)"):
        storage.mount(own)


def test_a_program_that_hangs_is_given_up(
    own: OwnPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, "losetup", "exec /bin/sleep 60")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(storage, "_QUICK_S", 0.05)
    with pytest.raises(StorageError, match=r"losetup takes more than 0\.05 s"):
        storage.mount(own)


def test_a_place_that_can_not_be_made_is_named(own: OwnPool) -> None:
    own.home.parent.parent.write_text("a file in the way")
    with pytest.raises(StorageError, match=f"could not make {own.home}: Not a directory"):
        storage.make(own, 2**28)


def test_a_note_that_was_not_written_to_its_end_is_none(own: OwnPool) -> None:
    own.home.mkdir(parents=True)
    own.note.write_text('{"user.superv')
    assert storage.noted(own.home.parent) == {}


def test_nothing_is_made_where_somebody_else_could_put_a_link(own: OwnPool) -> None:
    state = own.home.parent.parent
    state.mkdir()
    os.chown(state, 1000, 1000)
    with pytest.raises(StorageError, match=f"in others' hands: {state} belongs to user 1000"):
        storage.make(own, 2**28)
    with pytest.raises(StorageError, match="in others' hands"):
        storage.complain(own.home.parent / "fleet.failed", "no room")
    assert not own.home.exists()


def test_a_directory_for_disks_must_be_roots_also_for_a_daemon_that_is_not(
    own: OwnPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(own.medium, 1000, 1000)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(StorageError, match=f"in others' hands: {own.medium} belongs to user 1000"):
        storage.host(own)


def test_what_could_not_be_done_is_told_to_any_user_and_taken_back(tmp_path: Path) -> None:
    complaint = tmp_path / "pools" / "fleet.failed"
    assert storage.complained(complaint) == ""
    storage.complain(complaint, "no room")
    assert storage.complained(complaint) == "no room"
    assert (complaint.stat().st_mode & 0o777, complaint.parent.stat().st_mode & 0o777) == (
        0o644,
        0o755,
    )
    storage.complain(complaint, "")
    assert storage.complained(complaint) == ""
    assert not complaint.parent.exists()
    storage.complain(complaint, "")


def test_with_a_pool_goes_what_was_complained_of(own: OwnPool) -> None:
    storage.complain(own.complaint, "no room")
    storage.discard(own)
    assert not own.home.parent.exists()


def test_a_shielded_service_mounts_where_the_host_sees_it(own: OwnPool) -> None:
    program = (
        "import pathlib, sys; from supervisor.gateways import storage;"
        "from supervisor.host.storage import OwnPool;"
        f"storage._HOST = pathlib.Path('/proc/{os.getpid()}');"
        "own = OwnPool(sys.argv[1], sys.argv[2], sys.argv[3], pathlib.Path(sys.argv[4]));"
    )
    made = "storage.make(own, 2**28); print(storage.mounted_bytes(own), storage.image_bytes(own))"
    found = "print(storage.mounted_bytes(own), storage.image_bytes(own))"
    memory = OwnPool("fleet", "fleet-memory", "memory", own.home.parent / "fleet-memory")
    for pool in (own, memory):
        arguments = (pool.installation, pool.name, pool.medium, str(pool.home))
        shielded = ("unshare", "--mount", "--propagation", "private", sys.executable, "-c")
        try:
            done = run(*shielded, program + made, *arguments)
            assert done.stdout == f"{2**28} {2**28}\n", done.stderr
            assert storage.mounted_bytes(pool) == 2**28
            done = run(*shielded, program + found, *arguments)
            assert done.stdout == f"{2**28} {2**28}\n", done.stderr
        finally:
            storage.discard(pool)
        assert not pool.home.exists()


def run(*command: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_room_on_a_disk_is_what_the_kernel_says_it_is(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    assert 0 < storage.free_bytes(tmp_path) <= disk.f_blocks * disk.f_frsize
    with pytest.raises(StorageError, match="none can't be looked at: No such file"):
        storage.free_bytes(tmp_path / "none")


@pytest.mark.parametrize(
    ("numbers", "may"), [("0 0 4294967295\n", True), ("0 100000 65536\n", False)]
)
def test_within_a_container_no_file_system_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: str, may: bool
) -> None:
    (tmp_path / "uid_map").write_text(f"         {numbers}")
    monkeypatch.setattr(storage, "_SELF", tmp_path)
    assert storage.root_may_mount() is may
