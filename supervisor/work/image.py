"""The work on the image that runners start from, as calls that block and return what is there.

A worker runs it in its thread, one call at a time: it holds nothing that changes, and raises
nothing that is LXD's or a file system's. LXD's images and instances are the only record of it, so
it may be killed at any point: what is half-made is never chosen, and `clean_up` removes it. What
the installation has not sealed is neither used nor removed, whatever it says of itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loguru import logger

from supervisor.causes import Cause, cause_of
from supervisor.gateways.image_key import seal_of
from supervisor.gateways.lxd import LxdError, LxdUnavailable
from supervisor.images.build_log import BuildLog
from supervisor.images.choice import Choice, choose
from supervisor.images.properties import BuiltImage
from supervisor.images.recipe import Recipe
from supervisor.runners import marks
from supervisor.work.image_base import BaseWork, NoBase, delete_image, made_from
from supervisor.work.image_build import (
    BuildFailed,
    ImageBuild,
    Verification,
    provisioning_script,
    read_images,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from supervisor.gateways.lxd import Lxd
    from supervisor.images.choice import Wish
    from supervisor.images.settings import ImageSettings
    from supervisor.upgrades.application import Application

_LARGEST_SCRIPT = 256 * 1024


@dataclass(frozen=True)
class ImageReady:
    """An image that is verified and has its alias.

    Attributes:
        image: which one.
        built: whether it was built just now.
        took_s: how long that took, all in all.
        remark: why it is not known whether its packages are the newest; empty if it is.
    """

    image: BuiltImage
    built: bool
    took_s: float
    remark: str = ""


@dataclass(frozen=True)
class ImageFailed:
    """There is no such image, and why.

    Attributes:
        reason: for the operator.
        outage: LXD did not answer, which says nothing of the image.
        log: the name of the build's log, for whoever keeps it.
        cause: the same as the reason, in a word.
    """

    reason: str
    outage: bool = False
    log: str = ""
    cause: Cause = Cause.UNKNOWN


@dataclass(frozen=True)
class Look:
    """What is wanted and what there is.

    Attributes:
        recipe: what an image is to be built from.
        images: the installation's that there are.
        choice: what is to be done.
    """

    recipe: Recipe
    images: tuple[BuiltImage, ...]
    choice: Choice

    @property
    def chosen(self) -> BuiltImage | None:
        """The image to use until there is a better one."""
        return next((image for image in self.images if image.fingerprint == self.choice.use), None)


class _Unfit(Exception):
    """Something that the operator has set can't be used; the message says what."""


