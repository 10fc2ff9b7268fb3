"""LXD's way to write a moment."""

from __future__ import annotations

import re
from datetime import datetime

_RFC3339 = re.compile(r"(?P<whole>[^.Z+]+?)(\.(?P<part>\d+))?(?P<zone>Z|[+-]\d\d:\d\d)")


def moment(text: str) -> datetime:
    """Read a time as LXD writes it: RFC 3339, with up to nine digits of a second.

    Python takes three or six digits, and before 3.11 no Z.

    Raises:
        ValueError: It is none.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time of LXD's")
    part = f"{match['part'] or '':0<6}"[:6]
    zone = "+00:00" if match["zone"] == "Z" else match["zone"]
    return datetime.fromisoformat(f"{match['whole']}.{part}{zone}")
