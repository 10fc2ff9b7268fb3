"""The metric log: one JSON object a line, in files that are turned over by size. For one thread."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_LONGEST_LINE = 64 * 1024


class MetricLog:
    """Writes metric events; what can't be written is lost.

    Args:
        path: of the file; older ones stand beside it, with a number.
        most_bytes: from which on a new one is begun.
        older: how many of those are kept.
    """

    def __init__(self, path: Path, most_bytes: int, older: int = 5) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._older = older
        self._file: IO[bytes] | None = None

    @property
    def path(self) -> Path:
        """Where the newest events are."""
        return self._path

    def write(self, events: Iterable[Mapping[str, Any]]) -> str:
        """Add events, and say why they, or one of them, could not be; empty if they were."""
        lines, unfit = [], ""
        for event in events:
            try:
                lines.append(json.dumps(dict(event)).encode() + b"\n")
            except Exception as error:  # noqa: BLE001 - it is the only one that is lost
                unfit = f"{self._path}: {event.get('event')}: {type(error).__name__}: {error}"
        text = b"".join(lines)
        try:
            file = self._opened(len(text))
            file.write(text)
            file.flush()
        except OSError as error:
            self.close()
            return f"{self._path}: {error.strerror}"
        return unfit

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file:
            with suppress(OSError):
                file.close()

    def _opened(self, more: int) -> IO[bytes]:
        file = self._file
        if file and not _is_at(file, self._path):
            self.close()  # somebody else has turned it over, or removed it
        elif file and file.tell() and file.tell() + more > self._most_bytes:
            self._turn_over()
        if self._file is None:
            self._file = _open(self._path)
        return self._file

    def _turn_over(self) -> None:
        self.close()
        for age in range(self._older, 0, -1):
            newer = self._numbered(age - 1) if age > 1 else self._path
            with suppress(FileNotFoundError):
                newer.replace(self._numbered(age))

    def _numbered(self, age: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{age}")


def _open(path: Path) -> IO[bytes]:
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        opened = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        opened = os.open(path, flags)
        try:
            _join(opened)
        except BaseException:
            os.close(opened)
            raise
    else:
        # Whoever sends logs on is another user: they hold no secret, and the directory says who
        # may. The mode of what was there before is its owner's business: it may be meant so.
        with suppress(OSError):
            os.fchmod(opened, 0o644)
    return os.fdopen(opened, "ab")


def _join(opened: int) -> None:
    """Have what is written next begin on a line of its own.

    Raises:
        OSError: it is no metric log: a wrong path may lead to any file, also to one with secrets.
    """
    found = os.fstat(opened)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "is no regular file")
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "belongs to another user")
    if not found.st_size:
        return
    # A host that lost its power leaves zeros in place of what was not on the disk yet.
    begin = os.pread(opened, _LONGEST_LINE, 0).lstrip(b"\0\n")
    if begin and not _is_event(begin.partition(b"\n")[0]):
        raise OSError(errno.EINVAL, "holds something else than metric events")
    if os.pread(opened, 1, found.st_size - 1) != b"\n":
        os.write(opened, b"\n")  # a line that was cut, by a full disk or a kill, ends here


def _is_event(line: bytes) -> bool:
    try:
        said = json.loads(line)
    except ValueError:
        return line.startswith(b'{"')  # one that was cut
    return isinstance(said, dict) and "event" in said


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
