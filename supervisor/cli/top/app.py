"""The application: asks the daemon every second, shows what has changed, and gives orders."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, ClassVar
from urllib.parse import quote

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable, Footer, Input, Static

from supervisor.cli.client import ControlError
from supervisor.cli.order_words import not_reached
from supervisor.cli.top.model import View, event_lines, matching, view_of
from supervisor.cli.top.source import Answers, Client, Silence, ask, read_runner, unreadable
from supervisor.cli.top.widgets import Question, Reader, RunnersTable, cut_lines
from supervisor.text.printable import one_line, printable

_INTERVAL_S = 1.0
_SHARE = 4
"""So many times as long as the daemon takes to answer it is left alone afterwards."""
_EVENT_LINES = 4
_ORDERS = "orders"
_LINES = {"headline": 2, "trouble": 2, "selected": 2, "actors": 3}
"""How many lines there are for a text that may be longer: as top.tcss has it."""


class Told(Message):
    """The daemon has answered, or not."""

    def __init__(self, answers: Answers | Silence) -> None:
        super().__init__()
        self.answers = answers


class Top(App[None]):
    """A fleet on the screen.

    Args:
        client: asks its daemon.
        interval_s: seconds between two looks.
    """

    TITLE = "supervisor-cli top"
    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = "top.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "reconcile", "reconcile"),
        Binding("f", "flush", "flush"),
        Binding("d", "drain", "drain/resume"),
        Binding("x", "delete", "delete"),
        Binding("l", "log", "log"),
        # At once, so that what was typed right after it is text and no order.
        Binding("slash", "filter", "filter", key_display="/", priority=True),
        Binding("q", "quit", "quit"),
        Binding("escape", "unfilter", "all", key_display="esc"),
    ]

    def __init__(self, client: Client, *, interval_s: float = _INTERVAL_S) -> None:
        super().__init__(ansi_color=True)
        self._client = client
        self._interval_s = interval_s
        self._view: View | None = None
        self._told_at = ""
        self._is_sought = False
        self._stopped, self._wake, self._shown = (threading.Event() for _ in range(3))

    def compose(self) -> ComposeResult:
        """Make the screen, from top to bottom."""
        yield Static("asking the daemon …", id="headline", markup=False)
        yield Static(id="numbers", markup=False)
        yield Static(id="trouble", markup=False)
        yield RunnersTable(id="runners")
        yield Static(id="selected", markup=False)
        yield Input(placeholder="only runners with …", id="filter", compact=True)
        yield Static(id="actors", markup=False)
        yield Static(id="events", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Begin to ask."""
        self._table.focus()
        threading.Thread(target=self._ask_on, name="asking", daemon=True).start()

    def on_unmount(self) -> None:
        """Ask no more."""
        self._stopped.set()
        self._shown.set()
        self._wake.set()

    def _ask_on(self) -> None:
        """Ask again and again, in a thread of its own, and never before the last was shown."""
        while not self._stopped.is_set():
            began = time.monotonic()
            answers = ask(self._client)
            pause_s = max(self._interval_s, _SHARE * (time.monotonic() - began))
            self._shown.clear()
            if not self.post_message(Told(answers)):
                return  # the screen was left meanwhile
            self._shown.wait()
            self._wake.wait(pause_s)
            self._wake.clear()

    # What is shown

    @on(Told)
    def _told(self, message: Told) -> None:
        try:
            if self._is_whole:
                self._show_answers(message.answers)
        finally:
            self._shown.set()

    def _show_answers(self, answers: Answers | Silence) -> None:
        if isinstance(answers, Silence):
            self._say_silent(answers)
            return
        now = datetime.now(timezone.utc)
        try:
            view = view_of(answers, now)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self._say_silent(unreadable(error))
            return
        self._told_at = f"{now:%H:%M:%S} UTC"
        self._show(view)

    def _say_silent(self, silence: Silence) -> None:
        as_of = f"; what is shown is of {self._told_at}" if self._told_at else ""
        self._write("headline", Text(one_line(f"NO ANSWER, asked again{as_of}"), "bold"))
        self._write("trouble", Text(one_line(silence.reason)))

    def _show(self, view: View) -> None:
        self._view = view
        self._write("headline", Text(f"{view.headline}   {self._told_at}", "bold"))
        self._write("numbers", Text(f"{view.numbers}\n{view.budget}"))
        self._write("trouble", Text(view.trouble))
        actors = (Text(one.text, "" if one.sound else "bold") for one in view.actors)
        self._write("actors", Text(" · ").join(actors))
        self._write("events", Text("\n".join(view.events[-_EVENT_LINES:])))
        self._show_runners()

    def _show_runners(self) -> None:
        if self._view and self._is_whole:
            text = self.screen_stack[0].query_one("#filter", Input).value
            self._table.show(matching(self._view.runners, text))
            self._show_selected()

    @on(DataTable.RowHighlighted)
    def _show_selected(self) -> None:
        if not self._is_whole:
            return
        selected = self._table.selected
        self._write("selected", Text(str(selected) if selected else "no runner"))
        line, title = self.screen_stack[0].query_one("#selected"), f" {self._table.place} "
        if line.border_title != title:
            line.border_title = title

    @property
    def _is_whole(self) -> bool:
        """Whether it is not being left, with half of the screen gone, while messages still come."""
        return self.is_running and bool(self.screen_stack)

    @property
    def _table(self) -> RunnersTable:
        return self.screen_stack[0].query_one(RunnersTable)

    def _write(self, where: str, text: Text) -> None:
        place = self.screen_stack[0].query_one(f"#{where}", Static)
        if where in _LINES:
            text = cut_lines(text, self.size.width, _LINES[where])
        if place.content != text:
            place.update(text)

    # What is ordered

    def action_reconcile(self) -> None:
        """Have both sides compared now."""
        self._order("a reconcile is ordered", lambda: self._client.post("/v1/reconcile"))

    def action_flush(self) -> None:
        """Have those replaced that wait for a job, after a question."""
        self._ask_first(
            "Replace all runners that wait for a job by fresh ones?",
            "runners are being replaced",
            self._order_flush,
        )

    def _order_flush(self) -> None:
        if text := not_reached(self._client.post("/v1/flush?whom=idle")):
            raise ControlError(text)

    def action_drain(self) -> None:
        """Have the fleet drained or kept again, after a question."""
        if self._view and self._view.draining:
            question, done, path = "Keep runners again?", "runners are kept again", "/v1/resume"
        else:
            question = "Finish the jobs that run, and create no more runners?"
            done, path = "the fleet is being drained", "/v1/drain"
        self._ask_first(question, done, lambda: self._client.post(path))

    def action_delete(self) -> None:
        """Have the selected runner deleted, after a question; the daemon refuses a busy one."""
        if selected := self._table.selected:
            path = f"/v1/runners/{quote(selected.name, safe='')}"
            self._ask_first(
                f"Delete {selected.name}? Another takes its place.",
                f"{selected.name} is being deleted",
                lambda: self._client.delete(path),
            )

    def _ask_first(self, question: str, done: str, give: Callable[[], Any]) -> None:
        def answered(answer: bool | None) -> None:
            if answer:
                self._order(done, give)

        self.push_screen(Question(question), answered)

    def _order(self, done: str, give: Callable[[], Any]) -> None:
        """Give an order, unless the one before it has not been answered."""
        if any(given.group == _ORDERS and not given.is_finished for given in self.workers):
            self.notify("the order before is not answered yet", severity="warning")
        else:
            self._give(done, give)

    @work(thread=True, group=_ORDERS)
    def _give(self, done: str, give: Callable[[], Any]) -> None:
        try:
            give()
        except ControlError as error:
            self.notify(one_line(str(error)), severity="error", markup=False)
        else:
            self.notify(one_line(done), markup=False)
        self._wake.set()

    # What is read, and sought

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tell whether a key means this now."""
        match action:
            case "filter":
                return len(self.screen_stack) == 1 and not isinstance(self.focused, Input)
            case "unfilter":
                return self._is_sought
        return super().check_action(action, parameters)

    def action_log(self) -> None:
        """Show what is known of the selected runner."""
        if selected := self._table.selected:
            self._read(selected.name, str(selected))

    @work(thread=True, group="reading", exclusive=True)
    def _read(self, name: str, known: str) -> None:
        try:
            events, log = read_runner(self._client, name)
        except ControlError as error:
            self.notify(one_line(str(error)), severity="error", markup=False)
            return
        text = "\n".join((known, "", *event_lines(events), "", printable(log)))
        self.call_from_thread(self.push_screen, Reader(name, text))

    def action_filter(self) -> None:
        """Ask for a text that runners are to have."""
        sought = self.query_one("#filter", Input)
        sought.display = self._is_sought = True
        self.screen.set_focus(sought)

    def action_unfilter(self) -> None:
        """Show all runners again."""
        sought = self.query_one("#filter", Input)
        sought.value = ""
        self.screen.set_focus(self._table)
        sought.display = self._is_sought = False
        self.refresh_bindings()

    @on(Input.Changed, "#filter")
    def _sought(self) -> None:
        self._show_runners()

    @on(Input.Submitted, "#filter")
    def _found(self) -> None:
        self.screen.set_focus(self._table)
