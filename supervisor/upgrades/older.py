"""When an older version may take the place of the one in use: not for a moment's slip.

Each change costs a download, an image and all idle runners; a list that flips would cost
that each time. A release that was withdrawn for good stays away.
"""

import re
from dataclasses import dataclass, replace

HELD_S = 86400.0
"""So long an older one is offered before it is taken for the latest."""


@dataclass(frozen=True)
class OlderOffer:
    """An older version than the one in use is offered.

    Attributes:
        version: its number.
        than: the number of the one in use.
        since: when it was first offered, without another one in between (monotonic, seconds).
        ordered: the operator has ordered what is offered.
    """

    version: str
    than: str
    since: float
    ordered: bool = False

    def held(self, now: float) -> str:
        """Say why it is not taken; empty if it is."""
        if self.ordered or now - self.since >= HELD_S:
            return ""
        return (
            f"{self.version} is offered, which is older than {self.than}: it is taken after a day "
            "of that, or at once by `supervisor-cli upgrade --now`"
        )


def follow(
    known: OlderOffer | None, offered: str, in_use: str, now: float, *, ordered: bool
) -> OlderOffer | None:
    """Take in what is offered.

    Args:
        known: what was made of the offer before.
        offered: the number of the version that is offered.
        in_use: of the one in use; empty if there is none.
        now: monotonic, seconds.
        ordered: the operator has ordered what is offered.

    Returns:
        The offer, if it is of an older version; None if not, or if that can't be told.
    """
    if not _number(offered) or not _number(in_use) or _number(offered) >= _number(in_use):
        return None
    if known and (known.version, known.than) == (offered, in_use):
        return replace(known, ordered=known.ordered or ordered)
    return OlderOffer(offered, in_use, now, ordered)


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", version)))
