"""One build of an image: an instance is provisioned, published, and what came of it is verified.

It blocks, and raises what went wrong: `work.image` makes an answer of that. What it makes on the
way carries the installation's mark, so that whoever comes after a kill knows it for what it is.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

from loguru import logger

from supervisor.causes import Cause, CausedError, cause_of
from supervisor.gateways.lxd import LxdError, LxdUnavailable, OperationFailed, Refused
from supervisor.images import freshness
from supervisor.images.properties import BuiltImage
from supervisor.runners import marks, naming
from supervisor.runners.instances import instance_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from supervisor.gateways.lxd import Lxd
    from supervisor.images.build_log import BuildLog
    from supervisor.images.recipe import Recipe
    from supervisor.images.seal import Seal
    from supervisor.images.settings import ImageSettings

_BUILD_DIR = "/var/lib/github-runner-image"
_PAUSE_S = 1.0
_LONGEST_REASON = 400
# What a builder, and what apt's answer to a question, may write; several times what they do.
_MOST_OUTPUT, _MOST_PROBED = 64 * 2**20, 2**20


class Verification(Protocol):
    """How a new image is verified: an instance of it is started as a runner's, and heard."""

    def parameters(self, name: str) -> str:
        """Give the user data of the instance of this name."""

    def wait(self, name: str, limit_s: float) -> str:
        """Wait for its word that all is well: empty then, else what is wrong."""

    def forget(self, name: str) -> None:
        """Take no more word of it, whether it was waited for or could not even be made."""


class BuildFailed(CausedError):
    """The build did not come to its end; the message is a sentence, and holds no secret."""

    def __init__(self, message: str, cause: Cause | None = None, *, outage: bool = False) -> None:
        super().__init__(message, cause)
        self.outage = outage


@cache
def provisioning_script() -> str:
    """Return what runs in the builder, apart from the assignments before it."""
    return _text("guest/application.sh") + _text("images/build.sh")


def read_images(lxd: Lxd, seal: Seal) -> list[BuiltImage]:
    """Read all images that were built and sealed with this seal.

    Raises:
        LxdError: LXD can't be asked.
    """
    read = (
        BuiltImage.read(
            image.fingerprint, image.properties, seal, aliases=image.aliases, size=image.size
        )
        for image in lxd.stored_images()
    )
    return [image for image in read if image]


