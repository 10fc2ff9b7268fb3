from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import Config, parse
from supervisor.host import storage
from supervisor.host.storage import Host, Move, OwnPool, Record, StorageRefused

_GIB = 2**30
_MIB = 2**20


def config(**given: Any) -> Config:
    keys = {key.replace("_", "-"): value for key, value in given.items()}
    return parse({"name": "fleet", "path": "acme", "token": "s", **keys}, "x")


def own(**given: Any) -> OwnPool:
    made = storage.own_pool(config(**{"runner_storage": "memory", **given}))
    assert made is not None
    return made


# Which pool.


def test_by_default_it_is_a_pool_that_lxd_has() -> None:
    made = config(lxd={"pool": "fast"})
    assert storage.own_pool(made) is None
    assert storage.pool_name(made) == "fast"
    assert storage.wanted_bytes(made) == 0
    assert storage.room(made) is None
    assert storage.shortage(made, Host(memory=0)) == ""


def test_a_pool_of_our_own_is_called_by_the_installation_and_where_it_is() -> None:
    names = {
        storage.pool_name(config(name=name, runner_storage=medium))
        for name in ("fleet", "fleet-2")
        for medium in ("memory", "juju-storage", "/srv/runners")
    }
    assert len(names) == 6
    assert "fleet-memory" in names


def test_the_longest_name_of_an_installation_makes_a_name_that_lxd_takes() -> None:
    made = config(name="a" * 40, runner_storage="/srv/runners")
    assert len(storage.pool_name(made)) <= 63


def test_juju_storage_is_the_directory_that_juju_mounts() -> None:
    made = own(runner_storage="juju-storage")
    assert made == own(runner_storage="/storage/juju")
    assert made.image.parent == Path("/storage/juju")
    assert not made.in_memory


def test_everything_else_is_roots_beside_the_state_directory() -> None:
    made = own(state_directory="/srv/state")
    for path in (made.image, made.mounted, made.memory):
        assert Path("/srv/state-pools/fleet-memory") in path.parents
    configured = config(state_directory="/srv/state")
    assert storage.complaint(configured) == Path("/srv/state-pools/fleet.failed")
    assert storage.request(configured) == Path("/srv/state/storage-wanted")


def test_a_pool_is_recognised_by_its_marks_alone() -> None:
    made = own()
    assert storage.recognise(config(), made.name, made.marks()) == made
    assert storage.recognise(config(name="other"), made.name, made.marks()) is None
    assert storage.recognise(config(), made.name, {}) is None


# How large.


@given(st.integers(0, 10_000), st.integers(1024, 2**50))
def test_a_pool_holds_all_disks_full_and_the_image_with_room_for_the_file_system(
    runners: int, disk: int
) -> None:
    size = storage.pool_bytes(runners, disk)
    held = (runners + 1) * (disk + 100 * _MIB)
    assert size > held * 1.06
    assert size < held * 1.4 + 512 * _MIB
    assert size % _MIB == 0
    assert storage.pool_bytes(runners + 1, disk) > size


_SIZES = st.integers(64, 2**20).map(lambda mib: f"{mib}MiB")


@given(
    st.integers(0, 300), _SIZES, _SIZES, st.integers(0, 2**45), st.sampled_from(["memory", "/srv"])
)
def test_as_many_fit_as_a_shortage_says_and_not_one_more(
    runners: int, disk: str, memory: str, has: int, medium: str
) -> None:
    def lack(count: int) -> str:
        made = config(virtual_machines=count, vm_disk=disk, vm_memory=memory, runner_storage=medium)
        return storage.shortage(made, Host(memory=has, free=has))

    said = lack(runners)
    if said:
        word = said.rpartition(": ")[2].split()[0]
        fitting = 0 if word == "none" else int(word)
        assert fitting < max(1, runners)
        assert lack(fitting + 1)
        assert fitting == 0 or not lack(fitting)


