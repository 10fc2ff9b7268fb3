"""The logs of failed guests on disk: a file each, the newest of them, for the daemon's user alone.

Beside what `guest_logs` composes a file holds who it is about, when it was saved, and why, in its
first lines. A file appears whole or not at all, and no link is followed to or from the directory.
"""

import contextlib
import errno
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from stat import S_ISREG

from supervisor.guest.logs import Kept, beginning
from supervisor.text.printable import one_line

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", re.ASCII)
_HEAD = re.compile(
    r"runner: (?P<runner>.+)\n"
    r"saved: (?P<saved>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00)\n"
    r"reason: (?P<reason>.*)\n\n",
    re.ASCII,
)
_SUFFIX, _UNFINISHED = ".log", ".part"
_HEAD_BYTES = 8192
_MOST_BYTES = 17 * 2**20
"""Of a file that is read: more than any that was saved by a size that can be set."""
_LONGEST_REASON = 1000
_FOLLOW_NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class LogStore:
    """A directory of them, made when the first is saved. Any thread may call it.

    Args:
        directory: where; its parents belong to the daemon's user too.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._saving = threading.Lock()

    def save(
        self, runner: str, text: str, *, reason: str, at: datetime, keep: int, most_bytes: int
    ) -> None:
        """Save one runner's logs, in place of older ones of its own.

        Args:
            runner: its name.
            text: what is to be saved.
            reason: why it failed.
            at: when (aware).
            keep: how many runners' logs are kept; the oldest go.
            most_bytes: of the file; the end of the text goes.

        Raises:
            OSError: it can't be saved; nothing is left of it.
            ValueError: no runner has such a name.
        """
        if not _NAME.fullmatch(runner):
            raise ValueError(f"{runner!r} is no runner's name")
        head = (
            f"runner: {runner}\n"
            f"saved: {at.astimezone(timezone.utc).isoformat(timespec='seconds')}\n"
            f"reason: {one_line(reason)[:_LONGEST_REASON]}\n\n"
        )
        content = beginning(head + text, most_bytes).encode()
        with self._saving, self._opened(make=True) as directory:
            _write(directory, runner, content)
            _rotate(directory, keep)

    def listing(self) -> list[Kept]:
        """List what is kept, the newest first.

        Raises:
            OSError: the directory can't be read.
        """
        try:
            with self._opened() as directory:
                names = _names(directory)
                found = [_read(directory, name, _HEAD_BYTES) for name in names]
        except FileNotFoundError:  # nothing was saved yet
            return []
        kept = [one for one in found if one is not None]
        return sorted(kept, key=lambda one: (one.saved_at, one.runner), reverse=True)

    def read(self, runner: str) -> Kept | None:
        """Return one runner's; None if nothing is kept of it, or what is there is none of ours.

        Raises:
            OSError: it can't be read.
        """
        if not _NAME.fullmatch(runner):
            return None
        try:
            with self._opened() as directory:
                return _read(directory, runner)
        except FileNotFoundError:
            return None

    @contextmanager
    def _opened(self, *, make: bool = False) -> Iterator[int]:
        if make:
            self._directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self._directory.mkdir(mode=0o700)
        opened = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | _FOLLOW_NO_LINK)
        try:
            if os.fstat(opened).st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, "belongs to another user", str(self._directory))
            yield opened
        finally:
            os.close(opened)


def _write(directory: int, runner: str, content: bytes) -> None:
    unfinished = runner + _UNFINISHED
    with contextlib.suppress(FileNotFoundError):  # of a daemon that was killed
        os.unlink(unfinished, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FOLLOW_NO_LINK
    try:
        with os.fdopen(os.open(unfinished, flags, 0o600, dir_fd=directory), "wb") as file:
            file.write(content)
        os.replace(unfinished, runner + _SUFFIX, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(unfinished, dir_fd=directory)
        raise


def _rotate(directory: int, keep: int) -> None:
    ages = []
    for name in _names(directory):
        with contextlib.suppress(FileNotFoundError):
            state = os.stat(name + _SUFFIX, dir_fd=directory, follow_symlinks=False)
            ages.append((state.st_mtime_ns, name))
    for _, name in sorted(ages, reverse=True)[keep:]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name + _SUFFIX, dir_fd=directory)


def _names(directory: int) -> list[str]:
    stems = [name[: -len(_SUFFIX)] for name in os.listdir(directory) if name.endswith(_SUFFIX)]
    return [stem for stem in stems if _NAME.fullmatch(stem)]


def _read(directory: int, runner: str, most_bytes: int = _MOST_BYTES) -> Kept | None:
    try:
        opened = os.open(runner + _SUFFIX, os.O_RDONLY | _FOLLOW_NO_LINK, dir_fd=directory)
    except OSError:  # gone meanwhile, or a link, and so none of ours
        return None
    try:
        state = os.fstat(opened)
        if not S_ISREG(state.st_mode):
            return None
        with os.fdopen(opened, "rb", closefd=False) as file:
            text = file.read(most_bytes).decode(errors="replace")
    finally:
        os.close(opened)
    head = _HEAD.match(text)
    if head is None or head["runner"] != runner:
        return None
    whole = text if most_bytes == _MOST_BYTES else ""
    return Kept(runner, head["saved"], head["reason"], state.st_size, whole)
