"""Whether the machine is to be rebooted now: only when it is needed, and once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from . import files

_KERNEL = re.compile(r"kernel (\S+) is installed")
"""How the daemon tells of a newer kernel: `kernel … is installed, … is running`."""
_AGAIN = timedelta(days=1)
_KEPT = 20


def due(offer: Mapping[str, Any], asked: Mapping[str, datetime], now: datetime) -> str:
    """Decide whether to reboot for what the daemon offers.

    A kernel that a reboot does not bring up would have a machine reboot for ever: for the same one
    it is never asked for again. What packages need may be the same words months later: that counts
    for a day.

    Args:
        offer: the daemon's own decision: `when` and `reason`.
        asked: what was asked for before, as `subject` names it, and when.
        now: aware.

    Returns:
        The reason; empty if it is not to be rebooted.
    """
    reason = offer.get("reason")
    if offer.get("when") != "now" or not isinstance(reason, str) or not reason:
        return ""
    before = asked.get(subject(reason))
    if before is None:
        return reason
    return "" if _KERNEL.search(reason) or now - before < _AGAIN else reason


def subject(reason: str) -> str:
    """Name what a reboot is for: the kernel that is to be started, or else the whole reason."""
    found = _KERNEL.search(reason)
    return f"kernel {found[1]}" if found else reason


class RebootNote:
    """What the machine was rebooted for.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, datetime]:
        """Give what it was asked for, and when."""
        try:
            return {
                str(what): datetime.fromisoformat(at)
                for what, at in json.loads(files.read(self._path) or "{}").items()
            }
        except (ValueError, TypeError, AttributeError):
            return {}

    def add(self, reason: str, now: datetime) -> None:
        """Note that it was asked for.

        Raises:
            OSError: that can't be noted.
        """
        asked = {**self.read(), subject(reason): now}
        latest = sorted(asked.items(), key=lambda item: item[1])[-_KEPT:]
        files.write(self._path, json.dumps({what: at.isoformat() for what, at in latest}))
