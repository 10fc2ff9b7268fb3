"""A version that did not come up, and the one that was put back: not tried again by itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from . import files


@dataclass(frozen=True)
class Setback:
    """What is told of it.

    Attributes:
        version: that did not come up.
        former: that was put back.
        words: the last that the one has logged.
    """

    version: str
    former: str
    words: str


class SetbackNote:
    """The note of it, which stays until another version is tried.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Setback | None:
        """Give what is noted; None if nothing is."""
        try:
            return Setback(**json.loads(files.read(self._path)))
        except (ValueError, TypeError):
            return None

    def write(self, setback: Setback) -> None:
        """Note it.

        Raises:
            OSError: that can't be noted.
        """
        files.write(self._path, json.dumps(asdict(setback)))

    def forget(self) -> None:
        """Have another version, or the same one, be tried.

        Raises:
            OSError: the note can't be removed.
        """
        self._path.unlink(missing_ok=True)
