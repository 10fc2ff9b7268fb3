"""What tells an installation's own images from those that anybody may have made to look like them.

LXD takes an image's properties from the file that it is imported from, so whoever can have a file
imported can have any properties. What counts is what the installation has sealed, with a secret
that nobody else has.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

PREFIX = "supervisor."
_SEAL = f"{PREFIX}seal"


@dataclass(frozen=True)
class Seal:
    """Seals an image's properties, and tells whether they are as they were sealed.

    Attributes:
        key: the installation's secret.
    """

    key: bytes = field(repr=False)

    def put(self, fingerprint: str, properties: Mapping[str, str]) -> dict[str, str]:
        """Add the seal to properties.

        Args:
            fingerprint: of the image that they are for, and of no other; empty before it has one.
            properties: of these, those of ours are sealed: LXD and people may add others.
        """
        return {**properties, _SEAL: self._of(fingerprint, properties)}

    def holds(self, fingerprint: str, properties: Mapping[str, str]) -> bool:
        """Tell whether an image's properties are what was sealed for it."""
        said = properties.get(_SEAL, "").encode()
        return hmac.compare_digest(said, self._of(fingerprint, properties).encode())

    def _of(self, fingerprint: str, properties: Mapping[str, str]) -> str:
        ours = sorted(
            (key, value)
            for key, value in properties.items()
            if key.startswith(PREFIX) and key != _SEAL
        )
        text = json.dumps([fingerprint, ours], separators=(",", ":"))
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()
