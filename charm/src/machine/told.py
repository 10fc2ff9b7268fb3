"""What the daemon was told last: so that a hook that was killed before it told is made up for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from . import files

Step = Literal["start", "restart", "reload", "nothing"]
Life = Literal["down", "coming", "up"]
"""Whether the daemon runs; one that is coming can't be told to read anything again."""


@dataclass(frozen=True)
class Told:
    """Digests of what is on the disk.

    Attributes:
        version: of the daemon, as its environment is named.
        units: what systemd is told of it.
        credentials: what the service is given when it is started.
        configuration: what it reads again when it is told to.
    """

    version: str = ""
    units: str = ""
    credentials: str = ""
    configuration: str = ""

    @property
    def at_start(self) -> tuple[str, str, str]:
        """What is read when it is started, and never again."""
        return self.version, self.units, self.credentials


def step(
    *, told: Told, before: Told, now: Told, life: Life, restart_keys: tuple[str, ...] = ()
) -> Step:
    """Decide what has the daemon run with what is on the disk.

    Args:
        told: what it was told last.
        before: what was on the disk before the change whose `restart_keys` these are.
        now: what is on the disk.
        life: whether it runs.
        restart_keys: the keys that were changed and need a restart.
    """
    if life == "down":
        return "start"
    if now == told == before:
        return "nothing"
    # A daemon that is coming may have read what was there before, and can't be told to read anew.
    if life == "coming" or any(one.at_start != now.at_start for one in (told, before)):
        return "restart"
    # Which keys differ is known against what was on the disk; not, if it was never told of that.
    return "restart" if restart_keys or told.configuration != before.configuration else "reload"


class ToldNote:
    """The note of it.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Told:
        """Give what the daemon was told last; nothing, if that is not known."""
        try:
            return Told(**json.loads(files.read(self._path) or "{}"))
        except (ValueError, TypeError):
            return Told()

    def write(self, told: Told) -> None:
        """Note what it was told.

        Raises:
            OSError: that can't be noted.
        """
        files.ensure(self._path, json.dumps(asdict(told)))
