"""The runner application as GitHub offers it."""

import re
from dataclasses import dataclass

_VERSION = re.compile(r"-(\d+(?:\.\d+)+)\.tar\.gz")


@dataclass(frozen=True)
class Application:
    """The runner application as GitHub offers it."""

    url: str
    sha256: str
    filename: str

    @property
    def version(self) -> str:
        """Its version, such as `2.330.0`, as its file's name tells it; empty if that tells none."""
        found = _VERSION.search(self.filename)
        return found[1] if found else ""
