"""Whose end nobody has told of: complete reconciles do not find them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from supervisor.observation.feed import Record

UNSEEN = "its end was not seen"
"""What is said of why one is gone."""
_MISSING_FOR = timedelta(seconds=5)
"""From the first complete reconcile that has not found a runner until one says that it is gone.

Others may follow it at once, before all that are there have been heard of.
"""


class Absence:
    """Who was not found, and since when. For one thread at a time."""

    def __init__(self) -> None:
        self._missing: dict[str, datetime] = {}

    def heard_of(self, name: str) -> None:
        """Note that one is there after all, or that its end is known."""
        self._missing.pop(name, None)

    def gone(self, names: Iterable[str], record: Record) -> list[str]:
        """Say who is gone, as a complete reconcile does not find them, and an earlier one did not.

        Args:
            names: who is thought to be there.
            record: of a reconcile; one that could not list all says nothing.
        """
        if record.reason:
            return []
        missing = {name: self._missing.get(name, record.at) for name in set(names) - record.runners}
        # Set back meanwhile, the time of day would have them wait for long.
        gone = {name for name, since in missing.items() if abs(record.at - since) >= _MISSING_FOR}
        self._missing = {name: since for name, since in missing.items() if name not in gone}
        return sorted(gone)
