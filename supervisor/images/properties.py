"""What an image of ours says of itself, in LXD's properties: there is no other record of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from supervisor import moments

_PREFIX = "supervisor."
_BASE_OF = f"{_PREFIX}base-of"
_VERIFIED = f"{_PREFIX}verified"
_YES = "true"
_SHORT = 8
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BuiltImage:
    """An image that was built by an installation.

    Attributes:
        fingerprint: LXD's name of it; empty before it is published.
        installation: whose it is.
        digest: of the recipe.
        type: of the instances it is for, in LXD's words.
        application: SHA-256 of the runner application in it.
        base: the fingerprint of the image it was built from.
        built_at: when (UTC).
        verified: whether an instance of it has booted and reported ready.
        aliases: its names in LXD.
        size: in bytes.
    """

    fingerprint: str
    installation: str
    digest: str
    type: str
    application: str
    base: str
    built_at: datetime
    verified: bool = False
    aliases: tuple[str, ...] = ()
    size: int = 0

    @property
    def alias(self) -> str:
        """The name it gets: the installation's, when it was built, and of what."""
        at = self.built_at.astimezone(timezone.utc)
        return f"{self.installation}-image-{at:%Y%m%dt%H%M%S}-{self.digest[:_SHORT]}"

    def properties(self) -> dict[str, str]:
        """Give what LXD is to keep with it."""
        keys = {
            "installation": self.installation,
            "digest": self.digest,
            "type": self.type,
            "application": self.application,
            "base": self.base,
            "built-at": self.built_at.isoformat(timespec="seconds"),
        }
        described = {"description": f"GitHub runner of {self.installation}"}
        return described | {f"{_PREFIX}{key}": value for key, value in keys.items()}

    @classmethod
    def read(
        cls,
        fingerprint: str,
        properties: Mapping[str, str],
        *,
        aliases: tuple[str, ...] = (),
        size: int = 0,
    ) -> "BuiltImage | None":
        """Read what an image says of itself; None if it was not built by an installation.

        One that says too little is unverified, whatever it says: nobody uses it, and it goes.
        """
        said = {key: properties.get(f"{_PREFIX}{key}", "") for key in ("installation", "digest")}
        if not all(said.values()):
            return None
        built_at = moments.read(properties.get(f"{_PREFIX}built-at", ""))
        application = properties.get(f"{_PREFIX}application", "")
        whole = built_at and _HEX.fullmatch(said["digest"]) and _HEX.fullmatch(application)
        return cls(
            fingerprint=fingerprint,
            installation=said["installation"],
            digest=said["digest"],
            type=properties.get(f"{_PREFIX}type", ""),
            application=application,
            base=properties.get(f"{_PREFIX}base", ""),
            built_at=built_at or datetime.fromtimestamp(0, timezone.utc),
            verified=bool(whole) and properties.get(_VERIFIED) == _YES,
            aliases=aliases,
            size=size,
        )


def of_verified() -> dict[str, str]:
    """Give the property of an image that may be used."""
    return {_VERIFIED: _YES}


def of_base(installation: str) -> dict[str, str]:
    """Give the property of a base image that was pulled for an installation."""
    return {_BASE_OF: installation}


def is_base_of(installation: str, properties: Mapping[str, str]) -> bool:
    """Tell whether an image was pulled to build others from, for this installation."""
    return properties.get(_BASE_OF) == installation
