"""Whether the runner application's archive can be given to guests: examined, never unpacked.

A `.tar.gz` is read once, from its beginning to its end, in pieces of bounded size. What is refused
is what two programs could read differently, and what would write elsewhere than below the place
that it is unpacked at. Why the host does not unpack it: docs/adr/0011.
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

REQUIRED = ("run.sh", "config.sh", "bin/Runner.Listener")
"""What a runner is started by: regular files that can be executed."""

_MOST_MEMBERS = 50_000
_MOST_BYTES = 4 * 2**30
_MOST_FOLD = 100
"""How much larger than packed it may be, once it is large; GitHub's are about three times."""
_ALWAYS_FINE = 64 * 2**20
_LONGEST_NAME, _LONGEST_PART = 1024, 255
_LARGEST_HEADER = 2**20
_PIECE = 2**20
_END = bytes(tarfile.BLOCKSIZE)

_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
}
_REFUSED = {
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_UNREADABLE = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    # What tarfile makes of numbers, names and chains of headers that nobody would write.
    ArithmeticError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class _Refused(Exception):
    """It is not to be used; the message says what is wrong with it."""


def examine(file: IO[bytes], packed_bytes: int) -> str:
    """Say what is wrong with an archive, in one sentence without an end; empty if nothing is.

    Args:
        file: a `.tar.gz`, at its beginning; nothing but `read` is asked of it.
        packed_bytes: its size.

    Raises:
        OSError: it can't be read.
    """
    source = _Unpacked(file, packed_bytes)
    contents = _Contents({"": "directory"}, set())
    try:
        for member in _members(source):
            contents.take(member)
        if source.last != _END:
            return "it is damaged, or cut off"
        source.expect_nothing_more()
    except _Refused as error:
        return str(error)
    except _UNREADABLE as error:
        return f"it is damaged, or cut off ({_first_line(error)})"
    return contents.lack()


def _members(source: _Unpacked) -> Iterator[tarfile.TarInfo]:
    archive = tarfile.TarFile(fileobj=source, mode="r")  # type: ignore[arg-type]
    while member := archive.next():
        yield member
        source.allow_header()
        # It would keep them all, with headers that can be large.
        archive.members.clear()  # type: ignore[attr-defined]


class _Unpacked:
    """What gzip has packed, as a file that is only read forwards."""

    def __init__(self, file: IO[bytes], packed_bytes: int) -> None:
        self._gzip = gzip.GzipFile(fileobj=file, mode="rb")
        self._most = min(_MOST_BYTES, max(_ALWAYS_FINE, packed_bytes * _MOST_FOLD))
        self._offset = 0
        self._allowed = _LARGEST_HEADER
        self.last = b""
        """What was read last."""

    def allow_header(self) -> None:
        """Let the next member have its header: what it says of its own size is not believed."""
        self._allowed = _LARGEST_HEADER

    def tell(self) -> int:
        return self._offset

    def read(self, size: int) -> bytes:
        # Nothing but headers is asked for; the rest is passed over.
        self._allowed -= size
        if size < 0 or self._allowed < 0:
            raise _Refused("it has a header that is too large")
        return self._next(size)

    def _next(self, size: int) -> bytes:
        self.last = self._gzip.read(size)
        self._offset += len(self.last)
        if self._offset > self._most:
            raise _Refused(
                f"it unpacks to more than {self._most:,} bytes, far more than such an archive has"
            )
        return self.last

    def seek(self, offset: int) -> None:
        if offset < self._offset:
            raise _Refused("it has a size that is none")
        while self._offset < offset and self._next(min(_PIECE, offset - self._offset)):
            pass

    def expect_nothing_more(self) -> None:
        # Some programs would read on where others have seen the end.
        while piece := self._next(_PIECE):
            if piece.strip(b"\0"):
                raise _Refused("it goes on after its end")


@dataclass
class _Contents:
    """What was seen so far: the kinds by name, and which files can be executed."""

    kinds: dict[str, str]
    executable: set[str]
    members: int = 0

    def take(self, member: tarfile.TarInfo) -> None:
        self.members += 1
        # There are directories that no member stands for, and members for one directory.
        if max(self.members, len(self.kinds)) > _MOST_MEMBERS:
            raise _Refused(f"it holds more than {_MOST_MEMBERS:,} files")
        kind = _kind(member)
        name = _name(member.name)
        self._enter_parents(name)
        known = self.kinds.get(name)
        if known and not known == kind == "directory":
            raise _Refused(f"it holds {_quoted(name)} twice")
        if kind == "symbolic link":
            _check_symlink(name, member.linkname)
        elif kind == "hard link" and self.kinds.get(_name(member.linkname)) != "file":
            raise _Refused(f"{_quoted(name)} is a link to what is no file before it")
        elif kind == "file" and member.mode & stat.S_IXUSR:
            self.executable.add(name)
        self.kinds[name] = kind

    def _enter_parents(self, name: str) -> None:
        parts = name.split("/")
        for end in range(1, len(parts)):
            parent = "/".join(parts[:end])
            if self.kinds.setdefault(parent, "directory") != "directory":
                raise _Refused(f"{_quoted(name)} goes through what is no directory")

    def lack(self) -> str:
        for name in REQUIRED:
            if self.kinds.get(name) != "file":
                return f"it lacks {name}: it is no runner application"
            if name not in self.executable:
                return f"its {name} can't be executed"
        return ""


def _kind(member: tarfile.TarInfo) -> str:
    kind = _KINDS.get(member.type)
    if kind is None:
        what = _REFUSED.get(member.type, f"of an unknown kind ({member.type!r})")
        raise _Refused(f"{_quoted(member.name)} is {what}")
    if member.issparse():
        raise _Refused(f"{_quoted(member.name)} is a sparse file")
    if member.mode & (stat.S_ISUID | stat.S_ISGID):
        raise _Refused(f"{_quoted(member.name)} is setuid or setgid")
    if member.size < 0:
        raise _Refused(f"{_quoted(member.name)} has a size that is none")
    if member.size and kind != "file":
        raise _Refused(f"{_quoted(member.name)} is a {kind} with a content")
    return kind


def _name(written: str) -> str:
    """Read a name as a path below the archive's root; that itself is empty."""
    if not written:  # of "/", tarfile shows nothing
        raise _Refused("it holds what has no name")
    if written.startswith("/"):
        raise _Refused(f"{_quoted(written)} is an absolute path")
    parts = [part for part in written.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise _Refused(f"{_quoted(written)} leads out of it")
    # Two programs may take what is not text for two names.
    if not written.isprintable():
        raise _Refused(f"{_quoted(written)} is no name: it has characters that can't be printed")
    if len(written.encode()) > _LONGEST_NAME or any(
        len(part.encode()) > _LONGEST_PART for part in parts
    ):
        raise _Refused(f"{_quoted(written)} is too long a name")
    return "/".join(parts)


def _check_symlink(name: str, target: str) -> None:
    """See to it that a symbolic link stays inside, whatever other links are on its way.

    Only at its beginning may it lead upwards: there all is directories, as no link is a parent.
    """
    parts = [part for part in target.split("/") if part not in {"", "."}]
    ups = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    is_inside = ups <= name.count("/") and ".." not in parts[ups:]
    if not target or target.startswith("/") or not is_inside:
        raise _Refused(f"{_quoted(name)} is a link that leads out of it, to {_quoted(target)}")
    _name("/".join(parts[ups:]) or ".")


def _quoted(name: str) -> str:
    longest = 100
    return ascii(name) if len(name) <= longest else f"{name[:longest]!a}..."


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
