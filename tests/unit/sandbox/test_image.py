import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from sandbox.application.package import build_application
from sandbox.image import Image, ImageError, build_image


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Image:
    directory = tmp_path_factory.mktemp("image")
    return build_image(directory, build_application(directory).path)


def members(image: Image) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(image.path) as archive:
        return {member.name: member for member in archive}


def test_the_same_inputs_give_the_same_bytes(built: Image, tmp_path: Path) -> None:
    again = build_image(tmp_path, build_application(tmp_path).path)
    assert again.path.read_bytes() == built.path.read_bytes()
    assert again.path.name == built.path.name
    assert built.fingerprint == hashlib.sha256(built.path.read_bytes()).hexdigest()


def test_an_image_is_kept_and_a_changed_input_makes_another(built: Image, tmp_path: Path) -> None:
    application = build_application(tmp_path).path
    before = built.path.stat().st_mtime_ns
    assert build_image(built.path.parent, application) == built
    assert built.path.stat().st_mtime_ns == before
    newer = build_image(built.path.parent, build_application(tmp_path, "9.9.9").path)
    assert newer.path != built.path
    assert build_image(built.path.parent).path not in {built.path, newer.path}


def test_the_tools_to_ask_a_policy_come_with_all_that_they_load(tmp_path: Path) -> None:
    found = members(build_image(tmp_path, policy_tools=True))
    libraries = {Path(name).name for name in found}
    assert {"rootfs/bin/bash", "rootfs/bin/curl", "rootfs/bin/jq"} <= found.keys()
    assert {"libcurl.so.4", "libjq.so.1", "libc.so.6"} <= libraries
    assert "rootfs/bin/curl" not in members(build_image(tmp_path))


def test_a_tool_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which

    def but_jq(name: str, **options: str) -> str | None:
        return None if name == "jq" else found(name, **options)

    monkeypatch.setattr(shutil, "which", but_jq)
    with pytest.raises(ImageError, match="no jq on this machine"):
        build_image(tmp_path, policy_tools=True)


def test_nothing_of_the_builder_is_in_the_image(built: Image) -> None:
    found = members(built).values()
    assert {member.mtime for member in found} == {0}
    assert {member.uid for member in found} == {0, 1000}
    assert {member.uname for member in found} == {""}


def test_the_user_data_lies_where_only_root_can_go(built: Image) -> None:
    with tarfile.open(built.path) as archive:
        metadata = archive.extractfile("metadata.yaml")
        assert metadata is not None
        templates = json.load(metadata)["templates"]
    assert list(templates) == ["/var/lib/user-data/script"]
    directory = members(built)["rootfs/var/lib/user-data"]
    assert (directory.mode, directory.uid) == (0o700, 0)


def test_the_application_is_the_runners_and_names_the_tarball_it_came_from(
    built: Image, tmp_path: Path
) -> None:
    application = build_application(tmp_path)
    home = "rootfs/opt/actions-runner"
    found = members(built)
    assert found[f"{home}/run.sh"].uid == 1000
    assert found[f"{home}/run.sh"].mode == 0o755
    with tarfile.open(built.path) as archive:
        digest = archive.extractfile(f"{home}/.sha256")
        assert digest is not None
        assert digest.read().decode() == f"{application.sha256}\n"


def test_every_link_leads_to_something(built: Image) -> None:
    found = members(built)
    links = [member for member in found.values() if member.issym()]
    assert len(links) > 50
    for link in links:
        target = os.path.normpath(Path(link.name).parent / link.linkname)
        assert target in found, link.name


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_an_application_that_leaves_its_directory_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "application.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ImageError, match="evil"):
        build_image(tmp_path, path)


def test_a_machine_without_busybox_is_told_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_a, **_k: None)
    with pytest.raises(ImageError, match="busybox-static"):
        build_image(tmp_path)


def test_a_busybox_that_lacks_something_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = tmp_path / "busybox"
    poor.write_text("#!/bin/sh\necho sh\n")
    poor.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda *_a, **_k: str(poor))
    with pytest.raises(ImageError, match="udhcpc"):
        build_image(tmp_path)
