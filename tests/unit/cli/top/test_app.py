"""The screen itself, worked by keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from answering_daemon import HOSTILE, STATUS, AnsweringDaemon, event, node, runner
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input, RichLog, Static
from waiting import Wait

from supervisor.cli.client import ControlError, NotThere
from supervisor.cli.top.app import Top
from supervisor.cli.top.model import RunnerRow
from supervisor.cli.top.widgets import Question, Reader, RunnersTable

LIMIT_S = 20.0
Play = Callable[[Top, Pilot[None]], Awaitable[None]]


@pytest.fixture
def daemon() -> AnsweringDaemon:
    return AnsweringDaemon()


def run(daemon: AnsweringDaemon, play: Play, size: tuple[int, int] = (80, 24)) -> None:
    """Play on a screen that asks often."""

    async def on_stage() -> None:
        app = Top(daemon, interval_s=0.02)
        async with app.run_test(size=size, notifications=True) as pilot:
            await play(app, pilot)

    asyncio.run(on_stage())


async def until(pilot: Pilot[None], holds: Callable[[], object]) -> None:
    wait = Wait(holds)
    while not wait.look():
        await pilot.pause(wait.pause_s)


def text_of(app: Top, where: str) -> str:
    return str(app.screen_stack[0].query_one(f"#{where}", Static).content)


def names(app: Top) -> list[str]:
    table = app.screen_stack[0].query_one(RunnersTable)
    return [str(table.get_row_at(row)[0]) for row in range(table.row_count)]


def read(app: Top) -> list[str]:
    """Give what the reader shows, line by line as it is wrapped."""
    return [line.text.rstrip() for line in app.screen.query_one(RichLog).lines]


def shown(app: Top) -> str:
    """Give what stands on the screen, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


def said(app: Top) -> list[str]:
    return [one.message for one in app._notifications]


def test_all_of_the_fleet_is_on_eighty_columns_and_twenty_four_lines(
    daemon: AnsweringDaemon,
) -> None:
    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: names(app))
        await pilot.pause()
        screen = shown(app)
        for words in (
            "fleet for acme: ok",
            "2 of 3 runners are there (1 idle, 1 busy, 1 coming)",
            "core: 4,812 of 5,000 calls left until 2030-01-01 12:34 UTC",
            "nothing is wrong",
            "fleet-a  busy",
            "acme/demo test",
            "control listening · tokens ready · fleet keeping",
            "fleet-b  ready → idle",
            "reconcile", "flush", "drain/resume", "delete", "log", "filter", "quit",
        ):  # fmt: skip
            assert words in screen, screen

    run(daemon, play)


def test_what_is_cut_ends_with_an_ellipsis(daemon: AnsweringDaemon) -> None:
    words = "because of this and of that, " * 20
    daemon.status["warnings"] = [words]
    daemon.runners = [runner("fleet-8c1f0a2b9d3e", "busy", words, name="test " * 9)]

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: names(app))
        await pilot.pause()
        lines = [line.rstrip() for line in shown(app).splitlines()]
        at = next(number for number, line in enumerate(lines) if line.startswith("warning: "))
        assert lines[at + 1].endswith("…")
        row = next(line for line in lines if line.startswith(" fleet-8c1f0a2b9d3e"))
        assert row.count("…") == 2
        assert row.endswith("…")
        selected = next(number for number, line in enumerate(lines) if "busy for" in line)
        assert lines[selected + 1].endswith("…")

    run(daemon, play)


@pytest.mark.parametrize("is_asked", [True, False])
def test_an_answer_of_another_version_is_told_and_asked_for_again(
    daemon: AnsweringDaemon, monkeypatch: pytest.MonkeyPatch, *, is_asked: bool
) -> None:
    status, get = dict(daemon.status), daemon.get
    if is_asked:
        monkeypatch.setattr(daemon, "get", lambda path: {}[path])
    else:
        daemon.status.clear()

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "is the daemon of another version?" in text_of(app, "trouble"))
        assert text_of(app, "headline").startswith("NO ANSWER")
        daemon.status.update(status)
        monkeypatch.setattr(daemon, "get", get)
        await until(pilot, lambda: names(app))

    run(daemon, play)


