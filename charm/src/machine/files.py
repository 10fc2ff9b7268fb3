"""Small files that appear whole or not at all, with their mode and owner from the first moment."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

UNFINISHED = ".writing"
"""How a file's name ends that was not written to its end: it is to be taken for none."""


@dataclass(frozen=True)
class Owner:
    """Whom a file belongs to.

    Attributes:
        uid: the user.
        gid: the group.
    """

    uid: int
    gid: int


def ours() -> Owner:
    """Give who runs this: root, on a machine that is set up."""
    return Owner(os.geteuid(), os.getegid())


def write(path: Path, text: str, *, mode: int = 0o600, owner: Owner | None = None) -> None:
    """Write a file; its directory must be nobody's but root's, so that no link is planted there.

    Args:
        path: of the file.
        text: all that it holds.
        mode: who may read it. A secret is open to others at no moment.
        owner: root, if it is not said.

    Raises:
        OSError: it can't be written; what was there before is there still.
    """
    owner = owner or ours()
    new = _unfinished(path)
    new.unlink(missing_ok=True)  # of one that was killed
    opened = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(opened, "wb") as file:
            file.write(text.encode())
            os.fchmod(opened, mode)
            os.fchown(opened, owner.uid, owner.gid)
            file.flush()
            os.fsync(opened)  # a machine that loses its power must not find it empty
    except OSError as error:
        error.filename = str(path)  # the kernel knows only the number, such as where a disk is full
        raise
    new.replace(path)


def ensure(path: Path, text: str, *, mode: int = 0o600, owner: Owner | None = None) -> bool:
    """Write a file unless it is that already.

    Returns:
        Whether it was written.

    Raises:
        OSError: it can't be written.
    """
    if is_like(path, text, mode=mode, owner=owner):
        return False
    write(path, text, mode=mode, owner=owner)
    return True


def is_like(path: Path, text: str, *, mode: int = 0o600, owner: Owner | None = None) -> bool:
    """Tell whether a file holds this, and belongs to whom it should."""
    owner = owner or ours()
    try:
        found = path.lstat()
        return (
            stat.S_ISREG(found.st_mode)
            and stat.S_IMODE(found.st_mode) == mode
            and (found.st_uid, found.st_gid) == (owner.uid, owner.gid)
            and path.read_bytes() == text.encode()
        )
    except OSError:
        return False


def read(path: Path) -> str:
    """Give what a file of ours holds; empty if there is none."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def make_directory(path: Path, mode: int) -> None:
    """Make a directory of root's with this mode, if it is not there."""
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def link(path: Path, target: str) -> None:
    """Have a link point to something, from one moment to the next."""
    if path.is_symlink() and str(path.readlink()) == target:
        return
    new = _unfinished(path)
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)


def discard(path: Path) -> str:
    """Remove a file, a link or a directory with all in it, and what was to become it.

    What is gone already is fine.

    Returns:
        Why it could not be removed; empty if it is gone.
    """
    try:
        _unfinished(path).unlink(missing_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"{path}: can't be removed: {error.strerror}"
    return ""


def names(directory: Path) -> set[str]:
    """Give the names of what is in a directory, and finished; none if it is not there."""
    with suppress(OSError):
        return {path.name for path in directory.iterdir() if not path.name.endswith(UNFINISHED)}
    return set()


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}{UNFINISHED}")
