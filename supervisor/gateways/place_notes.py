"""Where runners may still be registered: notes on disk, which outlive whoever made them.

An instance says itself where its runner is registered. A registration without instance does not: of
one at a former place, nobody would know any more after a restart.
"""

from pathlib import Path

from loguru import logger

from supervisor.gateways.private_file import read_whole, write_whole
from supervisor.github import places


class PlaceNotes:
    """A file with a place in each line. For one thread at a time.

    Args:
        path: of the file; its directory is made with it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted = _read(path)
        self._is_written = True

    def all(self) -> frozenset[str]:
        """Give the places that are noted."""
        return self._noted

    def add(self, place: str) -> None:
        """Note that runners are registered there; what could not be written is tried again."""
        if place not in self._noted or not self._is_written:
            self._keep(self._noted | {place})

    def remove(self, place: str) -> None:
        """Note that nothing of ours is there any more."""
        if place in self._noted:
            self._keep(self._noted - {place})

    def _keep(self, noted: frozenset[str]) -> None:
        # This process knows it at any rate; the next one might not.
        self._noted = noted
        try:
            write_whole(self._path, "".join(f"{place}\n" for place in sorted(noted)))
            self._is_written = True
        except OSError as error:
            self._is_written = False
            logger.warning("can't note where runners are registered: {}", error)


def _read(path: Path) -> frozenset[str]:
    try:
        lines = read_whole(path).splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, ValueError) as error:
        logger.warning("can't read where runners were registered: {}", error)
        return frozenset()
    return frozenset(filter(None, map(places.parse, lines)))
