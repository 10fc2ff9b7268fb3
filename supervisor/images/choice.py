"""Which image runners start from, whether another is to be built, and which ones may go."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from supervisor.images.properties import BuiltImage


@dataclass(frozen=True)
class Wish:
    """How it is seen to that there is an image of what is wanted.

    Attributes:
        current: the fingerprint of the image in use until now; empty if there is none.
        forced: build one though nothing has changed.
        probing: build one if packages in the right one are out of date.
    """

    current: str = ""
    forced: bool = False
    probing: bool = False


@dataclass(frozen=True)
class Choice:
    """What is to be done about the images there are.

    Attributes:
        use: the fingerprint of the one to use: one made of what is wanted, or else the last good
            one; empty if there is none.
        build: whether one is to be built, as none is made of what is wanted.
        delete: fingerprints of those that nobody needs. Who gives one a name of his own needs it.
    """

    use: str
    build: bool
    delete: tuple[str, ...]


def choose(
    digest: str,
    images: Iterable[BuiltImage],
    in_use: frozenset[str],
    current: str = "",
    *,
    installation: str,
    instance_type: str,
) -> Choice:
    """Choose among the images there are.

    Args:
        digest: of the recipe that is wanted.
        images: those that were built.
        in_use: fingerprints of those that instances were made from, or are being made.
        current: the fingerprint of the one that is in use until now, if there is one.
        installation: whose choice it is.
        instance_type: what the image must be for, in LXD's words.
    """
    ours = [image for image in images if image.installation == installation]
    good = [image for image in ours if image.verified and image.type == instance_type]
    fitting = [image for image in good if image.digest == digest]
    kept = [image for image in good if image.fingerprint == current]
    best = max(fitting or kept or good, key=lambda image: image.order, default=None)
    use = best.fingerprint if best else ""
    spared = in_use | {use}
    delete = {image.fingerprint for image in ours if not image.has_other_names} - spared
    return Choice(use, not fitting, tuple(sorted(delete)))


def is_probe_due(
    image: BuiltImage, probed_at: datetime | None, now: datetime, interval: timedelta
) -> bool:
    """Tell whether it is time to see if the packages of an image are the newest.

    A moment that is yet to come was noted under a wrong clock, and says nothing.

    Args:
        image: which one.
        probed_at: when that was seen last; None if it was not.
        now: what the clock shows.
        interval: how often it is to be seen.
    """
    known = [moment for moment in (image.built_at, probed_at) if moment and moment <= now]
    return not known or now - max(known) >= interval
