"""How long to wait before another try: doubled with each failure, up to a limit."""

from datetime import timedelta
from typing import TypeVar

_MOST_DOUBLINGS = 30

Span = TypeVar("Span", float, timedelta)
"""Seconds, or a timedelta."""


def doubled(first: Span, failures: int, longest: Span) -> Span:
    """Say how long to wait after so many failures in a row; nothing after none."""
    if failures <= 0:
        return first * 0
    factor: int = 2 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(first * factor, longest)
