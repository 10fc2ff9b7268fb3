"""The commands that look into the journal, and how it looks to people."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from supervisor.cli import journal_commands, main
from supervisor.cli.client import ControlError
from supervisor.cli.journal_words import draw_history, event_line
from tests.unit.cli.called import answering

JOB = {
    "repository": "acme/demo", "workflow": "CI", "run_id": "7", "event": "push", "name": "build",
    "result": "",
}  # fmt: skip


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "at": "2030-01-01T12:00:00+00:00", "kind": "runner", "subject": "fleet-a",
        "state": "busy", "before": "idle", "reason": "runs its job", "lasted_s": 42.0,
        "details": {"job": None}, **more,
    }  # fmt: skip


class Daemon:
    """Answers on a socket what it is given, and keeps what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.answers: list[dict[str, Any]] = []
        self.server = ThreadingUnixStreamServer(str(path), answering(self._answer))
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def _answer(self, _method: str, path: str) -> Any:
        parts = urlsplit(path)
        self.asked.append((parts.path, parse_qs(parts.query)))
        return self.answers.pop(0)

    def call(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--socket", str(self.path)])


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "c.sock")
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_each_event_is_a_line_for_people(daemon: Daemon) -> None:
    told = event(1, details={"job": {**JOB, "result": "Succeeded"}})
    daemon.answers = [{"events": [told], "last": 1, "more": False, "lost": 0}]
    done = daemon.call("events")
    assert done.exit_code == 0
    assert re.fullmatch(
        r"2030-01-01 12:00:00 UTC  fleet-a  idle → busy  \(42s\)  "
        r"acme/demo CI build  Succeeded  runs its job\n",
        done.stdout,
    )
    assert daemon.asked == [("/v1/events", {"limit": ["100"]})]


@pytest.mark.parametrize(
    ("state", "reason", "line"),
    [
        ("success", "", "success  acme/demo, was queued for 1m12s"),
        ("", "no end of it", "acme/demo, was queued for 1m12s  no end of it"),
    ],
)
def test_a_job_of_which_github_has_told_is_a_line_with_how_long_it_was_queued(
    daemon: Daemon, state: str, reason: str, line: str
) -> None:
    details = {"repository": "acme/demo", "run_id": 7, "queue_s": 72.0}
    told = event(1, kind="job", state=state, before="", reason=reason, lasted_s=0, details=details)
    daemon.answers = [{"events": [told], "last": 1, "more": False, "lost": 0}]
    assert daemon.call("events", "--kind", "job").stdout.endswith(f"  fleet-a  {line}\n")


