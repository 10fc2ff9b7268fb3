from __future__ import annotations

import io
import secrets
import tarfile
from ipaddress import IPv4Interface
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.image import build_image
from sandbox.lxd_daemon import free_subnet
from supervisor.gateways.lxd import AlreadyExists, Lxd, LxdEndpoint, NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.private_lxd import PrivateLxd

    Build = Callable[..., dict[str, object]]

_MARK = {"user.supervisor.installation": "test"}
_BRIDGE = f"other{secrets.token_hex(4)}"  # all LXD daemons of a machine share the names of bridges


def test_a_project_with_all_it_needs_is_made_once_and_removed_again(
    real_lxd: PrivateLxd, tmp_path: Path
) -> None:
    lxd = Lxd(LxdEndpoint(real_lxd.endpoint.socket, "other", 10))
    with free_subnet() as address:
        network = {**_MARK, "ipv4.address": address, "ipv6.address": "none"}
        steps = [
            lambda: lxd.ensure_project("other", _MARK),
            lambda: lxd.ensure_pool("other", "dir", _MARK),
            lambda: lxd.ensure_network(_BRIDGE, network),
            lambda: lxd.ensure_profile("other", {**_MARK, "limits.cpu": "1"}),
        ]
        assert [step() for step in steps] == [True] * 4
    assert [step() for step in steps] == [False] * 4
    assert lxd.bridge_address(_BRIDGE) == IPv4Interface(address)
    for kind in ("projects", "storage-pools", "networks", "profiles"):
        ours = [one.name for one in lxd.resources(kind) if _MARK.items() <= one.config.items()]
        assert ours == [_BRIDGE if kind == "networks" else "other"], kind

    removals = [
        lambda: lxd.delete_profile("other"),
        lambda: lxd.delete_network(_BRIDGE),
        lambda: lxd.delete_pool("other"),
        lambda: lxd.delete_project("other"),
    ]
    assert [removal() for removal in removals] == [True] * 4
    assert [removal() for removal in removals] == [False] * 4


def test_what_is_in_use_is_not_deleted(lxd: Lxd, real_lxd: PrivateLxd, request_for: Build) -> None:
    lxd.create(request_for("one"), limit_s=30)

    for delete in (
        lambda: lxd.delete_network(real_lxd.network),
        lambda: lxd.delete_pool(real_lxd.pool),
        lambda: lxd.delete_profile(real_lxd.profile),
        lambda: lxd.delete_project(real_lxd.project),
    ):
        with pytest.raises(Refused):
            delete()


def test_what_is_there_already_keeps_its_configuration(lxd: Lxd, real_lxd: PrivateLxd) -> None:
    before = lxd.bridge_address(real_lxd.network)

    assert lxd.ensure_network(real_lxd.network, {"ipv4.address": "10.1.1.1/24"}) is False

    assert lxd.bridge_address(real_lxd.network) == before


def test_a_bad_configuration_is_refused(lxd: Lxd) -> None:
    config = {"ipv4.address": "none", "ipv6.address": "none", "bogus": "1"}

    with pytest.raises(Refused, match=rf"could not make network {_BRIDGE}: LXD says: .*bogus"):
        lxd.ensure_network(_BRIDGE, config)


def test_a_network_without_an_address_says_what_to_set(lxd: Lxd) -> None:
    lxd.ensure_network(_BRIDGE, {"ipv4.address": "none", "ipv6.address": "none"})

    try:
        with pytest.raises(Refused, match=r"no IPv4 address .* or set signals.address"):
            lxd.bridge_address(_BRIDGE)
    finally:
        lxd.delete_network(_BRIDGE)


def test_an_interface_that_lxd_does_not_manage_has_the_machines_address(lxd: Lxd) -> None:
    unmanaged = [one.name for one in lxd.resources("networks") if one.name.startswith("eth")]

    assert all(isinstance(lxd.bridge_address(name), IPv4Interface) for name in unmanaged)
    with pytest.raises(Refused, match="it has no IPv4 address"):
        lxd.bridge_address("lo")


def test_a_network_that_is_not_there_says_how_to_make_it(lxd: Lxd) -> None:
    with pytest.raises(NotFound, match=r"make it \(lxc network create none\) or name another"):
        lxd.bridge_address("none")


def test_an_image_is_found_by_its_alias(lxd: Lxd, real_lxd: PrivateLxd) -> None:
    fingerprint = lxd.image(real_lxd.image)

    assert fingerprint is not None
    assert lxd.images()[fingerprint] == (real_lxd.image,)
    assert lxd.image("none") is None


def test_importing_an_image_twice_keeps_the_first(
    lxd: Lxd, real_lxd: PrivateLxd, tmp_path: Path
) -> None:
    image = build_image(tmp_path)

    assert lxd.import_image(image.path, alias=real_lxd.image) == image.fingerprint
    before = lxd.images()
    assert lxd.import_image(image.path, alias=real_lxd.image) == lxd.image(real_lxd.image)
    assert lxd.images() == before


def test_an_alias_moves_to_a_new_image_and_the_old_one_can_be_deleted(
    lxd: Lxd, tmp_path: Path
) -> None:
    application = tmp_path / "application.tar.gz"
    first = build_image(tmp_path)
    application.write_bytes(_empty_archive())
    second = build_image(tmp_path, application)
    try:
        lxd.import_image(first.path, alias="moving")
        lxd.import_image(second.path, alias="moving")
        assert lxd.image("moving") == second.fingerprint
    finally:
        assert lxd.delete_image(second.fingerprint) is True
    assert lxd.delete_image(second.fingerprint) is False
    assert lxd.image("moving") is None


def test_a_file_that_is_no_image_is_refused(lxd: Lxd, tmp_path: Path) -> None:
    path = tmp_path / "image.tar.gz"
    path.write_bytes(b"no image")
    before = lxd.images()

    with pytest.raises(Exception, match="could not import image bad: LXD says") as caught:
        lxd.import_image(path, alias="bad")

    assert not isinstance(caught.value, AlreadyExists)
    assert lxd.images() == before


def test_the_server_says_what_it_can_do(lxd: Lxd, real_lxd: PrivateLxd) -> None:
    server = lxd.server()

    assert server.pid == real_lxd.daemon.pid
    assert server.containers
    assert "projects" in server.api_extensions
    assert "dir" in server.storage_drivers
    assert not server.clustered


def _empty_archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz"):
        pass
    return buffer.getvalue()
