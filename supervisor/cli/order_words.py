"""What is said of an order's answer."""

from collections.abc import Mapping
from typing import Any


def not_reached(flush: Mapping[str, Any]) -> str:
    """Name the runners that a flush has not reached; empty if there are none.

    Args:
        flush: the daemon's answer to it.
    """
    missed = ", ".join(flush.get("missed", ()))
    return f"not told, as their actors are being restarted: {missed}; try again" if missed else ""