def test_the_selected_runner_is_told_in_full(daemon: AnsweringDaemon) -> None:
    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: names(app) == ["fleet-a", "fleet-b", "fleet-c"])
        await until(pilot, lambda: text_of(app, "selected").startswith("fleet-a: busy for"))
        await pilot.press("down")
        await until(pilot, lambda: text_of(app, "selected").startswith("fleet-b: idle for"))

    run(daemon, play)


def test_runners_come_go_and_move_and_the_cursor_stays_at_its_own(daemon: AnsweringDaemon) -> None:
    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: names(app) == ["fleet-a", "fleet-b", "fleet-c"])
        await pilot.press("down")
        daemon.runners = [runner("fleet-b"), runner("fleet-c", "failed", "no disk")]
        await until(pilot, lambda: names(app) == ["fleet-c", "fleet-b"])
        assert text_of(app, "selected").startswith("fleet-b: idle")
        daemon.runners = [runner("fleet-c", "failed", "no disk")]
        await until(pilot, lambda: text_of(app, "selected").startswith("fleet-c: failed"))
        daemon.runners = []
        await until(pilot, lambda: text_of(app, "selected") == "no runner")
        daemon.runners = [runner("fleet-d")]
        await until(pilot, lambda: names(app) == ["fleet-d"])

    run(daemon, play)


def test_the_cursor_stays_at_the_first_row_until_somebody_moves_it(
    daemon: AnsweringDaemon,
) -> None:
    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: text_of(app, "selected").startswith("fleet-a: busy"))
        daemon.runners = [runner("fleet-a"), runner("fleet-b", "busy"), runner("fleet-c", "failed")]
        await until(pilot, lambda: text_of(app, "selected").startswith("fleet-c: failed"))
        daemon.runners = [runner("fleet-a"), runner("fleet-b", "busy"), runner("fleet-c")]
        await until(pilot, lambda: text_of(app, "selected").startswith("fleet-b: busy"))
        daemon.runners = [runner(f"fleet-{number:04}") for number in range(100)]
        await until(pilot, lambda: text_of(app, "selected").startswith("fleet-0000: idle"))
        await until(pilot, lambda: " row 1 of 100 " in shown(app))
        await until(pilot, lambda: " fleet-0000  idle" in shown(app))

    run(daemon, play)


def test_names_that_are_longer_than_those_before_are_whole_however_soon_they_are_drawn(
    daemon: AnsweringDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = RunnersTable.show

    def show_and_draw(table: RunnersTable, rows: Sequence[RunnerRow]) -> None:
        show(table, rows)
        if any(row.name == "fleet-0000" for row in rows):
            drawn.append(table.render_line(1).text)

    drawn: list[str] = []
    monkeypatch.setattr(RunnersTable, "show", show_and_draw)

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: text_of(app, "selected").startswith("fleet-a: busy"))
        daemon.runners = [runner(f"fleet-{number:04}") for number in range(100)]
        await until(pilot, lambda: drawn)
        await until(pilot, lambda: " fleet-0000  idle" in shown(app))

    run(daemon, play)
    assert drawn[0].startswith(" fleet-0000  idle")


@pytest.mark.parametrize("back", [("end", "home"), ("down", "up"), ("down", "ctrl+home")])
def test_a_cursor_that_is_back_at_the_first_row_stays_there(
    daemon: AnsweringDaemon, back: tuple[str, str]
) -> None:
    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press(back[0])
        daemon.runners = [*daemon.runners, runner("fleet-d")]
        await until(pilot, lambda: len(names(app)) == 4)
        await pilot.press(back[1])
        daemon.runners = [*daemon.runners, runner("fleet-e", "failed")]
        await until(pilot, lambda: text_of(app, "selected").startswith("fleet-e: failed"))

    run(daemon, play)


