"""Images are built, verified, chosen and removed on a real LXD; the tiny image is their base."""

from __future__ import annotations

import io
import json
import platform
import re
import tarfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from image_stand import INSTALLATION, Stand, Verdict

from supervisor.images.base import BaseImage
from supervisor.runners import marks
from supervisor.runners.instances import USER_DATA, instance_request
from supervisor.web.proxies import Proxies, Proxy
from supervisor.work import image_upkeep
from supervisor.work.image import ImageFailed, ImageReady, Look

pytestmark = pytest.mark.usefixtures("short")


def test_an_image_is_built_verified_and_named_and_then_used_as_it_is(stand: Stand) -> None:
    ready = stand.ensure()
    assert isinstance(ready, ImageReady), ready
    assert ready.built
    assert stand.application.sha256 in stand.said  # the archive has arrived whole
    image = ready.image
    assert stand.lxd.image(image.alias) == image.fingerprint
    assert image.verified
    again = stand.ensure()
    assert again == ImageReady(image, built=False, took_s=again.took_s)  # type: ignore[union-attr]
    assert stand.listing() == [image.fingerprint]
    assert stand.half_made() == []


def test_a_runner_made_of_it_has_what_was_provisioned(stand: Stand) -> None:
    image = stand.built(stand.work(packages=("htop", "tree")))
    stand.lxd.create(_request(stand, "runner", image.fingerprint), limit_s=30)
    stand.lxd.start("runner", limit_s=30)
    assert stand.read("runner", "/etc/built") == f"{stand.application.sha256} htop tree"


def test_the_verifying_instance_is_made_as_a_runner_is_and_counted_by_no_fleet(
    stand: Stand,
) -> None:
    verdict = Verdict(lxd=stand.lxd)
    assert isinstance(stand.ensure(verdict=verdict), ImageReady)
    (seen,) = verdict.seen
    template = stand.settings().template
    asked = instance_request(template, name=seen.name, user_data="", metadata={})
    assert seen.ephemeral
    assert seen.devices["eth0"] == asked["devices"]["eth0"]
    assert seen.config["security.devlxd"] == "false"
    assert seen.config[USER_DATA] == f"echo {seen.name}\nexec sleep 3600\n"
    told = {key: value for key, value in seen.config.items() if key.startswith("user.")}
    assert told == marks.of_builder(INSTALLATION)


def test_one_that_is_not_verified_is_removed_and_the_last_good_one_stays(stand: Stand) -> None:
    good = stand.built()
    failed = stand.ensure(verdict=Verdict("it never said ready"), forced=True)
    assert failed == ImageFailed("verifying the image failed: it never said ready")
    assert stand.listing() == [good.fingerprint]
    assert stand.half_made() == []


def test_a_guest_that_can_not_even_be_made_is_expected_no_more(stand: Stand) -> None:
    base = stand.built().base

    class Forestalled(Verdict):
        """Somebody else takes the name of the verifying instance before it is made."""

        def parameters(self, name: str) -> str:
            self.seen.append(name)
            stand.lxd.create(_request(stand, name, base), limit_s=30)
            return super().parameters(name)

    verdict = Forestalled()
    failed = stand.ensure(verdict=verdict, forced=True)
    assert isinstance(failed, ImageFailed)
    assert failed.reason.startswith("making instance")
    assert verdict.forgotten == verdict.seen != []


@pytest.mark.parametrize(
    ("script", "limit_s", "reason"),
    [
        ("echo no such package; exit 7", 60, 'step "make a mark" with 7: .*no such package'),
        ("sleep 600", 3, r"provisioning: could not run /bin/sh in instance web-image-build-\S+ to"),
        ("poweroff -f; sleep 600", 60, "provisioning"),
    ],
)
def test_a_script_that_fails_is_told_of_and_leaves_nothing(
    stand: Stand, tmp_path: Path, script: str, limit_s: float, reason: str
) -> None:
    path = tmp_path / "own"
    path.write_text(f"#!/bin/sh\n{script}\n")
    failed = stand.ensure(stand.work(script=path, limits_s={"building": limit_s}))
    assert isinstance(failed, ImageFailed)
    assert not failed.outage
    assert re.search(reason, failed.reason), failed.reason
    assert stand.listing() == []
    assert stand.half_made() == []


