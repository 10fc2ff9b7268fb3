"""Moments as text, as we write them ourselves."""

from datetime import datetime


def read(text: str) -> datetime | None:
    """Read a moment (ISO 8601); None if it is none, or does not say its time zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