def test_the_runner_that_somebody_has_chosen_is_kept_also_from_the_first_row_on(
    daemon: AnsweringDaemon,
) -> None:
    failed = runner("fleet-b", "failed")

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press("down")
        daemon.runners = [runner("fleet-a", "busy"), failed]
        await until(pilot, lambda: names(app) == ["fleet-b", "fleet-a"])
        daemon.runners = [runner("fleet-a", "failed"), failed]
        await until(pilot, lambda: " row 2 of 2 " in shown(app))
        assert text_of(app, "selected").startswith("fleet-b: failed")
        daemon.runners = [runner("fleet-a"), failed]
        await until(pilot, lambda: " row 1 of 2 " in shown(app))
        await pilot.press("home")
        daemon.runners = [runner("fleet-a", "failed"), failed]
        await until(pilot, lambda: text_of(app, "selected").startswith("fleet-a: failed"))

    run(daemon, play)


def test_it_is_said_at_which_of_how_many_rows_the_cursor_is(daemon: AnsweringDaemon) -> None:
    daemon.runners = [runner(f"fleet-{number}") for number in range(10, 30)]

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: " row 1 of 20 " in shown(app))
        await pilot.press("end")
        await until(pilot, lambda: " row 20 of 20 " in shown(app))
        await pilot.press("up")
        await until(pilot, lambda: " row 19 of 20 " in shown(app))
        assert text_of(app, "selected").startswith("fleet-28: idle")
        await pilot.press("home")
        await until(pilot, lambda: " row 1 of 20 " in shown(app))
        await pilot.press("slash", *"fleet-2")
        await until(pilot, lambda: " row 1 of 10 " in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: " no row " in shown(app))

    run(daemon, play)


@pytest.mark.parametrize(
    ("keys", "refusal"),
    [
        (("r",), ""),
        (("r", "r", "r"), ""),
        (("x", "y"), "fleet-a runs a job; --force deletes it and loses the job"),
        (("r",), "not told, as their actors are being restarted: " + "fleet-8c1f0a2b9d3e, " * 8),
    ],
)
def test_what_an_order_comes_to_hides_no_event(
    daemon: AnsweringDaemon, keys: tuple[str, ...], refusal: str
) -> None:
    daemon.refuses = refusal
    why = "because of this and of that " * 4
    daemon.events = [event("fleet-b", "idle", "ready", why) for _ in range(4)]
    lines_below = len(daemon.events) + 1  # and that of the keys

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.pause()
        before = shown(app).splitlines()[-lines_below:]
        for key in keys:
            await pilot.press(key)
        await until(pilot, lambda: said(app))
        first_words = said(app)[0][:20]
        await until(pilot, lambda: first_words in shown(app))
        assert shown(app).splitlines()[-lines_below:] == before

    run(daemon, play)


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        (("r",), ("POST", "/v1/reconcile")),
        (("f", "y"), ("POST", "/v1/flush?whom=idle")),
        (("d", "y"), ("POST", "/v1/drain")),
        (("x", "y"), ("DELETE", "/v1/runners/fleet-a")),
        (("down", "x", "y"), ("DELETE", "/v1/runners/fleet-b")),
    ],
)
def test_a_key_gives_an_order_and_it_is_said(
    daemon: AnsweringDaemon, keys: tuple[str, ...], order: tuple[str, str]
) -> None:
    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press(*keys)
        await until(pilot, lambda: said(app))
        assert daemon.orders == [order]

    run(daemon, play)


def test_a_flush_that_has_not_reached_all_names_them(daemon: AnsweringDaemon) -> None:
    daemon.missed = ["fleet-b"]

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press("f", "y")
        told = "not told, as their actors are being restarted: fleet-b; try again"
        await until(pilot, lambda: said(app) == [told])

    run(daemon, play)


