"""What an image of ours says of itself, in LXD's properties: there is no other record of it.

Anybody's image may say the same; ours is what the installation has sealed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from supervisor.images.seal import PREFIX, Seal
from supervisor.text import moments

_BASE_OF = f"{PREFIX}base-of"
_VERIFIED = f"{PREFIX}verified"
_YES = "true"
_SHORT = 8
_HEX = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


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
        built_at: when (UTC), by a clock that may have been wrong.
        number: counts the installation's images: a later one has a higher one.
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
    number: int = 0
    verified: bool = False
    aliases: tuple[str, ...] = ()
    size: int = 0

    @property
    def alias(self) -> str:
        """The name it gets: the installation's, when it was built, and of what."""
        at = self.built_at.astimezone(timezone.utc)
        return f"{self.installation}-image-{at:%Y%m%dt%H%M%S}-{self.digest[:_SHORT]}"

    @property
    def order(self) -> tuple[int, datetime, str]:
        """What says which of two was built later, whatever the clock has shown."""
        return self.number, self.built_at, self.fingerprint

    @property
    def has_other_names(self) -> bool:
        """Whether somebody has given it an alias: it is not ours alone then."""
        return bool(set(self.aliases) - {self.alias})

    def properties(self, seal: Seal) -> dict[str, str]:
        """Give what LXD is to keep with it.

        Before it is verified they are sealed for no fingerprint, as LXD makes that up only when it
        has them. So they may stand in another's image as well, which is removed as ours would be.
        """
        keys = {
            "installation": self.installation,
            "digest": self.digest,
            "type": self.type,
            "application": self.application,
            "base": self.base,
            "built-at": self.built_at.isoformat(timespec="seconds"),
            "number": str(self.number),
        }
        said = {"description": f"GitHub runner of {self.installation}"}
        said |= {f"{PREFIX}{key}": value for key, value in keys.items()}
        if not self.verified:
            return seal.put("", said)
        return seal.put(self.fingerprint, said | {_VERIFIED: _YES})

    @classmethod
    def read(
        cls,
        fingerprint: str,
        properties: Mapping[str, str],
        seal: Seal,
        *,
        aliases: tuple[str, ...] = (),
        size: int = 0,
    ) -> "BuiltImage | None":
        """Read what an image says of itself; None if no installation of this seal has built it.

        One that says too little is unverified, whatever it says: nobody uses it, and it goes.
        """
        said = {key: properties.get(f"{PREFIX}{key}", "") for key in ("installation", "digest")}
        verified = properties.get(_VERIFIED) == _YES
        if not all(said.values()) or not seal.holds(fingerprint if verified else "", properties):
            return None
        built_at = moments.read(properties.get(f"{PREFIX}built-at", ""))
        application = properties.get(f"{PREFIX}application", "")
        number = _NUMBER.fullmatch(properties.get(f"{PREFIX}number", ""))
        digests = (said["digest"], application)
        whole = built_at and number and all(map(_HEX.fullmatch, digests))
        return cls(
            fingerprint=fingerprint,
            installation=said["installation"],
            digest=said["digest"],
            type=properties.get(f"{PREFIX}type", ""),
            application=application,
            base=properties.get(f"{PREFIX}base", ""),
            built_at=built_at or datetime.fromtimestamp(0, timezone.utc),
            number=int(number[0]) if number else 0,
            verified=bool(whole) and verified,
            aliases=aliases,
            size=size,
        )


def of_base(installation: str, fingerprint: str, seal: Seal) -> dict[str, str]:
    """Give the properties of a base image that was pulled for an installation."""
    return seal.put(fingerprint, {_BASE_OF: installation})


def is_base_of(
    installation: str, fingerprint: str, properties: Mapping[str, str], seal: Seal
) -> bool:
    """Tell whether an image was pulled to build others from, for this installation."""
    is_said = properties.get(_BASE_OF) == installation
    return is_said and seal.holds(fingerprint, properties)


def names(installation: str, properties: Mapping[str, str]) -> bool:
    """Tell whether an image says that it is an installation's, whoever has written that."""
    return installation in {properties.get(f"{PREFIX}installation"), properties.get(_BASE_OF)}
