"""Base images of a simplestreams server are pulled by a real LXD, and followed."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_servers import ImageServer, serving
from image_stand import Stand

from supervisor.images.base import BaseImage
from supervisor.work.image import ImageFailed, ImageWork

pytestmark = pytest.mark.usefixtures("short")


@pytest.fixture
def server(tmp_path: Path) -> ImageServer:
    directory = tmp_path / "served"
    directory.mkdir()
    return ImageServer(directory, "stock", platform.machine())


@pytest.fixture
def address(server: ImageServer) -> Iterator[str]:
    with serving(server.directory, "127.0.0.1") as base:
        yield base


def _work(stand: Stand, address: str) -> ImageWork:
    return stand.work(base=BaseImage.parse(f"{address}:stock"))


def _let_an_hour_pass(stand: Stand) -> None:
    """Make what LXD keeps of the server's index older than it uses it for."""
    for path in (stand.made.endpoint.find_socket().parent / "cache").glob("*/*.json"):
        os.utime(path, (0, 0))


def test_a_new_version_on_the_server_makes_a_new_image_and_the_old_base_goes(
    stand: Stand, server: ImageServer, address: str
) -> None:
    work, first = _work(stand, address), server.release("one")
    old = stand.built(work)
    assert old.base == first
    assert stand.built(work) == old
    second = server.release("two")
    _let_an_hour_pass(stand)
    new = stand.built(work)
    assert new.base == second
    assert stand.listing() == [new.fingerprint, old.fingerprint]
    known = {image.fingerprint for image in stand.lxd.stored_images()}
    assert (first in known, second in known) == (False, True)


def test_a_base_that_somebody_else_has_pulled_stays_when_a_newer_one_comes(
    stand: Stand, server: ImageServer, address: str
) -> None:
    theirs = server.release("one")
    pulled = stand.lxd.pull_image(address, "stock", instance_type="container", limit_s=30)
    assert pulled == theirs
    assert not isinstance(_work(stand, address).look(stand.application), ImageFailed)
    server.release("two")
    _let_an_hour_pass(stand)
    assert not isinstance(_work(stand, address).look(stand.application), ImageFailed)
    assert theirs in {image.fingerprint for image in stand.lxd.stored_images()}


def test_a_base_that_somebody_has_named_stays_when_a_newer_one_comes(
    stand: Stand, server: ImageServer, address: str
) -> None:
    named = server.release("one")
    assert not isinstance(_work(stand, address).look(stand.application), ImageFailed)
    stand.lxd.name_image("base-of-somebody", named)
    server.release("two")
    _let_an_hour_pass(stand)
    assert not isinstance(_work(stand, address).look(stand.application), ImageFailed)
    assert stand.lxd.image("base-of-somebody") == named


def test_a_server_that_is_away_or_has_no_such_image_is_told_of(
    stand: Stand, server: ImageServer, address: str
) -> None:
    server.release("one")
    missing = stand.work(base=BaseImage.parse(f"{address}:none")).look(stand.application)
    assert isinstance(missing, ImageFailed)
    assert f"could not pull image none from {address}" in missing.reason
    away = stand.work(base=BaseImage.parse("http://127.0.0.1:9/x:stock")).look(stand.application)
    assert isinstance(away, ImageFailed)
    assert not away.outage
    assert "connection refused" in away.reason


def test_a_file_that_is_not_the_one_of_the_index_is_refused(
    stand: Stand, server: ImageServer, address: str
) -> None:
    server.release("one")
    (rootfs,) = server.directory.glob("*.root")
    rootfs.write_bytes(rootfs.read_bytes()[:-1] + b"x")
    failed = _work(stand, address).look(stand.application)
    assert isinstance(failed, ImageFailed)
    assert "Hash mismatch" in failed.reason or "hash" in failed.reason.lower()
