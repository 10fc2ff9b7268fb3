"""Moments and durations, as people write and read them here: every moment is UTC, and says so."""

import re
from datetime import datetime, timedelta, timezone

from supervisor.text import moments

_UNITS_S = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_PIECE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(days?|d|hours?|h|minutes?|mins?|m|seconds?|secs?|s)")
_AGO = re.compile(rf"(?:{_PIECE.pattern}\s*)+(?:ago)?")


def read_since(text: str, now: datetime) -> datetime:
    """Read how long ago, or from which moment on.

    Args:
        text: `90s`, `2h05m`, `1.5h`, `2 hours ago`; `12:01` of today; or a moment in ISO 8601,
            which is UTC where it names no zone.
        now: aware.

    Raises:
        ValueError: it is none of these.
        OverflowError: there is no such date.
    """
    text = text.strip()
    if _AGO.fullmatch(text):
        pieces = _PIECE.findall(text)
        return now - timedelta(seconds=sum(float(n) * _UNITS_S[unit[0]] for n, unit in pieces))
    if re.fullmatch(r"[0-9]{1,2}(:[0-9]{2}){1,2}", text):
        text = (
            f"{now.astimezone(timezone.utc):%Y-%m-%d}T{text:0>{5 if text.count(':') == 1 else 8}}"
        )
    moment = datetime.fromisoformat(moments.without_letter(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def age(since: str, now: datetime) -> str:
    """Say roughly how long ago something was: `3s`, `5m`, `2h`, `4d`."""
    return _roughly((now - _moment(since)).total_seconds())


def until(when: str, now: datetime) -> str:
    """Say roughly how long something still takes."""
    return _roughly((_moment(when) - now).total_seconds())


def minute(text: str) -> str:
    """Write a moment to the minute."""
    return f"{_moment(text):%Y-%m-%d %H:%M} UTC"


def second(text: str) -> str:
    """Write a moment to the second."""
    return f"{_moment(text):%Y-%m-%d %H:%M:%S} UTC"


def _moment(text: str) -> datetime:
    moment = moments.read(text)
    if moment is None:
        raise ValueError(f"not a moment with its time zone: {text}")
    return moment.astimezone(timezone.utc)


def _roughly(seconds: float) -> str:
    seconds = max(0.0, seconds)
    for unit, length in _UNITS_S.items():
        if length > 1 and seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:.0f}s"
