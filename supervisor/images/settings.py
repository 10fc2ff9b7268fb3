"""What an installation's images are to be."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from supervisor.guest import GuestParameters
from supervisor.images.base import BaseImage
from supervisor.runners.instances import InstanceTemplate
from supervisor.web.proxies import Proxies


@dataclass(frozen=True)
class ImageLimits:
    """How long each phase of a build may take."""

    pulling: timedelta = timedelta(minutes=30)
    creating: timedelta = timedelta(minutes=10)
    building: timedelta = timedelta(minutes=60)
    stopping: timedelta = timedelta(minutes=2)
    publishing: timedelta = timedelta(minutes=30)
    verifying: timedelta = timedelta(minutes=10)
    probing: timedelta = timedelta(minutes=10)
    removing: timedelta = timedelta(minutes=2)


@dataclass(frozen=True)
class ImageSettings:
    """What is built, and from what.

    Attributes:
        installation: whose images they are.
        base: what they are built from.
        template: what instances are made from, as runners are; its image does not count.
        key: the file of the secret that the installation's images are sealed with.
        architecture: in GitHub's words.
        packages: Debian packages besides those that every image has.
        script: the operator's own script, run as root at the end; None for none.
        proxies: what the builder reaches the internet through. Holds secrets.
        needs_aproxy: whether runners need aproxy.
        runner_user: who the application is unpacked by and belongs to.
        runner_home: its directory.
        limits: how long each phase may take.
    """

    installation: str
    base: BaseImage
    template: InstanceTemplate
    key: Path
    architecture: str
    packages: tuple[str, ...] = ()
    script: Path | None = None
    proxies: Proxies = field(default_factory=Proxies)
    needs_aproxy: bool = False
    runner_user: str = GuestParameters.runner_user
    runner_home: str = GuestParameters.runner_home
    limits: ImageLimits = field(default_factory=ImageLimits)
