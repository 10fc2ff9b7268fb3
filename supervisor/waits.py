"""How long to wait before another try: doubled with each failure, up to a limit."""

from datetime import timedelta

_MOST_DOUBLINGS = 30


def doubled(first: timedelta, failures: int, longest: timedelta) -> timedelta:
    """Say how long to wait after so many failures in a row; nothing after none."""
    if failures <= 0:
        return timedelta(0)
    wait: timedelta = first * 2 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(wait, longest)
