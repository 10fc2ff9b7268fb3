"""Numbers of several rounds, summed up; and a plain table of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all don't exceed.

    Raises:
        ValueError: There are none.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def spread(values: Sequence[float]) -> str:
    """Return the median with the least and the greatest, such as `4.10 (3.90 to 4.40)`."""
    median = statistics.median(values)
    return f"{median:.2f} ({min(values):.2f} to {max(values):.2f})"


def render(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with columns of one width."""
    lines = [list(heading), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
    written = [_line(line, widths) for line in lines]
    return "\n".join([written[0], _line(["-" * width for width in widths], widths), *written[1:]])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        + " |"
    )
