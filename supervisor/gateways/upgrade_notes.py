"""What is noted of upgrades on the disk, for those who are started later: `upgrades/notes.py`."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from supervisor.gateways.note_file import NoteFile
from supervisor.upgrades.notes import Note

_NOTES = TypeAdapter(dict[str, Note])


class UpgradeNotes:
    """A note of each thing that is kept current, in a file. For one thread at a time.

    Args:
        path: of the file; its directory is made with it.
    """

    def __init__(self, path: Path) -> None:
        self._file = NoteFile(path, _NOTES, {}, "how upgrades fare")

    @property
    def warning(self) -> str:
        """Why something could not be noted; empty while all is."""
        return self._file.warning

    def of(self, what: str) -> Note:
        """Give what is noted of a thing; an empty note if nothing is."""
        return self._file.value.get(what, Note())

    def keep(self, what: str, note: Note) -> None:
        """Note something else of it."""
        self._file.keep({**self._file.value, what: note})
