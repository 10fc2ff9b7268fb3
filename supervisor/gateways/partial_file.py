"""A file that has arrived in part, with a record beside it of what it is a part of."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from supervisor.gateways.private_file import read_whole, write_whole


@dataclass(frozen=True)
class Part:
    """What a file is a part of.

    Attributes:
        url: what was asked for.
        sha256: of the whole.
        validator: what the server has called this very content; empty if it has not.
        size: bytes of the whole; 0 if the server has not said.
    """

    url: str
    sha256: str
    validator: str = ""
    size: int = 0


class PartialFile:
    """A file on its way to its name, `NAME.partial` until it is whole.

    Nothing is believed of what an earlier process has left but what its record says, and that only
    as far as the hash of the whole proves it in the end.

    Args:
        target: the file it will be; its directory is there, and belongs to this user alone.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.partial")
        self._record = target.with_name(f"{target.name}.partial.json")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        with suppress(FileNotFoundError):
            return self.path.lstat().st_size
        return 0

    def part(self) -> Part | None:
        """Read the record; None if there is none that can be read."""
        try:
            return Part(**json.loads(read_whole(self._record)))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def begin(self, part: Part) -> None:
        """Start anew.

        Raises:
            OSError: it can't be written.
        """
        # In this order: at no moment stands a record beside a file that is another's.
        self.path.unlink(missing_ok=True)
        write_whole(self._record, json.dumps(asdict(part)))

    def open(self) -> BinaryIO:
        """Open it to add to its end.

        Raises:
            OSError: it can't be written.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(self.path, flags, 0o600), "ab")

    def finish(self) -> None:
        """Give it its name, once all of it is on the disk.

        Raises:
            OSError: it can't be written.
        """
        with self.open() as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self._record.unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove what is there of it."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            self._record.unlink(missing_ok=True)