def test_one_order_is_given_at_a_time(daemon: AnsweringDaemon) -> None:
    daemon.answers_orders.clear()

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press("r")
        await until(pilot, lambda: daemon.orders)
        await pilot.press("r")
        await until(pilot, lambda: said(app) == ["the order before is not answered yet"])
        daemon.answers_orders.set()
        await until(pilot, lambda: "a reconcile is ordered" in said(app))
        await pilot.press("r")
        await until(pilot, lambda: len(daemon.orders) == 2)

    run(daemon, play)


@pytest.mark.parametrize("key", ["f", "d", "x"])
@pytest.mark.parametrize("answer", ["n", "escape"])
def test_what_costs_runners_asks_first_and_takes_no_for_an_answer(
    daemon: AnsweringDaemon, key: str, answer: str
) -> None:
    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press(answer)
        await until(pilot, lambda: not isinstance(app.screen, Question))
        assert (daemon.orders, said(app)) == ([], [])

    run(daemon, play)


def test_a_drained_fleet_is_kept_again_by_the_same_key(daemon: AnsweringDaemon) -> None:
    daemon.status = {**STATUS, "draining_since": "2030-01-01T00:00:00+00:00"}

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: text_of(app, "trouble").startswith("draining since"))
        await pilot.press("d", "y")
        await until(pilot, lambda: daemon.orders == [("POST", "/v1/resume")])

    run(daemon, play)


def test_a_refusal_is_said_in_the_daemons_words(daemon: AnsweringDaemon) -> None:
    daemon.refuses = "fleet-a runs a job; --force deletes it [and] loses the job"

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press("x", "y")
        await until(pilot, lambda: said(app) == [daemon.refuses])

    run(daemon, play)


def test_a_filter_shows_only_the_runners_that_have_its_text(daemon: AnsweringDaemon) -> None:
    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press("slash", *"busy")
        await until(pilot, lambda: names(app) == ["fleet-a"])
        assert app.query_one("#filter", Input).display
        await until(pilot, lambda: "esc all" in shown(app))
        await pilot.press("enter", "r")  # keys are orders again
        await until(pilot, lambda: daemon.orders)
        await pilot.press("escape")
        await until(pilot, lambda: len(names(app)) == 3)
        assert not app.query_one("#filter", Input).display
        await until(pilot, lambda: "esc all" not in shown(app))

    run(daemon, play)


def test_what_is_typed_in_one_go_with_the_filters_key_is_text_and_no_order(
    daemon: AnsweringDaemon,
) -> None:
    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        for key, character in (("slash", "/"), ("r", "r"), ("slash", "/"), ("f", "f")):
            app.post_message(Key(key, character))
        await until(pilot, lambda: app.query_one("#filter", Input).value == "r/f")
        assert daemon.orders == []

    run(daemon, play)


def test_what_is_known_of_a_runner_is_shown_and_left_again(daemon: AnsweringDaemon) -> None:
    daemon.logs["fleet-a"] = f"the guest said {HOSTILE}"

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, Reader))
        await until(pilot, lambda: len(read(app)) > 4)
        lines = read(app)
        assert lines[0].startswith("fleet-a: busy")
        assert any("fleet-b  ready → idle" in line for line in lines)
        assert any(line.startswith("the guest said") for line in lines)
        assert all(line.isprintable() for line in lines)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Reader))

    run(daemon, play)


def test_a_runner_without_a_log_says_that_none_is_kept(daemon: AnsweringDaemon) -> None:
    daemon.events = NotThere("the daemon refuses GET /v1/events: not found")

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, Reader))
        await until(pilot, lambda: "no journal" in read(app))
        assert any("no logs of fleet-a are kept" in line for line in read(app))

    run(daemon, play)


def test_why_the_journal_can_not_be_read_is_said(daemon: AnsweringDaemon) -> None:
    refusal = "the journal can't be read: database is locked"
    daemon.events = ControlError(refusal)

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: text_of(app, "events") == refusal)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, Reader))
        await until(pilot, lambda: refusal in read(app))

    run(daemon, play)


