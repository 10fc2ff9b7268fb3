"""Directories that runners' disks may lie in; these tests change owners, so they need root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.gateways import storage
from supervisor.gateways.storage import StorageError
from supervisor.gateways.trust import distrust
from supervisor.host.storage import OwnPool

STRANGER = 54321


@pytest.fixture
def disks(tmp_path: Path) -> Path:
    """A directory in a directory, both for this user alone."""
    disks = tmp_path / "srv" / "disks"
    disks.mkdir(parents=True)
    for directory in (disks, disks.parent):
        directory.chmod(0o755)
    return disks


def test_a_directory_that_only_this_user_can_write_is_trusted(disks: Path) -> None:
    assert distrust(disks) == ""


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_one_that_others_can_write_is_not_and_no_sticky_bit_helps(disks: Path, mode: int) -> None:
    disks.chmod(mode)
    expected = f"{disks} can be written by others than its owner: chmod go-w {disks}"
    assert distrust(disks) == expected


@pytest.mark.parametrize(("mode", "is_trusted"), [(0o777, False), (0o1777, True)])
def test_one_below_what_others_can_write_is_trusted_where_the_sticky_bit_keeps_it(
    disks: Path, mode: int, *, is_trusted: bool
) -> None:
    disks.parent.chmod(mode)
    assert (distrust(disks) == "") is is_trusted


@pytest.mark.parametrize("whose", ["itself", "above"])
def test_one_that_another_user_owns_or_what_is_above_it_is_not(disks: Path, whose: str) -> None:
    theirs = disks if whose == "itself" else disks.parent
    os.chown(theirs, STRANGER, -1)
    assert distrust(disks) == (
        f"{theirs} belongs to user {STRANGER}, not to root: chown -h root {theirs}"
    )


def test_a_link_is_trusted_as_far_as_what_it_leads_through(disks: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("srv/disks")
    assert distrust(link) == ""
    disks.parent.chmod(0o777)
    assert f"{disks.parent} can be written by others" in distrust(link)
    disks.parent.chmod(0o755)
    os.chown(link, STRANGER, -1, follow_symlinks=False)
    assert f"{link} belongs to user {STRANGER}" in distrust(link)


def test_a_pool_in_others_hands_is_refused_in_one_line(disks: Path, tmp_path: Path) -> None:
    own = OwnPool("fleet", "fleet-disk", str(disks), tmp_path / "state")
    assert storage.host(own).free > 0
    disks.chmod(0o777)
    with pytest.raises(StorageError) as caught:
        storage.host(own)
    assert str(caught.value) == (
        f"runners' disks would be in others' hands: {disks} can be written by others than its "
        f"owner: chmod go-w {disks}"
    )