def test_another_application_makes_another_image_and_the_old_one_goes_when_nobody_uses_it(
    stand: Stand,
) -> None:
    old = stand.built()
    stand.lxd.create(_request(stand, "runner", old.fingerprint), limit_s=30)
    stand.archive.write_bytes(b"a newer application")
    new = stand.built()
    assert (new.application, new.base) == (stand.application.sha256, old.base)
    assert stand.work().clean_up() == ()
    assert stand.listing() == [new.fingerprint, old.fingerprint]
    stand.lxd.delete("runner", limit_s=30)
    assert stand.work().clean_up(frozenset({old.fingerprint})) == ()
    assert stand.work().clean_up() == (f"image {old.fingerprint[:12]} {old.alias}",)
    assert stand.listing() == [new.fingerprint]


def test_images_of_other_installations_are_left_alone(stand: Stand) -> None:
    other = stand.work(installation="web-2")
    theirs = stand.built(other)
    ours = stand.built()
    assert stand.work().clean_up() == ()
    assert ours.fingerprint != theirs.fingerprint
    assert stand.listing() == [ours.fingerprint]
    assert other.clean_up() == ()


def test_an_image_that_anybody_has_imported_is_neither_used_nor_removed(stand: Stand) -> None:
    good = stand.built()
    (said,) = [
        one.properties for one in stand.lxd.stored_images() if one.fingerprint == good.fingerprint
    ]
    forged = {**said, "supervisor.built-at": "2099-01-01T00:00:00+00:00"}
    newer = {**said, "supervisor.number": "99"}
    half_made = {key: value for key, value in said.items() if not key.endswith("verified")}
    imported = [
        _imported(stand, given | {"n": str(n)})
        for n, given in enumerate((said, forged, newer, half_made))
    ]
    look = stand.work().look(stand.application)
    assert isinstance(look, Look)
    assert (look.choice.use, look.choice.build) == (good.fingerprint, False)
    assert stand.work().clean_up() == ()
    assert {one.fingerprint for one in stand.lxd.stored_images()} >= {*imported, good.fingerprint}


def test_one_that_somebody_has_named_stays(stand: Stand) -> None:
    old = stand.built()
    stand.lxd.name_image("prod-of-somebody", old.fingerprint)
    new = stand.built(forced=True)
    assert stand.work().clean_up() == ()
    assert stand.listing() == [new.fingerprint, old.fingerprint]
    stand.lxd._call("forget", "delete", "images", "aliases", "prod-of-somebody")
    assert stand.work().clean_up() == (f"image {old.fingerprint[:12]} {old.alias}",)


def test_a_build_that_is_abandoned_leaves_no_instance(stand: Stand) -> None:
    instances = {"ours": INSTALLATION, "theirs": "web-2", "runner": ""}
    fingerprint = stand.lxd.image(stand.made.image) or ""
    for name, mark in instances.items():
        request = _request(stand, name, fingerprint)
        config = {**request["config"], **(marks.of_builder(mark) if mark else {})}
        stand.lxd.create({**request, "config": config}, limit_s=30)
        stand.lxd.start(name, limit_s=30)
    image_upkeep.abandon(stand.made.endpoint, INSTALLATION, timedelta(seconds=20))
    assert {one.name for one in stand.lxd.instances()} == {"theirs", "runner"}


def test_a_lxd_that_hangs_does_not_keep_a_build_from_being_abandoned(stand: Stand) -> None:
    stand.made.daemon.pause()
    began = time.monotonic()
    try:
        image_upkeep.abandon(stand.made.endpoint, INSTALLATION, timedelta(seconds=1))
        assert time.monotonic() - began < 30
    finally:
        stand.made.daemon.resume()


def test_what_a_killed_build_has_published_is_removed(stand: Stand) -> None:
    class Killed(Exception):
        pass

    class Kill(Verdict):
        def parameters(self, name: str) -> str:
            raise Killed

    with pytest.raises(Killed):
        stand.ensure(verdict=Kill())
    (half_made,) = stand.half_made()
    assert stand.work().clean_up() == (f"unverified image {half_made[:12]}",)
    assert stand.half_made() == []


def test_a_key_that_can_not_be_used_is_told_of(stand: Stand) -> None:
    image = stand.built()
    stand.settings().key.chmod(0o644)
    for failed in (
        stand.ensure(),
        stand.work().look(stand.application),
        stand.work().clean_up(),
        stand.work().listing(),
    ):
        assert isinstance(failed, ImageFailed)
        assert "may be known to others: delete it" in failed.reason
    stand.settings().key.unlink()
    assert stand.built().fingerprint != image.fingerprint
    assert image.fingerprint in stand.lxd.images()