def test_a_daemon_that_goes_away_is_said_and_one_that_comes_back_is_shown(
    daemon: AnsweringDaemon,
) -> None:
    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        daemon.down = "/run/x.sock: no daemon is running there"
        await until(pilot, lambda: text_of(app, "headline").startswith("NO ANSWER"))
        assert text_of(app, "trouble") == daemon.down
        assert len(names(app)) == 3
        await pilot.press("l")
        await until(pilot, lambda: said(app) == [daemon.down])
        daemon.down = ""
        await until(pilot, lambda: text_of(app, "headline").startswith("fleet for acme: ok"))
        assert text_of(app, "trouble") == "nothing is wrong"

    run(daemon, play)


def test_a_daemon_that_is_not_there_yet_is_waited_for(daemon: AnsweringDaemon) -> None:
    daemon.down = "no daemon"

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "NO ANSWER" in text_of(app, "headline"))
        await pilot.press("x", "l", "d", "n")  # nothing to do it to, and no failure
        daemon.down = ""
        await until(pilot, lambda: len(names(app)) == 3)

    run(daemon, play)


def test_what_others_say_is_only_printed(daemon: AnsweringDaemon) -> None:
    daemon.runners = [runner("fleet-a", "failed", HOSTILE, repository=HOSTILE)]
    daemon.status = {**STATUS, "problems": [HOSTILE], "path": HOSTILE, "health": "degraded"}
    daemon.tree = node("root", node("fleet", state=HOSTILE))
    daemon.events = [event("a", HOSTILE, HOSTILE, HOSTILE)]
    daemon.refuses = HOSTILE

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: names(app) == ["fleet-a"])
        await pilot.press("r")
        await until(pilot, lambda: said(app))
        await pilot.pause()
        assert "[bold]x[/nonsense]" in shown(app)
        assert all(line.isprintable() for line in shown(app).splitlines())

    run(daemon, play, size=(200, 50))


def test_a_job_has_the_room_that_reasons_leave(daemon: AnsweringDaemon) -> None:
    where, reason = "my-organisation/its-web-shop", "runs a job of a pull request"
    daemon.runners = [runner("fleet-a", "busy", reason, repository=where)]

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: f" {where} " in shown(app))
        assert reason in shown(app)
        await pilot.resize_terminal(90, 50)
        await until(pilot, lambda: " my-organisation/its… " in shown(app))
        assert reason in shown(app)
        await pilot.resize_terminal(200, 50)
        await until(pilot, lambda: f" {where} " in shown(app))

    run(daemon, play, size=(200, 50))


def test_meaning_does_not_depend_on_colours(
    daemon: AnsweringDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    daemon.status = {**STATUS, "problems": ["fleet: degraded: no"], "health": "degraded"}

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.pause()
        assert app.no_color
        for words in ("fleet for acme: degraded", "! fleet keeping", "busy", "problem: fleet"):
            assert words in shown(app)

    run(daemon, play)


def test_a_thousand_runners_are_drawn_once_and_then_only_what_has_changed(
    daemon: AnsweringDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.runners = [runner(f"fleet-{number:04}") for number in range(1000)]
    changed: list[tuple[Any, ...]] = []
    update = RunnersTable.update_cell

    def note(table: RunnersTable, *where: Any, **how: Any) -> None:
        changed.append(where)
        update(table, *where, **how)

    monkeypatch.setattr(RunnersTable, "update_cell", note)

    async def play(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 1000)
        await until(pilot, lambda: " row 1 of 1,000 " in shown(app))
        daemon.runners = [*daemon.runners[:-1], runner("fleet-0999", reason="waits for a job")]
        await until(pilot, lambda: changed)
        assert [where[:2] for where in changed] == [("fleet-0999", "REASON")]
        daemon.runners = daemon.runners[:3]
        await until(pilot, lambda: len(names(app)) == 3)

    run(daemon, play)
