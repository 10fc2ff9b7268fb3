"""Whether the fleet is drained: an order that stands until it is taken back, whoever restarts."""

import threading
from datetime import datetime, timezone
from pathlib import Path

from loguru import logger

from supervisor.gateways.private_file import read_whole, write_whole


class DrainMark:
    """A file that is there while no runner is to be created. Any thread may use it.

    Args:
        path: of the file; its directory is made with it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._since = _read(path)
        self._lock = threading.Lock()

    @property
    def since(self) -> datetime | None:
        """When the fleet was ordered to drain (aware, UTC); None if it is to be kept."""
        return self._since

    def set(self, now: datetime) -> None:
        """Have the fleet drained; one that is being drained stays so.

        Raises:
            OSError: it can't be noted, so a restarted daemon would not know; nothing is changed.
        """
        with self._lock:
            if not self._since:
                write_whole(self._path, now.isoformat())
                self._since = now

    def clear(self) -> None:
        """Have the fleet kept again.

        Raises:
            OSError: the note can't be removed; nothing is changed.
        """
        with self._lock:
            self._path.unlink(missing_ok=True)
            self._since = None


def _read(path: Path) -> datetime | None:
    try:
        since = datetime.fromisoformat(read_whole(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        # Creating none is the safe side, and an order ends it.
        logger.warning("{} can't be read, which counts as an order to drain: {}", path, error)
        return datetime.now(timezone.utc)
    return since if since.tzinfo else since.replace(tzinfo=timezone.utc)
