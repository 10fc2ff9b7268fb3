"""Runner application archives as a test wants them: small, and good or hostile."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable


def file(
    name: str, content: bytes = b"#!/bin/sh\n", mode: int = 0o755
) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.mode, member.size = mode, len(content)
    return member, content


def directory(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    return special(name, tarfile.DIRTYPE, mode=mode)


def link(name: str, target: str, *, hard: bool = False) -> tuple[tarfile.TarInfo, bytes]:
    return special(name, tarfile.LNKTYPE if hard else tarfile.SYMTYPE, target)


def special(
    name: str, kind: bytes, target: str = "", mode: int = 0o755
) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname = kind, mode, target
    return member, b""


Member = tuple[tarfile.TarInfo, bytes]
PROPER: tuple[Member, ...] = (
    directory("./bin"),
    file("./run.sh"),
    file("./config.sh"),
    file("./bin/Runner.Listener", b"\x7fELF"),
)
"""What a runner application must have."""


def tar(members: Iterable[Member], style: int = tarfile.GNU_FORMAT) -> bytes:
    """Write an archive without packing it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def packed(*members: Member, style: int = tarfile.GNU_FORMAT) -> bytes:
    """Pack what must be there, and these after it."""
    return gzip.compress(tar([*PROPER, *members], style), compresslevel=1)
