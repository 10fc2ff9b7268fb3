"""Whether a directory is in nobody's hands but root's, and perhaps this process's user's."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def distrust(directory: Path, *, roots_alone: bool = False) -> str:
    """Say in whose hands a directory is, and what would be right; empty if it can be trusted.

    Who owns or may write a directory above can put another in its place, unless its sticky bit
    keeps what is in it for its owners. Links are followed, and must be trusted too.

    Args:
        directory: what is to be trusted.
        roots_alone: this process's user must not have it either, as root writes there.

    Raises:
        OSError: it can't be looked at.
    """
    owners = {0} if roots_alone else {0, os.geteuid()}
    for part in (directory, *directory.parents):
        found = part.lstat()
        if found.st_uid not in owners:
            return f"{part} belongs to user {found.st_uid}, not to root: chown -h root {part}"
        if stat.S_ISLNK(found.st_mode):
            if why := distrust(part.parent / part.readlink(), roots_alone=roots_alone):
                return why
            continue
        is_sticky = found.st_mode & stat.S_ISVTX and part != directory
        if found.st_mode & _OTHERS_WRITE and not is_sticky:
            return f"{part} can be written by others than its owner: chmod go-w {part}"
    return ""
