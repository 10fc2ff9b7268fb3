"""The secret that images are sealed with, on disk."""

import os
from pathlib import Path

import pytest

from supervisor.gateways.image_key import KeyUnusable, seal_if_any, seal_of


def test_it_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "image-key"
    made = seal_of(path)
    assert seal_of(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert seal_of(tmp_path / "other" / "image-key") != made


def test_one_whose_making_a_loss_of_power_has_met_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "image-key"
    path.touch(mode=0o600)
    assert seal_of(path) == seal_of(path)
    assert path.read_text()


def test_one_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "image-key"
    seal_of(path)
    path.chmod(0o640)
    with pytest.raises(KeyUnusable, match="image-key, may be known to others: delete it"):
        seal_of(path)


@pytest.mark.parametrize("text", [b"short\n", b"\xff" * 65, b"\n"])
def test_what_is_no_key_is_told_of(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "image-key"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(KeyUnusable, match="image-key, is none: delete it"):
        seal_of(path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    seal_of(tmp_path / "elsewhere")
    path = tmp_path / "image-key"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyUnusable, match="can't be used: Too many levels"):
        seal_of(path)


def test_who_only_looks_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "image-key"
    assert seal_if_any(path) is None
    assert not path.exists()
    assert seal_of(path) == seal_if_any(path)


def test_root_takes_that_of_the_user_who_has_the_directory_and_of_no_other(tmp_path: Path) -> None:
    path = tmp_path / "image-key"
    made = seal_of(path)
    os.chown(path, 12345, -1)
    with pytest.raises(KeyUnusable, match="may be known to others"):
        seal_if_any(path)
    os.chown(tmp_path, 12345, -1)
    assert seal_if_any(path) == made
