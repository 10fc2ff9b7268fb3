"""Small files of the daemon's own, for its user alone."""

import errno
import os
import stat
from pathlib import Path
from tempfile import mkstemp

MOST_BYTES = 64 * 1024
"""No more of a file is read."""


def ensure_directory(path: Path) -> None:
    """See to it that files can be written in a directory of this user's; it is made if missing.

    Raises:
        OSError: they can't.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "belongs to another user", str(path))
    probe = path / "probe"
    write_whole(probe, "")
    probe.unlink()


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all; its directory is made with it.

    No link is followed that somebody else has put there.

    Raises:
        OSError: it can't be written; what was there before is there still.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Its own name for each writer, of which there can be several.
    opened, name = mkstemp(prefix=f"{path.name}.", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def read_whole(path: Path) -> str:
    """Read a small file: no link, and nothing that could keep its reader waiting.

    Raises:
        OSError: it can't be read, or is no regular file of a few kilobytes.
        ValueError: it is no text.
    """
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
            raise OSError(f"{path} is no small file")
        return os.read(opened, MOST_BYTES).decode()
    finally:
        os.close(opened)
