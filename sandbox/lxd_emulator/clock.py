"""The time as LXD prints it."""

from __future__ import annotations

import time
from datetime import datetime, timezone

_NANOSECONDS = 1_000_000_000


def now() -> str:
    """Return the present moment in RFC 3339 with nanoseconds, which few parsers expect."""
    return stamp(time.time_ns())


def stamp(nanoseconds: int) -> str:
    """Print a moment as Go does: without trailing zeros of the fraction.

    Args:
        nanoseconds: Since 1970, UTC.
    """
    seconds, fraction = divmod(nanoseconds, _NANOSECONDS)
    whole = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{whole}.{digits}Z" if digits else f"{whole}Z"
