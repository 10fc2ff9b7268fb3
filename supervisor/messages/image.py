"""What the image's actor may be told, and what it announces."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnnounceImage:
    """Say to the fleet what runners start from: answered by `ImageChanged`."""


@dataclass(frozen=True)
class ImageChanged:
    """What runners start from has changed.

    Attributes:
        image: the image's fingerprint; empty if there is none.
        reason: why there is none, for the operator; empty if there is one.
        application: SHA-256 of the runner application in it; empty if that is not known.
        instance_type: what it is for, as `lxd.instance-type` says it; no others start from it.
    """

    image: str = ""
    reason: str = ""
    application: str = ""
    instance_type: str = ""


@dataclass(frozen=True)
class BuildImage:
    """Build the image anew, though nothing that it is made of has changed.

    Asked, it is answered by `BuildOrdered`, or by `BuildRefused`.
    """

    why: str = ""


@dataclass(frozen=True)
class BuildOrdered:
    """When a build that was ordered is done.

    Attributes:
        done_by: how many orders this incarnation of the actor will have carried out then.
        incarnation: of the actor; another one knows nothing of the order.
    """

    done_by: int
    incarnation: str


@dataclass(frozen=True)
class BuildRefused:
    """No image is built, and why."""

    reason: str
