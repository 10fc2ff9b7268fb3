"""The secret that an installation seals its images with: a file in its state directory."""

import os
import re
import secrets
from pathlib import Path

from supervisor.gateways.private_file import read_whole, write_whole
from supervisor.images.seal import Seal

_KEY = re.compile(r"[0-9a-f]{64}\n", re.ASCII)


class KeyUnusable(OSError):
    """The secret is not there, or may be others'; the message says what would be right."""


def seal_of(path: Path) -> Seal:
    """Read the secret; it is made if there is none.

    Without it the images that were sealed with it are nobody's: others are built.

    Raises:
        KeyUnusable: it can't be read, made or trusted.
    """
    try:
        text = _read(path)
        if not text:
            write_whole(path, f"{secrets.token_hex(32)}\n")
            text = _read(path)
    except OSError as error:
        why = error.strerror or error
        raise KeyUnusable(f"the key of images, {path}, can't be used: {why}") from error
    except ValueError:
        text = "no text"
    if not _KEY.fullmatch(text):
        raise KeyUnusable(f"the key of images, {path}, is none: delete it, and images are built")
    found = path.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise KeyUnusable(
            f"the key of images, {path}, may be known to others: delete it, and images are built"
        )
    return Seal(bytes.fromhex(text.strip()))


def _read(path: Path) -> str:
    """Read it; empty if it is missing, or what a loss of power has left of its making."""
    try:
        return read_whole(path)
    except FileNotFoundError:
        return ""