@dataclass(frozen=True)
class ImageWork:
    """What is done for one configuration."""

    lxd: Lxd
    settings: ImageSettings

    def look(self, application: Application, *, current: str = "") -> Look | ImageFailed:
        """See what is wanted and what there is. A newer base image is pulled, nothing is built.

        Args:
            application: the runner application that is to be in the image.
            current: the fingerprint of the image that is in use until now.
        """
        try:
            return self._look(application, current)
        except (LxdError, OSError, NoBase, _Unfit) as error:
            return _failed(error)

    def ensure(
        self,
        application: Application,
        archive: Path,
        verification: Verification,
        note: Callable[[str], object],
        wish: Wish,
    ) -> ImageReady | ImageFailed:
        """See to it that there is an image of what is wanted; one that is right stays as it is.

        Args:
            application: the runner application that is to be in the image.
            archive: its archive.
            verification: how a new image is verified.
            note: takes the lines of the build's log.
            wish: how it is to be.
        """
        began = time.monotonic()
        log = BuildLog(note, self.settings.proxies.secrets())
        try:
            build = ImageBuild(self.lxd, self.settings, seal_of(self.settings.key), log)
            look = self._look(application, wish.current)
            self._remove_half_made()
            image, remark = look.chosen, ""
            if image and not look.choice.build and not wish.forced:
                outdated, remark = self._outdated(build, image) if wish.probing else ("", "")
                if not outdated:
                    took_s = time.monotonic() - began
                    return ImageReady(self._named(image), built=False, took_s=took_s, remark=remark)
                log.write(f"out of date: {outdated}")
            number = 1 + max((one.number for one in look.images), default=0)
            image = build.build(look.recipe, archive, verification, number=number)
        except (LxdError, OSError, BuildFailed, NoBase, _Unfit) as error:
            return _failed(error)
        return ImageReady(image, built=True, took_s=time.monotonic() - began)

    def listing(self) -> tuple[BuiltImage, ...] | ImageFailed:
        """List the installation's images, the newest first."""
        try:
            images = self._ours()
        except (LxdError, OSError) as error:
            return _failed(error)
        return tuple(sorted(images, key=lambda image: image.order, reverse=True))

    def clean_up(self, in_use: frozenset[str] = frozenset()) -> tuple[str, ...] | ImageFailed:
        """Remove half-made builders, unverified images and old ones that nobody uses.

        The newest verified image stays in any case.

        Args:
            in_use: fingerprints of images that are, or will be, in use; what LXD's instances were
                made from counts as well.

        Returns:
            What was removed, in words.
        """
        try:
            removed = self._remove_half_made()
            images = self._ours()
            in_use |= made_from(self.lxd)
            choice = choose(
                "",
                images,
                in_use,
                installation=self.settings.installation,
                instance_type=self.settings.template.type,
            )
            aliases = {image.fingerprint: image.aliases for image in images}
            for fingerprint in choice.delete:
                if delete_image(self.lxd, fingerprint):
                    removed += (" ".join(("image", fingerprint[:12], *aliases[fingerprint])),)
        except (LxdError, OSError) as error:
            return _failed(error)
        return removed

    def resolve(self, alias: str) -> str | ImageFailed:
        """Return the fingerprint of an image that somebody has prepared."""
        try:
            return self._bases.by_alias(alias)
        except (LxdError, OSError, NoBase) as error:
            return _failed(error)

    @property
    def _bases(self) -> BaseWork:
        settings = self.settings
        return BaseWork(
            self.lxd,
            settings.base,
            settings.installation,
            seal_of(settings.key),
            settings.template.type,
            settings.limits.pulling,
        )

    def _look(self, application: Application, current: str) -> Look:
        settings = self.settings
        recipe = Recipe(
            base=self._bases.newest(),
            instance_type=settings.template.type,
            architecture=settings.architecture,
            application=application.sha256,
            provisioning=provisioning_script(),
            packages=settings.packages,
            script=_script(settings.script),
            needs_aproxy=settings.needs_aproxy,
            runner_user=settings.runner_user,
            runner_home=settings.runner_home,
        )
        images = self._ours()
        choice = choose(
            recipe.digest,
            images,
            made_from(self.lxd),
            current,
            installation=settings.installation,
            instance_type=recipe.instance_type,
        )
        return Look(recipe, images, choice)

    def _outdated(self, build: ImageBuild, image: BuiltImage) -> tuple[str, str]:
        """Say which packages are out of date, and why that is not known."""
        try:
            return build.outdated(image), ""
        except BuildFailed as error:
            if error.outage:
                raise
            return "", str(error)

    def _named(self, image: BuiltImage) -> BuiltImage:
        """Give an image its alias, if whoever has verified it did not come to that."""
        if image.alias in image.aliases:
            return image
        self.lxd.name_image(image.alias, image.fingerprint)
        return replace(image, aliases=(*image.aliases, image.alias))

    def _remove_half_made(self) -> tuple[str, ...]:
        """Remove what a build has left that was killed."""
        removed = [
            f"instance {instance.name}"
            for instance in self.lxd.instances()
            if marks.is_builder_of(self.settings.installation, instance.config)
            and self._delete_instance(instance.name)
        ]
        removed.extend(
            f"unverified image {image.fingerprint[:12]}"
            for image in self._ours()
            if not (image.verified or image.has_other_names)
            and delete_image(self.lxd, image.fingerprint)
        )
        return tuple(removed)

    def _delete_instance(self, name: str) -> bool:
        """Delete an instance of a build; one that LXD does not let go of stays for now."""
        limit_s = self.settings.limits.removing.total_seconds()
        try:
            return self.lxd.delete(name, limit_s=limit_s)
        except LxdUnavailable:
            raise
        except LxdError as error:
            logger.warning("instance {} of an image's build stays for now: {}", name, error)
            return False

    def _ours(self) -> tuple[BuiltImage, ...]:
        installation = self.settings.installation
        images = read_images(self.lxd, seal_of(self.settings.key))
        return tuple(one for one in images if one.installation == installation)


def fault_of_script(path: Path | None) -> str:
    """Say in a line why the operator's own script can't be used; empty if it can."""
    try:
        _script(path)
    except _Unfit as error:
        return str(error)
    return ""


def _script(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_SCRIPT + 1)
        text = content.decode()
    except OSError as error:
        raise _Unfit(f"image-script: {path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _Unfit(f"image-script: {path} is no text") from error
    if len(content) > _LARGEST_SCRIPT:
        raise _Unfit(f"image-script: {path} is larger than {_LARGEST_SCRIPT >> 10} KiB")
    if not text.startswith("#!"):
        raise _Unfit(f"image-script: {path} must begin with #! and its interpreter, as #!/bin/sh")
    return text


def _failed(error: Exception) -> ImageFailed:
    outage = isinstance(error, LxdUnavailable) or getattr(error, "outage", False)
    return ImageFailed(str(error), outage=outage, cause=cause_of(error))
