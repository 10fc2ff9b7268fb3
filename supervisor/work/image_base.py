"""The work on the images that others are built from: found in LXD, or pulled and kept up to date.

It blocks, and raises what went wrong: `work.image` makes an answer of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from loguru import logger

from supervisor.causes import Cause, CausedError
from supervisor.gateways.lxd import LxdError, LxdUnavailable
from supervisor.images import properties

if TYPE_CHECKING:
    from supervisor.gateways.lxd import Lxd, StoredImage
    from supervisor.images.base import BaseImage
    from supervisor.images.seal import Seal

_MADE_FROM = "volatile.base_image"


class NoBase(CausedError):
    """LXD has no such image; the message says what would be right."""

    cause = Cause.IMAGE_MISSING


def made_from(lxd: Lxd) -> frozenset[str]:
    """Return the fingerprints of all images that instances were made from.

    Raises:
        LxdError: LXD can't be asked.
    """
    return frozenset(one.config.get(_MADE_FROM, "") for one in lxd.instances()) - {""}


def delete_image(lxd: Lxd, fingerprint: str) -> bool:
    """Delete an image that is of no use; one that LXD does not let go of stays for now.

    Returns:
        Whether there was one, and is no more.

    Raises:
        LxdUnavailable: LXD can't be asked.
    """
    try:
        return lxd.delete_image(fingerprint)
    except LxdUnavailable:
        raise
    except LxdError as error:
        logger.warning("image {} stays for now: {}", fingerprint[:12], error)
        return False


@dataclass(frozen=True)
class BaseWork:
    """What is done for one configuration."""

    lxd: Lxd
    base: BaseImage
    installation: str
    seal: Seal
    instance_type: str
    limit: timedelta

    def newest(self) -> str:
        """Return the fingerprint of the newest base image, which LXD has then.

        Raises:
            NoBase: there is none.
            LxdError: it can't be had.
        """
        if self.base.kind == "alias":
            return self.by_alias(self.base.alias)
        before = self.lxd.stored_images()
        fingerprint = self.lxd.pull_image(
            self.base.server,
            self.base.alias,
            instance_type=self.instance_type,
            limit_s=self.limit.total_seconds(),
        )
        # One that was there before without our mark is somebody else's, and stays when we go on.
        if fingerprint not in {image.fingerprint for image in before}:
            marks = properties.of_base(self.installation, fingerprint, self.seal)
            self.lxd.update_image(fingerprint, marks)
        used = made_from(self.lxd)
        for image in before:
            # We give it no alias: who has given it one wants to keep it.
            is_old = image.fingerprint not in used | {fingerprint} and not image.aliases
            if is_old and self._is_ours(image):
                delete_image(self.lxd, image.fingerprint)
        return fingerprint

    def _is_ours(self, image: StoredImage) -> bool:
        return properties.is_base_of(
            self.installation, image.fingerprint, image.properties, self.seal
        )

    def by_alias(self, alias: str) -> str:
        """Return the fingerprint of an image that LXD has, by its alias.

        Raises:
            NoBase: there is none, or one for another kind of instance.
            LxdError: LXD can't be asked.
        """
        fingerprint = self.lxd.image(alias)
        if fingerprint is None:
            raise NoBase(
                f"LXD has no image with the alias {alias} in project {self.lxd.endpoint.project}: "
                f"import it (lxc image copy … --alias {alias}), or name another"
            )
        wanted = self.instance_type
        for image in self.lxd.stored_images():
            if image.fingerprint == fingerprint and image.type not in {wanted, ""}:
                raise NoBase(
                    f"image {alias} is for instances of type {image.type}, and lxd.instance-type "
                    f"is {wanted}"
                )
        return fingerprint
