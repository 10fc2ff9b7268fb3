"""The work that an image's actor gives to a worker: blocks, and returns what there is to be told.

What is done to images stands in `work.image`; here it is given the guest that tries an image, and
somewhere to keep what a build has said.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from loguru import logger

from supervisor.config import Config, ConfigError, LogsConfig
from supervisor.gateways.log_store import LogStore
from supervisor.gateways.lxd import Lxd, LxdEndpoint, LxdError
from supervisor.guest import logs as guest_logs
from supervisor.images.properties import BuiltImage
from supervisor.runners import marks
from supervisor.work.image import ImageFailed, ImageReady, ImageWork, fault_of_script

if TYPE_CHECKING:
    from supervisor.gateways.application_store import ApplicationStore
    from supervisor.images.choice import Wish
    from supervisor.runners.visitors import Trial
    from supervisor.upgrades.application import Application

_STEPS = ("phase: ", "step: ")
_HEAD_BYTES = 4096
"""What a file's first lines may take, beside what is kept of the build's own."""


@dataclass(frozen=True)
class Resolved:
    """The image that a prepared one's alias means now."""

    fingerprint: str


@dataclass(frozen=True)
class Listed:
    """The installation's images that are there, the newest first."""

    images: tuple[BuiltImage, ...]


@dataclass(frozen=True)
class Unseen:
    """It is not known what there is, and why."""

    failure: ImageFailed


@dataclass(frozen=True)
class Tidied:
    """What is not needed has been removed.

    Attributes:
        left: there are images of ours still, of which some may not be needed before long.
    """

    left: bool


def check(config: Config) -> None:
    """Check that what is to be put into an image can be read.

    Raises:
        ConfigError: it can't.
    """
    if fault := fault_of_script(config.image_script):
        raise ConfigError(fault)


def see(work: ImageWork, alias: str) -> Resolved | Listed | Unseen:
    """See which images there are. LXD is only asked, so it may be done while one is built.

    Args:
        work: on the images.
        alias: of a prepared image, which alone counts then; empty if images are built.
    """
    found = work.resolve(alias) if alias else work.listing()
    if isinstance(found, ImageFailed):
        return Unseen(found)
    return Resolved(found) if isinstance(found, str) else Listed(found)


def abandon(endpoint: LxdEndpoint, installation: str, limit: timedelta) -> None:
    """Remove the instance of a build that is under way; its image is not waited for any more.

    It takes no longer than the limit, also with a LXD that hangs. What is there still is removed
    when the daemon starts again.
    """
    limit_s = limit.total_seconds()
    lxd = Lxd(replace(endpoint, timeout_s=min(limit_s, endpoint.timeout_s)))

    def remove() -> None:
        try:
            for instance in lxd.instances():
                if marks.is_builder_of(installation, instance.config):
                    lxd.delete(instance.name, limit_s=limit_s)
                    logger.info("the build of an image is abandoned: {} is gone", instance.name)
        except LxdError as error:
            logger.warning("an instance of an image's build stays for now: {}", error)

    thread = threading.Thread(target=remove, name="abandoning", daemon=True)
    thread.start()
    thread.join(limit_s)


def tidy(work: ImageWork, spared: frozenset[str]) -> Tidied | ImageFailed:
    """Remove what no instance was made from and nobody needs."""
    removed = work.clean_up(spared)
    if isinstance(removed, ImageFailed):
        return removed
    for what in removed:
        logger.info("removed what is not needed for runners' images any more: {}", what)
    return Tidied(left=bool(work.listing()))


@dataclass(frozen=True)
class Build:
    """What one build is given.

    Attributes:
        application: the runner application that is to be in the image.
        applications: where its archive is; it stays there during the build.
        trial: tries what was built.
        wish: how it is to be.
    """

    application: Application
    applications: ApplicationStore
    trial: Trial
    wish: Wish


@dataclass(frozen=True)
class BuildLogs:
    """Where what a build says is kept, and how much of it."""

    store: LogStore
    config: LogsConfig

    def save(self, name: str, lines: list[str], reason: str, at: datetime) -> str:
        """Keep a build's log: the name that it has then, empty where there is nothing to keep.

        The end counts: a build says there what is wrong with it.
        """
        text = guest_logs.ending("\n".join(lines) + "\n", self.config.most_bytes - _HEAD_BYTES)
        try:
            if lines:
                self.store.save(
                    name,
                    text,
                    reason=reason,
                    at=at,
                    keep=self.config.keep,
                    most_bytes=self.config.most_bytes,
                )
        except OSError as error:
            logger.warning("the log of an image's build is lost: {}", error)
            return ""
        return name if lines else ""


def build(
    work: ImageWork,
    wanted: Build,
    logs: BuildLogs,
    at: datetime,
    step: Callable[[str], object],
) -> ImageReady | ImageFailed:
    """See to it that there is an image of what is wanted, and keep what its build has said.

    Args:
        work: on the images.
        wanted: what is built.
        logs: where its log goes.
        at: when it begins (aware).
        step: told what it is at; in this thread.
    """
    lines: list[str] = []

    def note(line: str) -> None:
        lines.append(line)
        for beginning in _STEPS:
            if line.startswith(beginning):
                step(line.removeprefix(beginning))

    with wanted.applications.held(wanted.application.sha256) as archive:
        found = work.ensure(wanted.application, archive, wanted.trial, note, wanted.wish)
    name = f"image-{at:%Y%m%dt%H%M%S}"
    if isinstance(found, ImageFailed):
        return replace(found, log=logs.save(name, lines, found.reason, at))
    if found.built:
        logs.save(name, lines, f"built {found.image.alias} in {found.took_s:.0f} s", at)
    return found