@given(st.integers(0, 300), _SIZES, _SIZES, st.integers(0, 2**45))
def test_memory_storage_leaves_the_host_its_own_memory(
    runners: int, disk: str, memory: str, has: int
) -> None:
    made = config(virtual_machines=runners, vm_disk=disk, vm_memory=memory, runner_storage="memory")
    if not storage.shortage(made, Host(memory=has)):
        guests = runners * int(memory.removesuffix("MiB")) * _MIB
        assert has - storage.wanted_bytes(made) - guests >= max(_GIB, has // 16)


def test_too_little_memory_is_said_in_one_line_with_what_would_fit() -> None:
    made = config(
        runner_storage="memory", virtual_machines=3, vm_memory="7GiB", lxd={"image": "prepared"}
    )
    assert storage.shortage(made, Host(memory=64 * _GIB)) == (
        "3 runners need 65 GiB of memory (43 GiB for their disks), and this host has 64 GiB, of "
        "which it keeps 4 GiB: 2 would fit; lower virtual-machines, vm-disk or vm-memory"
    )
    assert storage.shortage(made, Host(memory=70 * _GIB)) == ""


def test_a_pool_that_is_large_already_counts_as_it_is() -> None:
    made = config(runner_storage="memory", virtual_machines=1, vm_memory="1GiB", vm_disk="1GiB")
    assert storage.shortage(made, Host(memory=16 * _GIB)) == ""
    assert "none would fit" in storage.shortage(made, Host(memory=16 * _GIB, pool=15 * _GIB))


def test_too_little_disk_is_said_with_the_directory() -> None:
    made = config(runner_storage="/srv/runners", virtual_machines=3, lxd={"image": "prepared"})
    assert storage.shortage(made, Host(memory=0, free=35 * _GIB)) == (
        "3 runners need 43 GiB of disk, and /srv/runners has 35 GiB: 2 would fit; "
        "lower virtual-machines or vm-disk"
    )


def test_where_images_are_built_there_is_room_for_the_next_and_for_who_tries_it() -> None:
    built = config(runner_storage="memory", virtual_machines=3)
    prepared = config(runner_storage="memory", virtual_machines=3, lxd={"image": "prepared"})
    disk = storage.wanted_bytes(built) - storage.wanted_bytes(prepared)
    assert 2 * 10 * _GIB < disk < 2 * 11 * _GIB
    assert storage.shortage(prepared, Host(memory=75 * _GIB)) == ""
    assert "1 would fit" in storage.shortage(built, Host(memory=75 * _GIB))


def test_a_pool_of_our_own_has_room_for_the_runners_wanted_and_no_more() -> None:
    now = storage.room(config(runner_storage="memory", virtual_machines=7))
    assert now is not None
    assert storage.at_once(now, ()) == 7


@pytest.mark.parametrize(
    ("earlier", "most"),
    [
        ({}, 7),
        ({"vm_disk": "11GiB"}, 3),
        ({"vm_memory": "9GiB"}, 3),
        ({"vm_disk": "9GiB", "vm_memory": "7GiB"}, 7),
    ],
)
def test_larger_runners_of_earlier_settings_keep_a_pool_to_the_number_of_these(
    earlier: dict[str, str], most: int
) -> None:
    sizes = {"vm_disk": "10GiB", "vm_memory": "8GiB"}
    now = storage.room(config(runner_storage="memory", virtual_machines=7, **sizes))
    before = storage.room(config(runner_storage="memory", virtual_machines=3, **sizes | earlier))
    assert now is not None
    assert before is not None
    assert storage.at_once(now, [before]) == most


# What is to be done.


def record(pool: OwnPool, **changes: Any) -> Record:
    source = {"source": str(pool.mounted), "volatile.initial_source": str(pool.mounted)}
    given: dict[str, Any] = {"config": {**pool.marks(), **source}, "available": True, **changes}
    return Record(**given)


def moves(found: Record | None, mounted: int = 10, image: int = 10, wanted: int = 10) -> list[Move]:
    return list(storage.moves(own(), found, mounted=mounted, image=image, wanted=wanted))


def test_a_pool_that_is_whole_stays_as_it_is() -> None:
    assert moves(record(own())) == []
    assert moves(record(own()), wanted=1) == []


def test_a_pool_that_is_too_small_grows() -> None:
    assert moves(record(own()), wanted=11) == [Move.GROW]


def test_one_that_was_not_grown_to_its_end_is_grown() -> None:
    assert moves(record(own()), mounted=10, image=11, wanted=11) == [Move.GROW]


def test_one_that_lxd_has_and_we_lost_is_mounted_again() -> None:
    assert moves(record(own()), mounted=0) == [Move.MOUNT]
    assert moves(record(own()), mounted=0, wanted=11) == [Move.MOUNT, Move.GROW]


def test_one_that_is_not_there_is_made() -> None:
    assert moves(None, mounted=0, image=0) == [Move.REMAKE]
    assert moves(None) == [Move.REMAKE]


def test_one_that_lxd_could_not_mount_is_made_anew() -> None:
    assert moves(record(own(), available=False), mounted=0, image=0) == [Move.REMAKE]
    assert moves(record(own(), available=False)) == [Move.REMAKE]


def test_anothers_pool_of_the_same_name_is_not_touched() -> None:
    others = {"source": str(own().mounted), "user.supervisor.installation": "other"}
    for config_ in ({}, {"source": str(own().mounted)}, others):
        with pytest.raises(StorageRefused, match="fleet-memory that is not ours"):
            moves(record(own(), config=config_, available=False))


def test_a_pool_that_lies_elsewhere_is_not_touched() -> None:
    before = own(state_directory="/before")
    with pytest.raises(StorageRefused, match=r"from /before-pools/.*: set state-directory back"):
        moves(record(before))


def test_images_do_not_keep_a_pool_from_being_deleted() -> None:
    users = ("/1.0/images/abc?project=p", "/1.0/instances/a?project=p", "/1.0/profiles/default")
    assert record(own(), used_by=users).users() == users[1:]


@pytest.mark.parametrize(
    ("project", "address"), [("default", "/1.0/instances/a"), ("p", "/1.0/instances/a?project=p")]
)
def test_an_instance_is_found_among_the_users(project: str, address: str) -> None:
    assert storage.instance_address("a", project) == address
