"""The policy service's log of decisions, read as it grows."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_MOST_BYTES = 8 << 20
_LAST = 20
_LONGEST_VALUE = 300


@dataclass(frozen=True)
class Tally:
    """What has been read so far.

    Attributes:
        counts: decisions, by verdict.
        last: the latest of them, the oldest first.
        since: when the first of those was that were counted; empty before there is one.
        file: number of the file that was read last.
        offset: how far.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    last: tuple[Mapping[str, Any], ...] = ()
    since: str = ""
    file: int = 0
    offset: int = 0


def follow(path: Path, tally: Tally) -> Tally:
    """Read on from where the last reading ended; what is no decision is left out.

    Raises:
        OSError: it can't be read.
    """
    with suppress(FileNotFoundError):
        # The file may have been put aside, and another begun.
        aside = path.with_name(f"{path.name}.1")
        if tally.file and path.stat().st_ino != tally.file == aside.stat().st_ino:
            tally = _read(aside, tally)
    with suppress(FileNotFoundError):
        tally = _read(path, tally)
    return tally


def _read(path: Path, tally: Tally) -> Tally:
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(opened, "rb") as file:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is no regular file")
        is_same = found.st_ino == tally.file and found.st_size >= tally.offset
        offset = tally.offset if is_same else 0
        file.seek(offset)
        whole, _, _ = file.read(_MOST_BYTES).rpartition(b"\n")
    decisions = [one for one in map(_parsed, whole.splitlines()) if one]
    length = len(whole) + 1 if whole else 0
    moved = replace(tally, file=found.st_ino, offset=offset + length)
    if not decisions:
        return moved
    return replace(
        moved,
        counts=dict(Counter(tally.counts) + Counter(str(one["verdict"]) for one in decisions)),
        last=(*tally.last, *decisions)[-_LAST:],
        since=tally.since or str(decisions[0]["time"]),
    )


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    try:
        said = json.loads(line)
        return {
            **{
                key: str(said[key])[:_LONGEST_VALUE]
                for key in ("time", "runner", "repository", "event", "verdict", "reason")
            },
            "duration_ms": int(said["duration_ms"]),
        }
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