@dataclass(frozen=True)
class ImageBuild:
    """What one build is done with; one thread does it."""

    lxd: Lxd
    settings: ImageSettings
    seal: Seal
    log: BuildLog

    def build(
        self, recipe: Recipe, archive: Path, verification: Verification, *, number: int
    ) -> BuiltImage:
        """Build an image and verify it; nothing of it is left where that fails.

        Args:
            recipe: what it is built from.
            archive: the runner application's.
            verification: how it is verified.
            number: the image's: higher than that of any before it.

        Raises:
            BuildFailed: there is no image.
        """
        built_at = datetime.now(timezone.utc).replace(microsecond=0)
        image = BuiltImage(
            fingerprint="",
            installation=self.settings.installation,
            digest=recipe.digest,
            type=recipe.instance_type,
            application=recipe.application,
            base=recipe.base,
            built_at=built_at,
            number=number,
        )
        with self._instance("build", recipe.base, "") as name:
            self._provision(name, recipe, archive)
            with self._phase("stopping the builder"):
                self._stop(name)
            with self._phase("publishing"):
                limit_s = self.settings.limits.publishing.total_seconds()
                fingerprint = self.lxd.publish(name, image.properties(self.seal), limit_s=limit_s)
        image = replace(image, fingerprint=fingerprint)
        try:
            return self._verify(image, verification)
        except BuildFailed:
            with contextlib.suppress(LxdError):  # or else `clean_up` has it deleted
                self.lxd.delete_image(fingerprint)
            raise

    def outdated(self, image: BuiltImage) -> str:
        """Say which packages of an image are out of date; empty if none is.

        Raises:
            BuildFailed: that can't be found out.
        """
        said: list[str] = []
        script = f"BUILD_DIR={_BUILD_DIR}\n{_text('images/probe.sh')}"
        limit = self.settings.limits.probing
        with self._instance("probe", image.fingerprint, "") as name:
            with self._phase("looking for newer packages"):
                self._furnish(name, script)
            code = self._run(name, "looking for newer packages", limit, said)
        if code:
            last = " / ".join(said[-2:])[:_LONGEST_REASON]
            raise BuildFailed(f"looking for newer packages: apt has ended with {code}: {last}")
        return freshness.in_words(freshness.outdated("\n".join(said)))

    def _provision(self, name: str, recipe: Recipe, archive: Path) -> None:
        with self._phase("putting the build's files into the builder"):
            self._furnish(name, _assignments(recipe) + recipe.provisioning)
            limit_s = self.settings.limits.creating.total_seconds()
            with archive.open("rb") as file:
                target = f"{_BUILD_DIR}/application.tar.gz"
                self.lxd.push_file(name, target, file, mode=0o600, limit_s=limit_s)
            if recipe.script:
                target, text = f"{_BUILD_DIR}/script", recipe.script.encode()
                self.lxd.push_file(name, target, text, mode=0o700, limit_s=limit_s)
        code = self._run(name, "provisioning", self.settings.limits.building)
        if code:
            ending = self.log.ending()[-_LONGEST_REASON:]
            raise BuildFailed(
                f'provisioning failed at the step "{self.log.step or "start"}" with {code}: '
                f"{ending}; the build's log says more"
            )

    def _run(self, name: str, phase: str, limit: timedelta, said: list[str] | None = None) -> int:
        def take(line: str) -> None:
            self.log.write(line)
            if said is not None:
                said.append(line)

        command, limit_s = ("/bin/sh", f"{_BUILD_DIR}/run.sh"), limit.total_seconds()
        most_bytes = _MOST_OUTPUT if said is None else _MOST_PROBED
        with self._phase(phase):
            return self.lxd.run(name, command, take=take, limit_s=limit_s, most_bytes=most_bytes)

    def _verify(self, image: BuiltImage, verification: Verification) -> BuiltImage:
        with self._phase("verifying"):
            limit_s = self.settings.limits.verifying.total_seconds()
            name = naming.new_builder_name(self.settings.installation, "check")
            try:
                user_data = verification.parameters(name)
                with self._made(name, image.fingerprint, user_data, ephemeral=True):
                    wrong = verification.wait(name, limit_s)
            finally:
                verification.forget(name)
            if wrong:
                raise BuildFailed(f"verifying the image failed: {wrong}")
            sealed = replace(image, verified=True).properties(self.seal)
            self.lxd.update_image(image.fingerprint, sealed)
            self.lxd.name_image(image.alias, image.fingerprint)
            images = read_images(self.lxd, self.seal)
            found = [one for one in images if one.fingerprint == image.fingerprint]
        if not found or not found[0].verified:
            raise BuildFailed("verifying the image failed: somebody else has removed or changed it")
        self.log.write(f"verified, and called {image.alias}")
        return found[0]

    @contextlib.contextmanager
    def _instance(self, kind: str, fingerprint: str, user_data: str) -> Iterator[str]:
        """Make an instance that commands can be run in, and remove it whatever happens."""
        name = naming.new_builder_name(self.settings.installation, kind)
        with self._made(name, fingerprint, user_data, ephemeral=False):
            with self._phase(f"waiting for instance {name}"):
                self._await_agent(name)
            yield name

    @contextlib.contextmanager
    def _made(
        self, name: str, fingerprint: str, user_data: str, *, ephemeral: bool
    ) -> Iterator[None]:
        request = self._request(name, fingerprint, user_data, ephemeral=ephemeral)
        limit_s = self.settings.limits.creating.total_seconds()
        try:
            with self._phase(f"making instance {name}"):
                self.lxd.create(request, limit_s=limit_s)
                self.lxd.start(name, limit_s=limit_s)
            yield
        finally:
            self._remove(name)

    def _request(
        self, name: str, fingerprint: str, user_data: str, *, ephemeral: bool
    ) -> dict[str, Any]:
        request = instance_request(
            self.settings.template,
            name=name,
            user_data=user_data,
            metadata=marks.of_builder(self.settings.installation),
        )
        source = {"type": "image", "fingerprint": fingerprint}
        return {**request, "source": source, "ephemeral": ephemeral}

    def _furnish(self, name: str, script: str) -> None:
        limit_s = self.settings.limits.creating.total_seconds()
        self.lxd.push_directory(name, _BUILD_DIR, mode=0o700, limit_s=limit_s)
        pushed = {"environment": _environment(self.settings), "run.sh": script}
        for file, text in pushed.items():
            target = f"{_BUILD_DIR}/{file}"
            self.lxd.push_file(name, target, text.encode(), mode=0o600, limit_s=limit_s)

    def _await_agent(self, name: str) -> None:
        """Wait until commands can be run: in a virtual machine that takes an agent of LXD's."""
        limit_s = self.settings.limits.creating.total_seconds()
        deadline = time.monotonic() + limit_s
        while True:
            try:
                self.lxd.run(name, ("true",), take=self.log.write, limit_s=limit_s)
            except (Refused, OperationFailed):
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return

    def _stop(self, name: str) -> None:
        limit_s = self.settings.limits.stopping.total_seconds()
        try:
            self.lxd.stop(name, limit_s=limit_s)
        except OperationFailed as error:
            self.log.write(f"the builder does not shut down ({error}): it is ended")
            self.lxd.stop(name, limit_s=limit_s, force=True)

    def _remove(self, name: str) -> None:
        limit_s = self.settings.limits.removing.total_seconds()
        try:
            self.lxd.delete(name, limit_s=limit_s)
        except LxdError as error:  # it has its mark: `clean_up` comes back to it
            logger.warning("instance {} of an image's build stays for now: {}", name, error)

    @contextlib.contextmanager
    def _phase(self, phase: str) -> Iterator[None]:
        self.log.write(f"phase: {phase}")
        try:
            yield
        except LxdUnavailable as error:
            raise BuildFailed(f"{phase}: {error}", error.cause, outage=True) from error
        except (LxdError, OSError) as error:
            raise BuildFailed(f"{phase}: {error}", cause_of(error)) from error


def _assignments(recipe: Recipe) -> str:
    values: Mapping[str, str] = {
        "BUILD_DIR": _BUILD_DIR,
        "RUNNER_USER": recipe.runner_user,
        "RUNNER_HOME": recipe.runner_home,
        "APPLICATION_SHA256": recipe.application,
        "EXTRA_PACKAGES": " ".join(recipe.packages),
        "NEEDS_APROXY": "yes" if recipe.needs_aproxy else "",
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _environment(settings: ImageSettings) -> str:
    proxies = settings.proxies
    values = {
        "http_proxy": proxies.http.url if proxies.http else "",
        "https_proxy": proxies.https.url if proxies.https else "",
        "no_proxy": ",".join(proxies.exceptions),
    }
    given = {name: value for name, value in values.items() if value}
    given |= {name.upper(): value for name, value in given.items()}
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in given.items())


def _text(name: str) -> str:
    return files("supervisor").joinpath(name).read_text(encoding="utf-8")