def test_events_come_as_json_a_line_each(daemon: Daemon) -> None:
    daemon.answers = [{"events": [event(1), event(2)], "last": 2, "more": False, "lost": 0}]
    lines = daemon.call("events", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [event(1), event(2)]


def test_what_is_chosen_is_asked_for(daemon: Daemon) -> None:
    daemon.answers = [{"events": [], "last": 0, "more": False, "lost": 0}]
    chosen = ("--runner", "a&b", "--kind", "order", "--limit", "5", "--since", "2h")
    assert daemon.call("events", *chosen).exit_code == 0
    ((_, query),) = daemon.asked
    since = datetime.fromisoformat(query.pop("since")[0])
    assert query == {"runner": ["a&b"], "kind": ["order"], "limit": ["5"]}
    ago = datetime.now(timezone.utc) - since
    assert timedelta(hours=1, minutes=55) < ago < timedelta(hours=2, minutes=5)


def test_it_is_said_that_more_have_followed_since(daemon: Daemon) -> None:
    daemon.answers = [{"events": [event(1)], "last": 2, "more": True, "lost": 0}]
    done = daemon.call("events", "--since", "2h", "--limit", "2")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 1  # the other can't be read
    assert "the first 2 only, more have followed" in done.stderr


def test_nothing_is_said_of_more_where_there_is_none(daemon: Daemon) -> None:
    daemon.answers = [{"events": [event(1), event(2)], "last": 2, "more": False, "lost": 0}]
    assert daemon.call("events", "--since", "2h", "--limit", "2").stderr == ""


@pytest.mark.parametrize("since", ["2030-01-31T12:00:00Z", "2030-01-31T13:00:00+01:00"])
def test_a_moment_may_be_given(daemon: Daemon, since: str) -> None:
    daemon.answers = [{"events": [], "last": 0, "more": False, "lost": 0}]
    daemon.call("events", "--since", since)
    asked = datetime.fromisoformat(daemon.asked[0][1]["since"][0])
    assert asked == datetime(2030, 1, 31, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize("since", ["yesterday", "1w", "-1h", "", "1h ago 2h", "12:99"])
def test_a_since_that_is_none_is_wrong_use_in_words(daemon: Daemon, since: str) -> None:
    done = daemon.call("events", "--since", since)
    assert done.exit_code == 2
    assert "such as 1h" in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize("since", ["999999999999d", "800000d"])
def test_a_since_before_all_dates_is_wrong_use_in_words(daemon: Daemon, since: str) -> None:
    done = daemon.call("events", "--since", since)
    assert done.exit_code == 2
    assert "longer ago than there are dates" in done.stderr


def test_it_is_said_that_nothing_is_what_was_asked_for(daemon: Daemon) -> None:
    daemon.answers = [{"events": [], "last": 0, "more": False, "lost": 0}] * 2
    done = daemon.call("events", "--runner", "fleet-\x1b[1mtypo", "--kind", "order")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "nothing is recorded about runner fleet-typo of kind order\n"
    done = daemon.call("events", "--since", "9999-12-31")
    assert done.stderr == "nothing is recorded since 9999-12-31T00:00:00+00:00\n"


def test_what_was_lost_is_said_beside_the_events(daemon: Daemon) -> None:
    daemon.answers = [{"events": [], "last": 0, "more": False, "lost": 3}]
    done = daemon.call("events", "--json")
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == "3 events were lost; see `supervisor-cli status`"


def test_following_prints_what_comes_and_an_interrupt_ends_it(
    daemon: Daemon,
) -> None:
    daemon.answers = [
        {"events": [event(1)], "last": 1, "more": False, "lost": 1},
        {"events": [event(2)], "last": 2, "more": False, "lost": 1},
        *[{"events": [], "last": 2, "more": False, "lost": 1}] * 20,
    ]
    # Who runs the tests in the background may have them ignore an interrupt.
    heeding = ["env", "--default-signal=INT"]
    command = [*heeding, sys.executable, "-m", "supervisor", "events", "--follow", "--json"]
    with subprocess.Popen(
        [*command, "--socket", str(daemon.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    ) as process:
        assert process.stdout is not None
        assert [json.loads(process.stdout.readline())["id"] for _ in range(2)] == [1, 2]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "1 event was lost" in said
    assert [query.get("after") for _, query in daemon.asked[:2]] == [None, ["1"]]


def test_following_does_not_pause_while_more_is_there(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(journal_commands.time, "sleep", pause)
    page = {
        "events": [event(number) for number in range(999)],
        "last": 999,
        "more": True,
        "lost": 0,
    }
    daemon.answers = [page, page, page, {"events": [], "last": 999, "more": False, "lost": 0}]
    assert daemon.call("events", "--follow").exit_code == 130
    assert pauses == [0.5, 0, 0, 0.5]


class Back(Exception):
    """Ends the following when the daemon is there again."""


class Away:
    """A daemon that is away for so many seconds after its first answer, and the time meanwhile."""

    def __init__(self, seconds: float) -> None:
        self.now_s = 100.0
        self.asked: list[str] = []
        self._away_s = seconds

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if len(self.asked) == 1:
            return {"events": [], "last": 7, "more": False, "lost": 0}
        if self.now_s <= 100.5 + self._away_s:
            raise ControlError("nobody is there")
        raise Back

    def follow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journal_commands, "time", self)
        client: Any = self
        journal_commands._follow(client, {}, last=1, lost=0, as_json=True)


def test_following_waits_a_minute_for_a_daemon_that_is_restarted_and_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = Away(60)
    with pytest.raises(Back):
        away.follow(monkeypatch)
    assert away.now_s == 161
    assert away.asked == ["/v1/events?after=1", *["/v1/events?after=7"] * 121]


def test_following_ends_when_the_daemon_has_been_away_for_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = Away(61)
    with pytest.raises(ControlError, match="nobody is there"):
        away.follow(monkeypatch)
    assert away.now_s == 161


def test_who_follows_over_a_restart_of_the_daemon_hears_of_all_that_the_next_one_has_lost(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = [3, 3, 2, 2, 4]  # the daemon that gives the third answer has counted from nothing
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == len(counts):
            raise KeyboardInterrupt

    monkeypatch.setattr(journal_commands.time, "sleep", pause)
    daemon.answers = [{"events": [], "last": 1, "more": False, "lost": lost} for lost in counts]
    said = daemon.call("events", "--follow").stderr.splitlines()
    assert [line.partition(";")[0] for line in said] == [
        "3 events were lost",
        "2 events were lost",
        "2 events were lost",
    ]


def test_others_words_can_not_command_the_terminal() -> None:
    line = event_line(event(1, reason="\x1b[31mred\nnew line\x07", subject="a\rb"))
    assert "\x1b" not in line
    assert "\n" not in line
    assert "\x07" not in line
    assert "red new line" in line


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"kind": "order", "subject": "flush", "state": "ordered", "before": "", "lasted_s": 0,
          "details": {}, "reason": "idle: 3 of 4 runners at once"},
          "flush  ordered  idle: 3 of 4 runners at once"),
        ({"kind": "reconcile", "subject": "fleet", "state": "done", "before": "", "lasted_s": 0,
          "reason": "", "details": {
              "wanted": 5, "idle": 3, "active": 2, "failed": 1, "duration_s": 0.25}},
         "fleet  done  3 idle, 2 busy of 5 wanted, 1 failed, in 0.2s"),
        ({"kind": "reconcile", "subject": "fleet", "state": "done", "before": "", "lasted_s": 0,
          "reason": "", "details": {
              "wanted": 5, "idle": 3, "active": 2, "crashed": 1, "duration_s": 0.25}},
         "fleet  done  3 idle, 2 busy of 5 wanted, 1 failed, in 0.2s"),
        ({"kind": "decision", "state": "refused", "before": "", "lasted_s": 0, "reason": "fork",
          "details": {"repository": "acme/demo", "event": "push"}},
         "fleet-a  refused  acme/demo push  fork"),
        ({"before": "busy", "lasted_s": 0, "reason": ""}, "fleet-a  busy"),
    ],
)  # fmt: skip
def test_each_kind_of_event_has_its_words(more: dict[str, Any], words: str) -> None:
    assert event_line(event(1, **more)).partition("  ")[2] == words


HISTORY = {
    "jobs": [
        {
            "runner": "fleet-a", "repository": "acme/demo", "workflow": "CI", "event": "push",
            "run_id": "7", "name": "build\x1b[2J", "result": "Succeeded",
            "runs": False,
            "started_at": "2030-01-01T12:00:00+00:00", "ended_at": "2030-01-01T12:05:12+00:00",
            "idle_s": 3.25, "job_s": 312.0, "queue_s": 754.0,
        }
    ],
    "runners": [
        {
            "name": "fleet-a", "created_at": None, "ended_at": None, "install_s": 31.0,
            "idle_s": None, "job_s": None, "outcome": "", "reason": "",
        }
    ],
    "percentiles": {
        key: {"p50": 1.0, "p90": 61.0, "p99": None, "count": 9}
        for key in ("install_s", "idle_s", "job_s", "queue_s")
    },
}  # fmt: skip


def test_a_history_is_drawn_for_people(daemon: Daemon) -> None:
    daemon.answers = [HISTORY]
    done = daemon.call("history", "--repository", "acme/demo", "--limit", "7")
    assert done.exit_code == 0
    for words in ("5m12s", "3.2s", "12m34s", "acme/demo CI build push", "is there", "1m01s"):
        assert words in done.stdout
    assert "\x1b[2J" not in done.stdout
    assert daemon.asked == [("/v1/history", {"repository": ["acme/demo"], "limit": ["7"]})]


def test_a_history_fits_a_narrow_terminal() -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    draw_history(console, HISTORY)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80


def test_an_empty_history_says_so(daemon: Daemon) -> None:
    daemon.answers = [{**HISTORY, "jobs": [], "runners": []}]
    done = daemon.call("history")
    assert "no jobs yet" in done.stdout
    assert "no runners yet" in done.stdout


def test_a_history_comes_as_json(daemon: Daemon) -> None:
    daemon.answers = [HISTORY]
    assert json.loads(daemon.call("history", "--json").stdout) == HISTORY
