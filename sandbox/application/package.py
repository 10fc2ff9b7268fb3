"""Packs the stand-in runner application as GitHub packs the real one."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

VERSION = "2.336.0"
"""The version of the real application whose interface the stand-in has."""

_FILES = Path(__file__).parent / "files"
_EXECUTABLE = ("config.sh", "env.sh", "run.sh", "bin/Runner.Listener")
_SOURCED = ("bin/network.sh", "bin/settings.sh", "bin/worker.sh")
_OWNER = 1001
_PACKED_AT = 1_577_836_800


@dataclass(frozen=True)
class Application:
    """A tarball of the runner application."""

    path: Path
    sha256: str
    version: str
    filename: str


def build_application(
    target_dir: Path, version: str = VERSION, architecture: str = "x64"
) -> Application:
    """Write the tarball into a directory; the same version always gives the same bytes.

    Args:
        target_dir: where it goes; it must exist.
        version: what the application says of itself, `MAJOR.MINOR.PATCH`.
        architecture: what it is named for; it runs on any.

    Raises:
        OSError: the directory can't be written to.
    """
    filename = f"actions-runner-linux-{architecture}-{version}.tar.gz"
    packed = _compressed(_archive(version))
    path = target_dir / filename
    # Beside it first: whoever sees the name sees the whole file.
    partial = target_dir / f".{filename}.partial"
    partial.write_bytes(packed)
    partial.replace(path)
    return Application(path, hashlib.sha256(packed).hexdigest(), version, filename)


def _archive(version: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(_member("./bin", 0o755, tarfile.DIRTYPE))
        for name in sorted(_EXECUTABLE + _SOURCED):
            content = (_FILES / name).read_bytes().replace(b"@VERSION@", version.encode())
            member = _member(f"./{name}", 0o755 if name in _EXECUTABLE else 0o644)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _member(name: str, mode: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.mode = mode
    member.mtime = _PACKED_AT
    member.uid = member.gid = _OWNER
    return member


def _compressed(content: bytes) -> bytes:
    buffer = io.BytesIO()
    # Stored, not deflated: deflate's bytes differ between versions of zlib.
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=0, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()
