"""Moments as text, as we and GitHub write them."""

import re
from datetime import datetime


def read(text: str) -> datetime | None:
    """Read a moment (ISO 8601); None if it is none, or does not say its time zone."""
    try:
        moment = datetime.fromisoformat(without_letter(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def without_letter(text: str) -> str:
    """Write UTC as `+00:00` where a Z stands for it, which Python 3.10 does not read."""
    return re.sub("[Zz]$", "+00:00", text)
