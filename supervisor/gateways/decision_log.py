"""The policy service's log of decisions, read as it grows."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import IO, TYPE_CHECKING, Any

from supervisor.policy.limits import IN_LOG, OLDER_LOGS
from supervisor.text import moments

if TYPE_CHECKING:
    from pathlib import Path

_MOST_BYTES = 8 << 20
_LAST = 20
_MOST_RUNNERS = 20_000
"""Twice as many as there can be."""
_END = 256
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)
_LONGEST_VALUE = 300
_VERDICTS = {logged: verdict for verdict, logged in IN_LOG.items()}


@dataclass(frozen=True)
class Decided:
    """What was decided of a runner's job, and when, by the clock of who reads."""

    verdict: str
    at: datetime


@dataclass(frozen=True)
class Tally:
    """What has been read so far.

    Attributes:
        counts: decisions, by verdict.
        last: the latest of them, the oldest first.
        since: when the first of those was that were counted; empty before there is one.
        decided: of runners, by name; those that were decided last.
        complete_since: no decision since then has been missed, by the clock of who reads; None if
            that is not known.
        file: number of the file that was read last.
        offset: how far.
        end: what stands right before there.
        news: what the last reading has added.
        is_continued: it began where one before it had ended, with all read: its news is new.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    last: tuple[Mapping[str, Any], ...] = ()
    since: str = ""
    decided: Mapping[str, Decided] = field(default_factory=dict)
    complete_since: datetime | None = None
    file: int = 0
    offset: int = 0
    end: bytes = b""
    news: tuple[Mapping[str, Any], ...] = ()
    is_continued: bool = False


class _Gap(Enum):
    """Why decisions may be missing from what was read."""

    LOST = "some can't be had any more, and others are read again"
    GARBLED = "some can't be understood"
    UNREAD = "some are yet to be read"


def follow(path: Path, tally: Tally, now: datetime, set_by: timedelta = timedelta(0)) -> Tally:
    """Read on from where the last reading ended; what is no decision is left out.

    The first time, all files are read that there are.

    Args:
        path: of the file that is written.
        tally: what has been read before.
        now: the time before this reading, by a clock that nobody sets.
        set_by: how far the time of day, which the log has, is ahead of that.

    Raises:
        OSError: it can't be read.
    """

    def at(time: str) -> datetime:
        with suppress(OverflowError):
            return min((moments.read(time) or now + set_by) - set_by, now)
        return now

    gaps: set[_Gap] = set()
    read = replace(tally, news=())
    with ExitStack() as stack:
        files = _since(tally.file, path, stack)
        if tally.file and (not files or os.fstat(files[-1].fileno()).st_ino != tally.file):
            gaps.add(_Gap.LOST)
        for file in reversed(files):
            read, gap = _read(file, read, at)
            gaps |= gap
    # At the first reading all is known from the oldest on.
    oldest = at(read.since) if read.since else now
    return replace(
        read,
        complete_since=_complete_since(tally, read, gaps, oldest, now),
        is_continued=tally.complete_since is not None and _Gap.LOST not in gaps,
    )


def _complete_since(
    before: Tally, read: Tally, gaps: set[_Gap], oldest: datetime, now: datetime
) -> datetime | None:
    if _Gap.UNREAD in gaps:
        return None
    if gaps:
        return now
    is_first = not before.file and before.complete_since is None
    known = oldest if is_first else before.complete_since
    return max(known or now, _forgotten_until(before, read))


def _forgotten_until(before: Tally, read: Tally) -> datetime:
    """Say when the latest was decided of those that are not held any more."""
    gone = (one.at for name, one in before.decided.items() if name not in read.decided)
    return max(gone, default=_LONG_AGO)


def _since(number: int, path: Path, stack: ExitStack) -> list[IO[bytes]]:
    """Open the files back to the one of that number, or all; the newest first.

    They may be turned over meanwhile: then one is met again under its next name.
    """
    found: dict[int, IO[bytes]] = {}
    older = (path.with_name(f"{path.name}.{age}") for age in range(1, OLDER_LOGS + 1))
    with suppress(FileNotFoundError):
        for name in (path, *older):
            file = stack.enter_context(os.fdopen(_opened(name), "rb"))
            met = os.fstat(file.fileno()).st_ino
            found.setdefault(met, file)
            if met == number:
                break
    return list(found.values())


def _opened(path: Path) -> int:
    """Open a regular file and nothing else: the directory may be another user's."""
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(f"{path} is no regular file")
    return opened


def _read(file: IO[bytes], tally: Tally, at: Callable[[str], datetime]) -> tuple[Tally, set[_Gap]]:
    number = os.fstat(file.fileno()).st_ino
    gaps: set[_Gap] = set()
    offset = 0
    if number == tally.file:
        file.seek(tally.offset - len(tally.end))
        if file.read(len(tally.end)) == tally.end:
            offset = tally.offset
        else:
            gaps.add(_Gap.LOST)  # it was cut, or is another: numbers are used again
    file.seek(offset)
    found = file.read(_MOST_BYTES)
    if len(found) == _MOST_BYTES:
        gaps.add(_Gap.UNREAD)
    whole, end, _ = found.rpartition(b"\n")
    lines = whole.splitlines() if end else []
    decisions = [one for one in map(_parsed, lines) if one]
    if len(decisions) < len(lines):
        gaps.add(_Gap.GARBLED)  # it may have been one
    moved = replace(tally, file=number, offset=offset + len(whole) + len(end))
    if end:
        moved = replace(moved, end=(whole + end)[-_END:])
    elif not offset:
        moved = replace(moved, end=b"")
    return (_with(moved, decisions, at) if decisions else moved), gaps


def _with(tally: Tally, decisions: list[Mapping[str, Any]], at: Callable[[str], datetime]) -> Tally:
    decided = dict(tally.decided)
    for one in decisions:
        decided[one["runner"]] = Decided(one["verdict"], at(one["time"]))
    while len(decided) > _MOST_RUNNERS:
        del decided[next(iter(decided))]
    return replace(
        tally,
        counts=dict(Counter(tally.counts) + Counter(str(one["verdict"]) for one in decisions)),
        last=(*tally.last, *decisions)[-_LAST:],
        since=tally.since or str(decisions[0]["time"]),
        decided=decided,
        news=(*tally.news, *decisions),
    )


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    try:
        said = json.loads(line)
        verdict = str(said["verdict"])[:_LONGEST_VALUE]
        return {
            **{
                key: str(said[key])[:_LONGEST_VALUE]
                for key in ("time", "runner", "repository", "event", "reason")
            },
            "verdict": _VERDICTS.get(verdict, verdict),
            "duration_ms": int(said["duration_ms"]),
        }
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
