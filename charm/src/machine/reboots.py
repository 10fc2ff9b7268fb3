"""Whether the machine is to be rebooted now: only when it is needed, and once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from . import files

_AGAIN = timedelta(days=1)
_KEPT = 20


@dataclass(frozen=True)
class Asked:
    """When a reboot was asked for.

    Attributes:
        at: aware.
        boot: what the kernel names the boot by during which it was; empty if that is not known.
    """

    at: datetime
    boot: str


def due(offer: Mapping[str, Any], asked: Mapping[str, Asked], now: Asked) -> str:
    """Decide whether to reboot for what the daemon offers.

    A kernel that a reboot does not bring up would have a machine reboot for ever: for the same one
    it is never asked for again. What packages need may be the same words months later: that counts
    for a day. A machine that has not gone down since was never rebooted, such as where the hook was
    killed that asked for it: it is asked again.

    Args:
        offer: the daemon's own decision: `when`, `reason`, and the `kernel` that is to be started.
        asked: what was asked for before, as `subject` names it.
        now: how it would be noted.

    Returns:
        The reason; empty if it is not to be rebooted.
    """
    reason = offer.get("reason")
    if offer.get("when") != "now" or not isinstance(reason, str) or not reason:
        return ""
    before = asked.get(subject(offer))
    if before is None or (now.boot and before.boot == now.boot):
        return reason
    return "" if offer.get("kernel") or now.at - before.at < _AGAIN else reason


def subject(offer: Mapping[str, Any]) -> str:
    """Name what a reboot is for: the kernel that is to be started, or else the whole reason.

    A daemon of an earlier version does not say the kernel.
    """
    kernel = offer.get("kernel")
    return f"kernel {kernel}" if kernel else str(offer.get("reason"))


class RebootNote:
    """What the machine was rebooted for.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Asked]:
        """Give what it was asked for, and when."""
        try:
            return {
                str(what): Asked(datetime.fromisoformat(one["at"]), str(one["boot"]))
                for what, one in json.loads(files.read(self._path) or "{}").items()
            }
        except (ValueError, TypeError, AttributeError, KeyError):
            return {}

    def add(self, what: str, now: Asked) -> None:
        """Note that it was asked for.

        Args:
            what: for, as `subject` names it.
            now: how it is noted.

        Raises:
            OSError: that can't be noted.
        """
        asked = {**self.read(), what: now}
        latest = sorted(asked.items(), key=lambda item: item[1].at)[-_KEPT:]
        shown = {what: {"at": one.at.isoformat(), "boot": one.boot} for what, one in latest}
        files.write(self._path, json.dumps(shown))
