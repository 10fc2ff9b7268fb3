"""The runner applications on this host's disk: versions side by side, and which one is current.

    DIRECTORY/SHA256/archive      whole, verified and examined before it stood there
    DIRECTORY/SHA256/offer.json   where GitHub offers it, and under which name
    DIRECTORY/current             a link to SHA256
    DIRECTORY/incoming-SHA256/    on its way: in part, or not verified yet
    DIRECTORY/removed-SHA256/     on its way out

A version appears and goes by one rename, and so does the link change. So a process that is killed
at any point leaves either the old version current, or the new one, and both whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

from supervisor.gateways.private_file import read_whole, write_whole
from supervisor.gateways.trust import distrust
from supervisor.upgrades.application import Application

ARCHIVE = "archive"
_OFFER, _CURRENT = "offer.json", "current"
_INCOMING, _REMOVED = "incoming-", "removed-"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PIECE = 2**20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class StoreError(Exception):
    """Its directory can't be used. The message says what was tried, and what would be right."""


class ApplicationStore:
    """A directory of them. Any thread may call it; one at a time may change it.

    Args:
        directory: where; made when it is first prepared.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._verified: dict[str, tuple[int, int, int]] = {}
        self._held: Counter[str] = Counter()

    # What is there

    def current(self) -> Application | None:
        """Give the one that was switched to; None if there is none, or none that can be trusted."""
        with suppress(OSError):
            if distrust(self._directory.absolute()):
                return None
            return self._offer(str((self._directory / _CURRENT).readlink()))
        return None

    def archive(self, sha256: str) -> Path:
        """Say where the archive of a version is."""
        return self._version(sha256) / ARCHIVE

    def switched_at(self, sha256: str) -> datetime | None:
        """Say since when a version is the current one; None if it is not there."""
        switched_ns = self._switched_ns(sha256)
        return datetime.fromtimestamp(switched_ns / 1e9, timezone.utc) if switched_ns else None

    def kept(self) -> tuple[Application, ...]:
        """List the versions that are there whole; the one that was switched to last comes first.

        Raises:
            StoreError: they can't be listed.
        """
        with self._told("list"):
            try:
                names = [path.name for path in self._directory.iterdir()]
            except FileNotFoundError:  # nothing was obtained yet
                return ()
        found = [offer for offer in map(self._offer, names) if offer]
        found.sort(key=lambda offer: self._switched_ns(offer.sha256), reverse=True)
        return tuple(found)

    def is_verified(self, sha256: str) -> bool:
        """Tell whether this process has seen that a version is right, untouched since then."""
        with self._lock:
            known = self._verified.get(sha256)
        return known is not None and known == self._traces(sha256)

    @contextmanager
    def held(self, sha256: str) -> Iterator[Path]:
        """Keep a version from being pruned while its archive is in use; gives the archive."""
        archive = self.archive(sha256)
        with self._lock:
            self._held[sha256] += 1
        try:
            yield archive
        finally:
            with self._lock:
                self._held[sha256] -= 1

    def is_held(self, sha256: str) -> bool:
        """Tell whether the archive of a version is in use."""
        with self._lock:
            return self._held[sha256] > 0

    # Changes

    def prepare(self) -> None:
        """See to it that the directory is there and in nobody else's hands; clear what was left.

        Raises:
            StoreError: it can't be used or trusted.
        """
        with self._told("use"):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            distrusted = distrust(self._directory.absolute())
            if distrusted:
                raise StoreError(f"runner applications would be in others' hands: {distrusted}")
            for path in self._directory.iterdir():
                if path.name.startswith(_REMOVED):
                    shutil.rmtree(path)
            for path in (*self._directory.glob("*.new"), *self._directory.glob("*/*.new")):
                path.unlink(missing_ok=True)  # `current` shows some of them twice

    def incoming(self, sha256: str) -> Path:
        """Make the directory in which a version is gathered; what is there of it stays.

        Raises:
            StoreError: it can't be made.
        """
        gathered = self._directory / f"{_INCOMING}{_checked(sha256)}"
        with self._told("write in"):
            gathered.mkdir(mode=0o700, exist_ok=True)
        return gathered

    def forget_others(self, sha256: str) -> None:
        """Remove what was begun of other versions than this: nobody goes on with it.

        Raises:
            StoreError: it can't be removed.
        """
        with self._told("remove from"):
            for path in self._directory.glob(f"{_INCOMING}*"):
                if path.name != f"{_INCOMING}{sha256}":
                    shutil.rmtree(path)

    def admit(self, offer: Application) -> None:
        """Make a version of what was gathered; its archive is verified and examined.

        Raises:
            StoreError: it can't be written; what was gathered is there still.
        """
        gathered = self._directory / f"{_INCOMING}{_checked(offer.sha256)}"
        with self._told("write in"):
            for path in gathered.iterdir():
                if path.name != ARCHIVE:
                    path.unlink()
            write_whole(gathered / _OFFER, json.dumps(asdict(offer)))
            for path in (gathered / ARCHIVE, gathered / _OFFER, gathered):
                _sync(path)
            self._remove(self._version(offer.sha256))  # one that is not right, if any
            gathered.rename(self._version(offer.sha256))
            _sync(self._directory)
        self.note_verified(offer.sha256)

    def switch(self, offer: Application) -> None:
        """Make a version that is there the current one, in one step.

        Raises:
            StoreError: it can't be done; the one before is current still.
        """
        version = self._version(offer.sha256)
        with self._told("write in"):
            # Written anew each time: its age says which one was current before.
            write_whole(version / _OFFER, json.dumps(asdict(offer)))
            for path in (version / _OFFER, version):
                _sync(path)
            link = self._directory / f"{_CURRENT}.new"
            link.unlink(missing_ok=True)
            link.symlink_to(offer.sha256)
            link.replace(self._directory / _CURRENT)
            _sync(self._directory)

    def discard(self, sha256: str) -> None:
        """Remove a version, and what was gathered for it, in one step.

        Raises:
            StoreError: it can't be removed.
        """
        with self._lock:
            self._verified.pop(sha256, None)
        with self._told("remove from"):
            self._remove(self._version(sha256))
            self._remove(self._directory / f"{_INCOMING}{sha256}")

    def note_verified(self, sha256: str) -> None:
        """Note that this process has seen that a version is right."""
        traces = self._traces(sha256)
        with self._lock:
            if traces:
                self._verified[sha256] = traces

    # Of the disk

    def _version(self, sha256: str) -> Path:
        return self._directory / _checked(sha256)

    def _remove(self, path: Path) -> None:
        aside = self._directory / f"{_REMOVED}{path.name}"
        with suppress(FileNotFoundError):
            path.rename(aside)
            shutil.rmtree(aside)

    def _offer(self, sha256: str) -> Application | None:
        if not _SHA256.fullmatch(sha256) or self._traces(sha256) is None:
            return None
        try:
            told = json.loads(read_whole(self._directory / sha256 / _OFFER))
            offer = Application(str(told["url"]), str(told["sha256"]), str(told["filename"]))
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return offer if offer.sha256 == sha256 else None

    def _traces(self, sha256: str) -> tuple[int, int, int] | None:
        with suppress(OSError):
            state = self.archive(sha256).lstat()
            return state.st_ino, state.st_size, state.st_mtime_ns
        return None

    def _switched_ns(self, sha256: str) -> int:
        with suppress(OSError):
            return (self._directory / sha256 / _OFFER).lstat().st_mtime_ns
        return 0

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = "the disk is full" if error.errno in _NO_ROOM else error.strerror
            raise StoreError(f"can't {what} {self._directory}: {why}") from error


def digest_of(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits.

    Raises:
        OSError: it can't be read.
    """
    digest = hashlib.sha256()
    with opened(path) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def opened(path: Path) -> BinaryIO:
    """Open an archive to be read; no link is followed.

    Raises:
        OSError: it can't be read.
    """
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def _checked(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise StoreError(f"{sha256[:80]!a} is no SHA-256 in 64 hexadecimal digits")
    return sha256


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
