from __future__ import annotations

from ipaddress import IPv4Network, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import Config, parse
from supervisor.host import preparation, storage
from supervisor.host.preparation import PreparationRefused

_GIB = 2**30


def config(**given: Any) -> Config:
    keys = {key.replace("_", "-"): value for key, value in given.items()}
    return parse({"name": "fleet", "path": "acme", "token": "s", **keys}, "x")


def test_what_is_made_says_for_whom() -> None:
    for made in (
        preparation.mark("fleet"),
        preparation.bridge("fleet", "auto"),
        preparation.pool(config(), "btrfs"),
        preparation.pool(config(), "dir"),
    ):
        assert preparation.prepared_for(made) == "fleet"
    assert preparation.prepared_for({}) == ""


@pytest.mark.parametrize(
    ("found", "guards", "owner"),
    [
        (preparation.mark("other"), [], "other"),
        ({}, ["other"], "other"),
        (preparation.mark("fleet"), ["fleet", "other"], "other"),
        (preparation.mark("fleet-2"), ["other"], "fleet-2, other"),
    ],
)
def test_a_bridge_of_another_installation_is_refused_with_its_name(
    found: dict[str, str], guards: list[str], owner: str
) -> None:
    with pytest.raises(PreparationRefused, match=f"that of installation {owner}: each"):
        preparation.refuse_bridge(config(), found, guards)


@pytest.mark.parametrize(
    ("found", "guards"), [({}, []), (preparation.mark("fleet"), ["fleet"]), ({"x": "y"}, [])]
)
def test_a_bridge_of_nobody_or_of_this_installation_is_used(
    found: dict[str, str], guards: list[str]
) -> None:
    preparation.refuse_bridge(config(), found, guards)


def test_the_usual_network_has_room_for_a_fleet_and_its_successors() -> None:
    assert preparation.fits_usual_bridge(config(virtual_machines=126))
    assert not preparation.fits_usual_bridge(config(virtual_machines=127))


@given(
    count=st.integers(0, 10_000),
    taken=st.lists(
        st.builds(
            lambda start, prefix: ip_network((start << 8, prefix), strict=False),
            st.integers(10 << 16, (10 << 16) + 0xFFFF),
            st.integers(10, 28),
        ),
        max_size=8,
    ),
    first=st.integers(0, 2**32),
)
def test_a_network_is_private_free_and_large_enough(
    count: int, taken: list[IPv4Network], first: int
) -> None:
    found = preparation.free_network(config(virtual_machines=count), taken, first)
    assert found.network.subnet_of(IPv4Network("10.0.0.0/8"))
    assert found.ip == found.network[1]
    assert not any(found.network.overlaps(other) for other in taken)
    assert found.network.num_addresses >= 2 * count + 4
    assert found.network.prefixlen <= 24


def test_where_no_network_is_free_it_is_said_how_to_make_a_bridge() -> None:
    with pytest.raises(PreparationRefused, match="lxc network create lxdbr0"):
        preparation.free_network(config(virtual_machines=9000), [IPv4Network("10.0.0.0/8")], 0)


@pytest.mark.parametrize(
    ("drivers", "can_mount", "chosen"),
    [
        (("dir", "btrfs", "zfs"), True, "btrfs"),
        (("dir", "btrfs"), False, "dir"),
        (("dir", "zfs"), True, "dir"),
    ],
)
def test_the_pool_is_of_btrfs_where_that_can_be(
    drivers: tuple[str, ...], can_mount: bool, chosen: str
) -> None:
    assert preparation.pool_driver(drivers, can_mount=can_mount) == chosen


def test_a_directory_has_no_size() -> None:
    assert "size" not in preparation.pool(config(), "dir")
    assert preparation.pool(config(vm_disk="1GiB"), "btrfs")["size"].endswith("MiB")


@pytest.mark.parametrize(("count", "words"), [(1, "1 runner needs"), (2, "2 runners need")])
def test_it_is_said_how_many_need_how_much(count: int, words: str) -> None:
    with pytest.raises(PreparationRefused, match=f"runner-storage: {words} .* of disk"):
        preparation.refuse_pool(config(virtual_machines=count), _GIB)


@given(count=st.integers(0, 500), disk=st.integers(1, 200), free=st.integers(0, 1000))
def test_what_is_refused_does_not_fit_and_what_would_fit_is_told(
    count: int, disk: int, free: int
) -> None:
    made = config(virtual_machines=count, vm_disk=f"{disk}GiB")
    try:
        preparation.refuse_pool(made, free * _GIB)
    except PreparationRefused as refused:
        assert storage.fleet_bytes(made) > free * _GIB
        words = str(refused).split(" would fit")[0].split()[-1]
        fitting = 0 if words == "none" else int(words)
        assert fitting < count or count == 0
        assert fitting == 0 or storage.fleet_bytes(made, fitting) <= free * _GIB
        assert storage.fleet_bytes(made, fitting + 1) > free * _GIB
    else:
        assert storage.fleet_bytes(made) <= free * _GIB


@pytest.mark.parametrize(
    ("found", "may_grow"),
    [
        ({"size": "1GiB"}, False),
        ({**preparation.mark("fleet"), "size": "1GiB"}, True),
        (preparation.mark("fleet"), False),
        ({**preparation.mark("other"), "size": "1GiB"}, False),
    ],
    ids=["another's", "ours", "a directory", "prepared for another"],
)
def test_a_pool_is_made_larger_only_if_it_was_made_for_us(
    found: dict[str, str], may_grow: bool
) -> None:
    assert preparation.has_size(config(), found) is may_grow
