"""The runner application's releases: what is offered, and the tarballs of older ones."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PLACE = "/actions/runner/releases/download"
"""Where tarballs are, as on github.com."""
_NAME = re.compile(
    r"actions-runner-linux-(?P<architecture>x64|arm64)-(?P<version>\d+\.\d+\.\d+)\.tar\.gz"
)


@dataclass(frozen=True)
class Release:
    """One version for one architecture."""

    tarball: Path
    version: str
    architecture: str
    sha256: str
    """As it is announced; empty if none is."""

    @property
    def filename(self) -> str:
        """The tarball's name."""
        return self.tarball.name

    @property
    def path(self) -> str:
        """The tarball's path on this server."""
        return f"{PLACE}/v{self.version}/{self.filename}"


class Releases:
    """All that were published. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._releases: dict[str, Release] = {}

    def publish(self, tarball: Path, sha256: str | None = None) -> Release:
        """Offer a tarball from now on, for the architecture that its name tells.

        Args:
            tarball: named like GitHub's; one of the same name takes the place of the one before.
            sha256: what is announced; None for what it has, empty for nothing.

        Raises:
            ValueError: its name tells no version.
            OSError: it can't be read.
        """
        named = _NAME.fullmatch(tarball.name)
        if named is None:
            raise ValueError(
                f"{tarball} must be named actions-runner-linux-ARCHITECTURE-VERSION.tar.gz, like "
                "GitHub's, with x64 or arm64"
            )
        if sha256 is None:
            sha256 = hashlib.sha256(tarball.read_bytes()).hexdigest()
        release = Release(tarball, named["version"], named["architecture"], sha256)
        with self._lock:
            self._releases.pop(release.path, None)
            self._releases[release.path] = release
        return release

    def at(self, path: str) -> Release | None:
        """Return the release whose tarball is at a path."""
        with self._lock:
            return self._releases.get(path)

    def offered(self, architecture: str) -> Release | None:
        """Return what was published last for an architecture."""
        with self._lock:
            releases = reversed(self._releases.values())
            return next((one for one in releases if one.architecture == architecture), None)
