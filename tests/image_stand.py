"""An image's build on a real LXD: the tiny image for a base, a short script for a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from sandbox.private_lxd import PrivateLxd
from supervisor.gateways.lxd import Lxd
from supervisor.images.base import BaseImage
from supervisor.images.choice import Wish
from supervisor.images.properties import BuiltImage
from supervisor.images.settings import ImageLimits, ImageSettings
from supervisor.runners import marks
from supervisor.runners.instances import InstanceTemplate
from supervisor.upgrades.application import Application
from supervisor.work.image import ImageFailed, ImageReady, ImageWork

INSTALLATION = "web"
PROVISIONING = """\
set -eu
. "$BUILD_DIR/environment"
echo "step: make a mark"
echo "$APPLICATION_SHA256 $EXTRA_PACKAGES" >/etc/built
echo "proxy ${http_proxy-none}"
[ ! -f "$BUILD_DIR/script" ] || "$BUILD_DIR/script"
sha256sum "$BUILD_DIR/application.tar.gz" | cut -c 1-64
rm -rf "$BUILD_DIR"
"""
"""What stands in for the real script, which takes a Debian: it leaves a trace."""


@dataclass
class Verdict:
    """A verification that says what it is told to, and keeps what it was asked."""

    wrong: str = ""
    lxd: Lxd | None = None
    seen: list[Any] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def parameters(self, name: str) -> str:
        return f"echo {name}\nexec sleep 3600\n"

    def wait(self, name: str, limit_s: float) -> str:
        self.seen.append(self.lxd.instance(name) if self.lxd else name)
        return self.wrong

    def forget(self, name: str) -> None:
        self.forgotten.append(name)


@dataclass
class Stand:
    """One installation's images on a real LXD."""

    lxd: Lxd
    made: PrivateLxd
    archive: Path
    said: list[str] = field(default_factory=list)

    def settings(self, **changes: Any) -> ImageSettings:
        limits = {
            key: timedelta(seconds=seconds) for key, seconds in changes.pop("limits_s", {}).items()
        }
        template = InstanceTemplate(
            type="container",
            image="",
            pool=self.made.pool,
            network=self.made.network,
            profiles=(self.made.profile,),
            cpu=1,
            memory="512MiB",
            disk="4GiB",
        )
        settings = ImageSettings(
            installation=INSTALLATION,
            base=BaseImage.parse(self.made.image),
            template=template,
            key=self.archive.with_name("image-key"),
            architecture="x64",
            limits=replace(ImageLimits(), **limits),
        )
        return replace(settings, **changes)

    def work(self, **changes: Any) -> ImageWork:
        return ImageWork(self.lxd, self.settings(**changes))

    @property
    def application(self) -> Application:
        digest = sha256(self.archive.read_bytes()).hexdigest()
        return Application("https://example.com/application", digest, self.archive.name)

    def ensure(
        self, work: ImageWork | None = None, verdict: Verdict | None = None, **how: Any
    ) -> ImageReady | ImageFailed:
        self.said.clear()
        return (work or self.work()).ensure(
            self.application, self.archive, verdict or Verdict(), self.said.append, Wish(**how)
        )

    def built(self, work: ImageWork | None = None, **how: Any) -> BuiltImage:
        """Have one built, which must succeed."""
        ready = self.ensure(work, **how)
        assert isinstance(ready, ImageReady), ready
        return ready.image

    def listing(self) -> list[str]:
        """Return the fingerprints of the installation's images, the newest first."""
        images = self.work().listing()
        assert not isinstance(images, ImageFailed)
        return [image.fingerprint for image in images]

    def half_made(self) -> list[str]:
        """Return what a build has left: instances with its mark, and images without a verdict."""
        images = self.work().listing()
        assert not isinstance(images, ImageFailed)
        instances = [
            one.name
            for one in self.lxd.instances()
            if marks.is_builder_of(INSTALLATION, one.config)
        ]
        return instances + [image.fingerprint for image in images if not image.verified]

    def read(self, name: str, path: str) -> str:
        """Read a file of a running instance."""
        lines: list[str] = []
        assert self.lxd.run(name, ("cat", path), take=lines.append, limit_s=10) == 0
        return "\n".join(lines)


@pytest.fixture
def stand(lxd: Lxd, real_lxd: PrivateLxd, tmp_path: Path) -> Any:
    archive = tmp_path / "application.tar.gz"
    archive.write_bytes(b"an application")
    made = Stand(lxd, real_lxd, archive)
    before = {image.fingerprint for image in lxd.stored_images()}
    yield made
    for instance in lxd.instances():
        lxd.delete(instance.name, limit_s=30)
    for image in lxd.stored_images():
        if image.fingerprint not in before:
            lxd.delete_image(image.fingerprint)
