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
    if not _read(path):
        try:
            write_whole(path, f"{secrets.token_hex(32)}\n")
        except OSError as error:
            raise _unusable(path, error) from error
    return _seal(path, _read(path))


def seal_if_any(path: Path) -> Seal | None:
    """Read the secret; None if there is none, and so no image that was sealed with it.

    Raises:
        KeyUnusable: it can't be read or trusted.
    """
    text = _read(path)
    return _seal(path, text) if text else None


def _seal(path: Path, text: str) -> Seal:
    if not _KEY.fullmatch(text):
        raise KeyUnusable(f"the key of images, {path}, is none: delete it, and images are built")
    found, user = path.lstat(), os.geteuid()
    # Root also reads that of a daemon which runs as the user who has the directory.
    owners = {user} if user else {user, path.parent.stat().st_uid}
    if found.st_uid not in owners or found.st_mode & 0o077:
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
    except OSError as error:
        raise _unusable(path, error) from error
    except ValueError:
        return "no text"


def _unusable(path: Path, error: OSError) -> KeyUnusable:
    return KeyUnusable(f"the key of images, {path}, can't be used: {error.strerror or error}")
