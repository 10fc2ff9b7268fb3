"""The work on the image that runners start from, as calls that block and return what is there.

A worker runs it in its thread, one call at a time: it holds nothing that changes, and raises
nothing that is LXD's or a file system's. LXD's images and instances are the only record of it, so
it may be killed at any point: what is half-made is never chosen, and `clean_up` removes it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from supervisor.gateways.lxd import LxdError, LxdUnavailable
from supervisor.image_build_work import BuildFailed, ImageBuild, Verification, provisioning_script
from supervisor.image_leftovers import ImageLeftovers
from supervisor.images.build_log import BuildLog
from supervisor.images.choice import Choice, choose
from supervisor.images.properties import BuiltImage
from supervisor.images.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from supervisor.gateways.lxd import Lxd
    from supervisor.images.settings import ImageSettings
    from supervisor.messages import Application

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
    """

    reason: str
    outage: bool = False
    log: str = ""


@dataclass(frozen=True)
class Look:
    """What is wanted and what there is.

    Attributes:
        recipe: what an image is to be built from.
        images: those that there are, of all installations.
        choice: what is to be done.
    """

    recipe: Recipe
    images: tuple[BuiltImage, ...]
    choice: Choice
