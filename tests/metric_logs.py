"""The metric log as its readers see it, while it is being written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def events_in(log: Path) -> list[dict[str, Any]]:
    """Read those that are whole: the last line may be half written, and no file be there yet."""
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    whole, _, _ = text.rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]
