"""Tables for terminals, narrow ones too."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.table import Column, Table
from rich.text import Text

from supervisor.lifecycle import Stage
from supervisor.status.states import STATES, Soundness

_OF_SOUNDNESS = {
    Soundness.SOUND: "green",
    Soundness.TRANSIENT: "yellow",
    Soundness.FAILING: "red",
}
_COLOURS = {
    **{state: _OF_SOUNDNESS[soundness] for state, soundness in STATES.items()},
    Stage.IDLE.value: "green",
    Stage.BUSY.value: "yellow",
    Stage.RETIRING.value: "blue",
    Stage.FINISHED.value: "blue",
    Stage.FAILED.value: "red",
}
_GAP = 2
_LEAST_WIDTH = 10
_READABLE_WIDTH = 20


def table_of(*headings: str) -> Table:
    """Make an empty table with these headings."""
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")
    for heading in headings:
        number = heading in {"FOR", "RESTARTS", "MAILBOX", "SAVED", "SIZE"}
        table.add_column(heading, no_wrap=True, justify="right" if number else "left")
    return table


def fitting(
    table: Table, width: int, spare: Sequence[str] = (), shorten: Sequence[str] = ()
) -> Table:
    """Let the last column give way where the terminal is narrow, and others before it is gone.

    The first column gives way when nothing else can; how long and in which state never does.

    Args:
        table: in full.
        width: of the terminal, in characters.
        spare: headings of columns that are left out then, the first one first.
        shorten: headings of columns that are cut then, the first one first.
    """
    columns = {str(column.header): column for column in table.columns}
    widths = {heading: _width(column) for heading, column in columns.items()}
    *others, last = columns
    least = min(widths[last], _READABLE_WIDTH)

    def lacking() -> int:
        return sum(widths[heading] + _GAP for heading in others) + least + 1 - width

    for heading in spare:
        if lacking() > 0:
            others.remove(heading)
    for heading in shorten:
        widths[heading] -= max(0, min(lacking(), widths[heading] - _LEAST_WIDTH))
    least = min(least, _LEAST_WIDTH)
    widths[others[0]] -= max(0, min(lacking(), widths[others[0]] - _LEAST_WIDTH))
    left = width - sum(widths[heading] + _GAP for heading in others) - 1
    fitted = table_of(*others, last)
    for column in fitted.columns[:-1]:
        column.width = widths[str(column.header)]
    fitted.columns[-1].max_width = max(_LEAST_WIDTH, left)
    for cells in zip(*(columns[heading].cells for heading in (*others, last)), strict=True):
        fitted.add_row(*cells)
    return fitted


def _width(column: Column) -> int:
    return max(cell_len(str(cell)) for cell in (column.header, *column.cells))


def stage_text(word: str) -> Text:
    """Write a stage or state in its colour."""
    return Text(word, _COLOURS.get(word, "cyan"))
