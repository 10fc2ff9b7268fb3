"""Pages of a listing and the Link header that ties them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Item = TypeVar("Item")

DEFAULT_SIZE = 30
_LONGEST_NUMBER = 9
LARGEST_SIZE = 100


@dataclass(frozen=True)
class Page(Generic[Item]):
    """One page of a listing, and the query that asked for it."""

    items: Sequence[Item]
    total: int
    number: int
    size: int
    query: Mapping[str, str]

    @property
    def last(self) -> int:
        """The number of the last page; an empty listing has one."""
        return max(1, -(-self.total // self.size))

    def link(self, url: str) -> str | None:
        """Return the Link header, or None where one page holds all.

        Args:
            url: the listing's address without a query.
        """
        targets: dict[str, int] = {}
        if self.number > 1:
            targets |= {"prev": min(self.number - 1, self.last), "first": 1}
        if self.number < self.last:
            targets |= {"next": self.number + 1, "last": self.last}
        if self.last == 1 and self.number == 1:
            return None
        return ", ".join(
            f'<{url}?{urlencode({**self.query, "page": str(number)})}>; rel="{name}"'
            for name, number in targets.items()
        )


def cut(items: Sequence[Item], query: Mapping[str, str]) -> Page[Item]:
    """Return the page that a query asks for; what it says amiss is read as the default."""
    size = min(_positive(query.get("per_page"), DEFAULT_SIZE), LARGEST_SIZE)
    number = _positive(query.get("page"), 1)
    start = (number - 1) * size
    return Page(items[start : start + size], len(items), number, size, dict(query))


def _positive(text: str | None, default: int) -> int:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > _LONGEST_NUMBER:
        return default
    return int(text) or default
