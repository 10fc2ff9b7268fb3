"""The pieces of the screen."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Label, RichLog, Static
from textual.widgets.data_table import ColumnKey

from supervisor.cli.tables import stage_text
from supervisor.cli.top.model import RunnerRow

_LEAST_JOB_WIDTH = 20
_JOB_WIDTH = 60
_REASON_WIDTH = 60
_LEAST_NAME_WIDTH = 6
_COLUMNS = (
    ("RUNNER", _LEAST_NAME_WIDTH), ("STAGE", 9), ("FOR", 4),
    ("JOB", _LEAST_JOB_WIDTH), ("REASON", _REASON_WIDTH),
)  # fmt: skip
_PADDING = 1
_LEAST_WIDTH = 10
_MANY_GONE = 50


class RunnersTable(DataTable[Text]):
    """The runners, a row each. Only what has changed is drawn anew: there may be a thousand.

    The cursor stays at the first row, where what most needs an eye comes to stand, until somebody
    moves it from there; then it stays at its runner.
    """

    # Textual's own scroll sideways, and a row ends where the screen does.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "scroll_top", "first", show=False),
        Binding("end", "scroll_bottom", "last", show=False),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, cursor_type="row", cell_padding=_PADDING)
        self._rows: dict[str, RunnerRow] = {}
        self._widths = (_LEAST_JOB_WIDTH, _REASON_WIDTH)
        self._left_at = 0
        self._is_moved = False
        for heading, width in _COLUMNS:
            self.add_column(heading, key=heading, width=width)

    @property
    def selected(self) -> RunnerRow | None:
        """The runner under the cursor."""
        if not self.is_valid_row_index(self.cursor_row):
            return None
        name = self.ordered_rows[self.cursor_row].key.value
        return self._rows.get(name or "")

    @property
    def place(self) -> str:
        """At which row the cursor is, and of how many."""
        return f"row {self.cursor_row + 1:,} of {self.row_count:,}" if self.row_count else "no row"

    def show(self, rows: Sequence[RunnerRow]) -> None:
        """Show these runners, in this order.

        Args:
            rows: each of another name.
        """
        wanted = {row.name: row for row in rows}
        self._fit(wanted)
        if wanted == self._rows and list(wanted) == list(self._rows):
            return
        selected, at = self.selected, self.cursor_row
        if at != self._left_at:
            self._is_moved = at > 0
        gone = self._rows.keys() - wanted.keys()
        if len(gone) > _MANY_GONE:
            # Removing rows one by one costs the square of their number.
            self.clear()
            self._rows, gone = {}, set()
        for name in gone:
            self.remove_row(name)
        for name, row in wanted.items():
            self._put(name, row, self._rows.get(name))
        if list(wanted) != [name for name in self._rows if name in wanted]:
            places = {name: place for place, name in enumerate(wanted)}
            self.sort("RUNNER", key=lambda name: places[str(name)])
        self._rows = wanted
        self._restore_cursor(selected if self._is_moved else None, at)

    def action_scroll_top(self) -> None:
        """Have the cursor at the first row, whichever runner comes to stand there."""
        super().action_scroll_top()
        self._is_moved = False

    def _fit(self, wanted: Mapping[str, RunnerRow]) -> None:
        """Have reasons end where the screen does, and jobs have what reasons leave."""
        # Textual measures a column of no width when it is idle, and keeps what was drawn till then.
        name = max((_LEAST_NAME_WIDTH, *map(cell_len, wanted)))
        self.columns[ColumnKey("RUNNER")].width = name
        others = name + sum(width for _, width in _COLUMNS[1:-2])
        # There is a bar to scroll by when there are many.
        across = self.app.size.width - self.styles.scrollbar_size_vertical
        left = across - others - 2 * _PADDING * len(_COLUMNS)
        longest = max((cell_len(row.job) for row in wanted.values()), default=0)
        widths = _widths(left, longest)
        if widths == self._widths:
            return
        self._widths = widths
        self.columns[ColumnKey("JOB")].width = widths[0]
        for number, row in enumerate(self._rows.values()):
            job, reason = _cells(row, widths)[-2:]
            # Once is enough to have the table measured anew.
            self.update_cell(row.name, "JOB", job, update_width=not number)
            self.update_cell(row.name, "REASON", reason)

    def _put(self, name: str, row: RunnerRow, before: RunnerRow | None) -> None:
        if before is None:
            self.add_row(*_cells(row, self._widths), key=name)
        elif before != row:
            widths = self._widths
            cells = zip(_COLUMNS, _cells(before, widths), _cells(row, widths), strict=True)
            for (heading, _), old, new in cells:
                if old != new:
                    self.update_cell(name, heading, new)

    def _restore_cursor(self, own: RunnerRow | None, at: int) -> None:
        """Put the cursor to the runner it belongs to, or else to the row where it was."""
        if own and own.name in self._rows:
            at = self.get_row_index(own.name)
        else:
            at = max(0, min(at, len(self._rows) - 1))
            self._is_moved = at > 0
        if at != self.cursor_row:
            self.move_cursor(row=at, animate=False)
        self._left_at = at


def cut_lines(text: Text, width: int, most: int) -> Text:
    """Give the first lines of a text, with an ellipsis at their end if there are more.

    Args:
        text: in full.
        width: of a line.
        most: how many lines there may be.
    """
    lines = text.wrap(Console(), max(width, 1))
    if len(lines) <= most:
        return text
    last = lines[most - 1]
    last.rstrip()
    last.append(" …")
    last.truncate(width, overflow="ellipsis")
    return Text("\n").join(lines[:most])


def _cut(words: str, width: int) -> Text:
    text = Text(words)
    text.truncate(width, overflow="ellipsis")
    return text


def _widths(left: int, longest_job: int) -> tuple[int, int]:
    """Give the widths of jobs and of reasons, by the columns that are left for both."""
    reason = min(max(left - _LEAST_JOB_WIDTH, _LEAST_WIDTH), _REASON_WIDTH)
    job = min(longest_job, left - reason, _JOB_WIDTH)
    return max(job, _LEAST_JOB_WIDTH), reason


def _cells(row: RunnerRow, widths: tuple[int, int]) -> tuple[Text, ...]:
    job, reason = widths
    return (
        Text(row.name, "bold"),
        stage_text(row.stage),
        Text(row.age, justify="right"),
        _cut(row.job, job),
        _cut(row.reason, reason),
    )


class Question(ModalScreen[bool]):
    """Asks before something is done.

    Args:
        question: what would be done.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,q", "answer(False)", "no"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Make the box."""
        with Vertical(id="question"):
            yield Label(self._question, markup=False)
            yield Label("y: yes   n: no", markup=False)

    def action_answer(self, answer: bool) -> None:
        """Give the answer to whoever has asked."""
        self.dismiss(answer)


class Reader(ModalScreen[None]):
    """Shows a text that may be long.

    Args:
        title: what it is.
        text: printable already.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,l", "dismiss", "back")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Make the page."""
        yield Static(f"{self._title}   (escape: back)", id="title", markup=False)
        yield RichLog(id="text", wrap=True, min_width=1)

    def on_mount(self) -> None:
        """Write the text."""
        log = self.query_one(RichLog)
        log.write(Text(self._text), scroll_end=False)
        log.focus()
