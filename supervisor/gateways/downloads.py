"""Downloads of large files: resumed where they broke off, and bounded in size and time."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from time import monotonic

from supervisor.gateways.partial_file import Part, PartialFile
from supervisor.gateways.web_answer import NoAnswer, WebAnswer, ask
from supervisor.text import sizes
from supervisor.upgrades.progress import Progress
from supervisor.web.proxies import Proxies

_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15})", re.ASCII)
_LENGTH = re.compile(r"\d{1,15}", re.ASCII)
_NO_SUCH_PART = {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DownloadFailed(Exception):
    """It did not arrive. The message says what was tried, why not, and what to do."""


class DownloadRefused(DownloadFailed):
    """It is larger than it may be, and would be the next time, too."""


@dataclass(frozen=True)
class Limits:
    """What a download may take.

    Attributes:
        most_bytes: of the file.
        total_s: until it is whole; the next try goes on where this one was.
        stall_s: without a byte.
        spare_bytes: that are left free on the disk.
    """

    most_bytes: int = 2 * 2**30
    total_s: float = 30 * 60
    stall_s: float = 60
    spare_bytes: int = 64 * 2**20


USUAL = Limits()


def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    proxies: Proxies,
    progress: Progress,
    limits: Limits = USUAL,
) -> None:
    """Fetch a file, going on from what an earlier try has left of it; blocks until it is there.

    What has arrived is *not* verified: that is up to who knows what it must be.

    Args:
        url: where it is; no login or token is sent there.
        target: the file to make, in a directory that is there. What is there in part stands beside
            it.
        sha256: what the whole should have: a part of another is not used.
        proxies: those that are configured.
        progress: is told how far it is.
        limits: what it may take.

    Raises:
        DownloadRefused: it is too large.
        DownloadFailed: it did not arrive. What did is kept for the next try, if it helps.
    """
    attempt = _Attempt(PartialFile(target), Part(url, sha256), progress, limits)
    try:
        attempt.run(proxies)
    except NoAnswer as error:
        raise DownloadFailed(f"can't download {error}") from error
    finally:
        progress.end()


class _Attempt:
    """One try."""

    def __init__(
        self, partial: PartialFile, wanted: Part, progress: Progress, limits: Limits
    ) -> None:
        self._partial = partial
        self._wanted = wanted
        self._progress = progress
        self._limits = limits
        self._deadline = monotonic() + limits.total_s

    def run(self, proxies: Proxies) -> None:
        url, stall_s = self._wanted.url, self._limits.stall_s
        with self._writing():
            part, there = self._found()
        if part and there and there == part.size:
            self._finish()
            return
        if part and there:
            headers = {"Range": f"bytes={there}-", "If-Range": part.validator}
            with ask(url, headers, proxies, stall_s) as answer:
                if rest := _rest(answer, part, there):
                    self._receive(answer, rest, there)
                    return
                if answer.status not in _NO_SUCH_PART:
                    self._start(answer)
                    return
            # The file is shorter now, or it was a part that nobody has asked for.
            self._partial.drop()
        with ask(url, {}, proxies, stall_s) as answer:
            self._start(answer)

    def _found(self) -> tuple[Part | None, int]:
        """Give what an earlier try has left, and how many bytes, if one can go on from there."""
        part, there = self._partial.part(), self._partial.size
        if part is None or not part.validator or there > (part.size or self._limits.most_bytes):
            return None, 0
        is_wanted = (part.url, part.sha256) == (self._wanted.url, self._wanted.sha256)
        return (part, there) if is_wanted else (None, 0)

    def _start(self, answer: WebAnswer) -> None:
        if answer.status != HTTPStatus.OK:
            raise DownloadFailed(f"can't download {answer.where}: it answers {answer.status}")
        size = _length(answer)
        part = replace(self._wanted, validator=_validator(answer), size=size)
        with self._writing():
            self._partial.begin(part)
        self._receive(answer, part, 0)

    def _receive(self, answer: WebAnswer, part: Part, there: int) -> None:
        most = self._limits.most_bytes
        if part.size > most:
            self._partial.drop()
            raise DownloadRefused(
                f"{answer.where} has {sizes.in_words(part.size)}, more than {sizes.in_words(most)}"
            )
        self._see_to_room(part.size - there)
        self._progress.begin(there, part.size)
        with self._writing(), self._partial.open() as file:
            for piece in answer.pieces():
                there += len(piece)
                if there > (part.size or most):
                    self._partial.drop()
                    raise DownloadRefused(
                        f"{answer.where} is longer than {sizes.in_words(part.size or most)}"
                    )
                file.write(piece)
                self._progress.add(len(piece))
                if monotonic() > self._deadline:
                    raise DownloadFailed(
                        f"{answer.where} has not arrived within {self._limits.total_s:g} s: "
                        f"{sizes.in_words(there)} are there, and the next try goes on from them"
                    )
        if not there:
            raise DownloadFailed(f"can't download {answer.where}: it sends nothing")
        if there < part.size:
            raise DownloadFailed(
                f"{answer.where} was cut off: {sizes.in_words(there)} of "
                f"{sizes.in_words(part.size)} are there, and the next try goes on from them"
            )
        self._finish()

    def _finish(self) -> None:
        with self._writing():
            self._partial.finish()

    def _see_to_room(self, missing: int) -> None:
        with self._writing():
            disk = os.statvfs(self._partial.target.parent)
        free, needed = disk.f_bavail * disk.f_frsize, missing + self._limits.spare_bytes
        if free < needed:
            raise self._no_room(
                f"{sizes.in_words(needed)} are needed, {sizes.in_words(free)} are free"
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise self._no_room("the disk is full") from error
            where = self._partial.target.parent
            raise DownloadFailed(f"can't write in {where}: {error.strerror}") from error

    def _no_room(self, why: str) -> DownloadFailed:
        self._partial.drop()  # it takes room that others need
        where = self._partial.target.parent
        return DownloadFailed(f"no room in {where} for the rest of the download: {why}")


def _rest(answer: WebAnswer, part: Part, there: int) -> Part | None:
    """Tell what the answer is the rest of, after so many bytes; None if it is something else."""
    told = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if answer.status != HTTPStatus.PARTIAL_CONTENT or not told or int(told[1]) != there:
        return None
    is_same = part.size in {0, int(told[2])} and _validator(answer) in {"", part.validator}
    return replace(part, size=int(told[2])) if is_same else None


def _length(answer: WebAnswer) -> int:
    told = answer.headers.get("Content-Length", "")
    return int(told) if _LENGTH.fullmatch(told) else 0


def _validator(answer: WebAnswer) -> str:
    """Give what says whether another answer would be a part of the same: RFC 9110, 13.1.5."""
    tag = answer.headers.get("ETag", "")
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified", "")
