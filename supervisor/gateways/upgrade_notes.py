"""What is noted of upgrades on the disk, for those who are started later: `upgrades/notes.py`."""

from __future__ import annotations

from pathlib import Path

from loguru import logger
from pydantic import TypeAdapter

from supervisor.gateways.private_file import read_whole, write_whole
from supervisor.upgrades.notes import Note

_NOTES = TypeAdapter(dict[str, Note])


class UpgradeNotes:
    """A file of JSON with a note of each thing that is kept current. For one thread at a time.

    Args:
        path: of the file; its directory is made with it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._notes = _read(path)
        self._is_written = True

    def of(self, what: str) -> Note:
        """Give what is noted of a thing; an empty note if nothing is."""
        return self._notes.get(what, Note())

    def keep(self, what: str, note: Note) -> None:
        """Note something else of it; what could not be written is tried again with the next."""
        if note == self.of(what) and self._is_written:
            return
        # This process knows it at any rate; the next one might not.
        self._notes[what] = note
        try:
            write_whole(self._path, _NOTES.dump_json(self._notes).decode())
            self._is_written = True
        except OSError as error:
            if self._is_written:
                logger.warning("can't note how upgrades fare: {}", error)
            self._is_written = False


def _read(path: Path) -> dict[str, Note]:
    try:
        return _NOTES.validate_json(read_whole(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        words = str(error).splitlines()[0]
        logger.warning("can't read how upgrades fared, {}: {}", path, words)
        return {}