def test_an_image_that_floods_its_builder_or_its_probe_is_left_alone(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.work.image_build._MOST_OUTPUT", 2**20)
    path = tmp_path / "own"
    path.write_text("#!/bin/sh\nyes\n")
    failed = stand.ensure(stand.work(script=path))
    assert isinstance(failed, ImageFailed)
    assert "it writes over 1048576 bytes" in failed.reason
    assert stand.half_made() == []
    path.write_text(
        "#!/bin/sh\nprintf '#!/bin/sh\\nyes\\n' >/usr/bin/apt-get\nchmod 755 /usr/bin/apt-get\n"
    )
    image = stand.built(stand.work(script=path))
    ready = stand.ensure(stand.work(script=path), probing=True)
    assert isinstance(ready, ImageReady)
    assert (ready.image, ready.built) == (image, False)
    assert "it writes over 1048576 bytes" in ready.remark
    assert stand.half_made() == []


def test_one_that_has_lost_its_name_gets_it_again(stand: Stand) -> None:
    image = stand.built()
    stand.lxd._call("forget", "delete", "images", "aliases", image.alias)
    assert stand.built() == image
    assert stand.lxd.image(image.alias) == image.fingerprint


def test_a_build_on_order_makes_a_new_one_of_the_same_inputs(stand: Stand) -> None:
    first = stand.built()
    second = stand.built(forced=True)
    assert (first.digest, first.fingerprint != second.fingerprint) == (second.digest, True)
    assert stand.built(current=first.fingerprint) == second


def test_secrets_of_proxies_reach_the_builder_and_no_log(stand: Stand) -> None:
    proxy = Proxy("http://user:hunter22@127.0.0.1:3128")
    stand.built(stand.work(proxies=Proxies(http=proxy)))
    assert any("@127.0.0.1:3128" in line for line in stand.said)
    assert not any("hunter22" in line for line in stand.said)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo hello\n", "must begin with #!"),
        ("#!/bin/sh\n" + "#" * 300_000, "is larger than 256 KiB"),
        (None, "can't be read: No such file or directory"),
    ],
)
def test_an_own_script_that_is_of_no_use_is_told_of_before_anything_is_built(
    stand: Stand, tmp_path: Path, text: str | None, reason: str
) -> None:
    path = tmp_path / "own"
    if text is not None:
        path.write_text(text)
    failed = stand.ensure(stand.work(script=path))
    assert isinstance(failed, ImageFailed)
    assert failed.reason.startswith(f"image-script: {path}")
    assert reason in failed.reason


def test_a_base_image_that_is_not_there_or_of_another_kind_is_told_of(stand: Stand) -> None:
    failed = stand.work(base=BaseImage.parse("none")).look(stand.application)
    assert isinstance(failed, ImageFailed)
    assert "no image with the alias none in project" in failed.reason
    template = replace(stand.settings().template, type="virtual-machine")
    failed = stand.work(template=template).look(stand.application)
    assert isinstance(failed, ImageFailed)
    assert "is for instances of type container, and lxd.instance-type is virtual" in failed.reason


def test_a_prepared_image_is_found_by_its_alias(stand: Stand) -> None:
    fingerprint = stand.lxd.image(stand.made.image)
    assert stand.work().resolve(stand.made.image) == fingerprint
    assert isinstance(stand.work().resolve("none"), ImageFailed)


def test_what_cannot_be_probed_is_used_with_a_remark(stand: Stand) -> None:
    image = stand.built()
    ready = stand.ensure(probing=True)
    assert isinstance(ready, ImageReady)
    assert (ready.image, ready.built) == (image, False)
    assert "apt has ended with 127" in ready.remark
    assert stand.half_made() == []


def _imported(stand: Stand, properties: Mapping[str, str]) -> str:
    """Import an image that says this of itself, and give it no name."""
    metadata = {"architecture": platform.machine(), "creation_date": 1}
    text = json.dumps({**metadata, "properties": dict(properties)}).encode()
    path = stand.archive.with_name("forged.tar")
    with tarfile.open(path, "w") as archive:
        described = tarfile.TarInfo("metadata.yaml")
        described.size = len(text)
        archive.addfile(described, io.BytesIO(text))
        rootfs = tarfile.TarInfo("rootfs")
        rootfs.type = tarfile.DIRTYPE
        archive.addfile(rootfs)
    fingerprint = stand.lxd.import_image(path, alias="forged")
    stand.lxd._call("forget", "delete", "images", "aliases", "forged")
    return fingerprint


def _request(stand: Stand, name: str, fingerprint: str) -> dict[str, Any]:
    script = "exec sleep 3600\n"
    template = stand.settings().template
    request = instance_request(template, name=name, user_data=script, metadata={})
    return {**request, "source": {"type": "image", "fingerprint": fingerprint}}
