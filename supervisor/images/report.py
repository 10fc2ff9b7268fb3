"""What people are told of the image that runners start from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from supervisor.causes import Cause
from supervisor.images.properties import BuiltImage
from supervisor.upgrades.application import Application

_SHORT = 12


@dataclass(frozen=True)
class Trouble:
    """Why the last attempt has failed.

    Attributes:
        reason: for the operator.
        at: when (aware).
        log: the name of the build's log; empty if there is none.
        cause: the same as the reason, in a word.
    """

    reason: str
    at: datetime
    log: str = ""
    cause: Cause = Cause.UNKNOWN

    def in_words(self, again: datetime | None) -> str:
        """Say it, with what the operator can read, and when it is tried again."""
        log = f" (supervisor-cli image logs {self.log})" if self.log else ""
        when = f"; the next try is at {again:%H:%M:%S}" if again else ""
        return f"{self.reason}{log}{when}"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What decides how it is with the image.

    Attributes:
        prepared: the alias of a prepared image; empty where images are built.
        fingerprint: of the image in use; empty if there is none.
        built: that one, if it was built here.
        doing: what a build is at; empty if none is under way.
        lacks: what is missing before one can be built; empty if nothing is, or none is needed.
        trouble: why the last attempt has failed; None after a success.
        again: when it is looked at, or tried, next.
        remark: what is not known of the image; empty if all is.
        untidy: why what is not needed could not be removed; empty if it was.
    """

    prepared: str = ""
    fingerprint: str = ""
    built: BuiltImage | None = None
    doing: str = ""
    lacks: str = ""
    trouble: Trouble | None = None
    again: datetime | None = None
    remark: str = ""
    untidy: str = ""

    @property
    def name(self) -> str:
        """What people call the image in use."""
        alias = self.prepared or (self.built.alias if self.built else "")
        return f"{alias} ({self.fingerprint[:_SHORT]})"

    def in_words(self) -> tuple[str, str]:
        """Give the state, one of ready, building, waiting and failing, and the reason."""
        if self.fingerprint:
            return "ready", f"{self.name}; {self.doing}" if self.doing else self.name
        if self.trouble:
            return "failing", self.trouble.in_words(self.again)
        if self.doing:
            return "building", self.doing
        return "waiting", self.lacks or "the images have not been looked at yet"

    @property
    def cause(self) -> Cause:
        """Why there is no image, in a word."""
        is_missing = self.trouble and not self.fingerprint
        return self.trouble.cause if self.trouble and is_missing else Cause.UNKNOWN

    def for_the_fleet(self) -> str:
        """Say why there is no image, in words that do not change at each step."""
        state, reason = self.in_words()
        if state == "building":
            reason = "the first is being built"
        return f"there is no image to start from: {reason}" if state != "ready" else ""

    def warnings(self) -> Iterator[str]:
        """Say what is not as it should be, though there is an image."""
        if not self.fingerprint:
            return
        if self.trouble and self.prepared:
            yield f"image: {self.trouble.in_words(self.again)}"
        elif self.trouble:
            yield f"image: no newer one could be made: {self.trouble.in_words(self.again)}"
        elif self.lacks:
            yield f"image: a newer one can't be built now: {self.lacks}"
        if self.remark:
            yield f"image: {self.remark}"
        if self.untidy:
            yield f"image: what is not needed stays for now: {self.untidy}"


def image_report(
    image: BuiltImage, *, used: str = "", application: Application | None = None
) -> dict[str, Any]:
    """Describe an image.

    Args:
        image: which one.
        used: the fingerprint of the one in use.
        application: the current one, for its version.
    """
    is_current = application is not None and image.application == application.sha256
    return {
        "fingerprint": image.fingerprint,
        "aliases": image.aliases,
        "built_at": image.built_at.isoformat(timespec="seconds"),
        "verified": image.verified,
        "used": image.fingerprint == used,
        "application": image.application,
        "application_version": application.version if application and is_current else "",
        "base": image.base,
        "size": image.size,
    }


def images_report(
    images: Iterable[BuiltImage], used: str, application: Application | None
) -> list[dict[str, Any]]:
    """Describe all of them."""
    return [image_report(image, used=used, application=application) for image in images]
