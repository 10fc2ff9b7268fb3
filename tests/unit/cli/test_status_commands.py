"""What `status`, `tree` and `runners` show, and with which exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time

import pytest

from tests.unit.cli.called import STATUS, Serve, call, node, runner


def test_a_status_says_what_is_what_is_wrong_and_what_to_do(serve: Serve) -> None:
    wrong = {"problems": ["fleet: :bug: [b]x[/c]\x1b[2J"], "remedies": ["`supervisor-cli tree`"]}
    done = call("status", "--socket", serve({**STATUS, **wrong, "health": "degraded"}))
    assert done.stdout.splitlines() == [
        "fleet for acme: degraded",
        "3 of 3 runners are there (3 idle)",
        "https://github.com: asked with the App, which has: admin:org, until 2030-06-01 00:00 UTC",
        "core: 4,812 of 5,000 calls left until 2030-01-01 12:34 UTC",
        "that is enough for 2,497 runners an hour",
        "problem: fleet: :bug: [b]x[/c]",
        "  what to do: `supervisor-cli tree`",
    ]


def test_a_status_is_folded_at_words_on_a_terminal_and_whole_in_a_pipe(serve: Serve) -> None:
    problem = "fleet: degraded: 4 runners in a row have failed to be created: no space is left"
    socket = serve({**STATUS, "problems": [problem]})
    command = (sys.executable, "-m", "supervisor", "status", "--socket", socket)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60"}
    piped = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert f"problem: {problem}" in piped.stdout.splitlines()
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb", buffering=0) as screen, os.fdopen(follower, "wb") as terminal:
        subprocess.run(command, stdin=terminal, stdout=terminal, check=False, env=environment)
        shown = screen.read(10_000).decode().splitlines()
    assert shown[-2:] == [
        "problem: fleet: degraded: 4 runners in a row have failed to",
        "  be created: no space is left",
    ]


@pytest.mark.parametrize(("health", "code"), [("ok", 0), ("degraded", 1), ("failing", 2)])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_exit_code_of_a_status_says_how_the_fleet_is(
    serve: Serve, options: tuple[str, ...], health: str, code: int
) -> None:
    socket = serve({**STATUS, "health": health})
    assert call("status", *options, "--socket", socket).exit_code == code


def test_of_a_daemon_that_has_no_word_for_it_a_problem_is_one(serve: Serve) -> None:
    assert call("status", "--socket", serve({**STATUS, "problems": ["x: y"]})).exit_code == 1


def test_what_is_still_at_a_former_place_has_a_line_of_its_own(serve: Serve) -> None:
    former = [
        {"place": "acme", "stages": {"busy": 1, "retiring": 1}, "reason": ""},
        {"place": "acme/demo", "stages": {"busy": 1}, "reason": ""},
        {"place": "https://github.example.com/acme", "stages": {}, "reason": ""},
    ]
    done = call("status", "--socket", serve({**STATUS, "former_places": former}))
    assert done.stdout.splitlines()[-4:-1] == [
        "2 runners still at acme: 1 busy, 1 retiring",
        "1 runner still at acme/demo: 1 busy",
        "registrations still at https://github.example.com/acme",
    ]


def test_a_warning_is_shown_and_is_no_failure(serve: Serve) -> None:
    done = call("status", "--socket", serve({**STATUS, "warnings": ["the pool enforces nothing"]}))
    assert "warning: the pool enforces nothing" in done.stdout
    assert done.exit_code == 0


def test_before_github_was_asked_the_status_says_so(serve: Serve) -> None:
    unknown = {"url": "https://github.com"}
    done = call("status", "--socket", serve({**STATUS, "github": unknown}))
    assert "https://github.com: not asked yet" in done.stdout


def test_a_status_without_problems_is_zero(serve: Serve) -> None:
    socket = serve(STATUS)
    assert call("status", "--socket", socket).exit_code == 0
    assert json.loads(call("status", "--json", "--socket", socket).stdout) == STATUS


def test_a_tree_is_plain_text_in_a_pipe(serve: Serve) -> None:
    busy = node(
        "fleet-a",
        state="busy",
        reason="[red]runs[/] its :bug: job",
        details={"job": {"repository": "acme/web", "workflow": "ci", "name": "test"}},
    )
    tree = node("root", node("tokens", restarts=2), node("runners", busy))
    done = call("tree", "--socket", serve(tree))
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert lines[-1].strip().startswith("└─ fleet-a")
    assert "acme/web ci test" in lines[-1]
    assert "[red]runs[/] its :bug: job" in lines[-1]


def test_nothing_is_folded_cut_or_filled_with_blanks_in_a_pipe(serve: Serve) -> None:
    reason = "because " * 100 + "of that"
    tree = node("root", node("tokens", reason=reason), node("fleet"))
    done = call("tree", "--socket", serve(tree))
    head, *lines = done.stdout.splitlines()
    assert head.split()[-1] == "WHAT"
    assert len(lines) == 3
    assert lines[1].endswith(reason)
    assert all(line == line.rstrip() for line in (head, *lines))


def test_runners_are_listed_by_name_and_as_json(serve: Serve) -> None:
    answer = [runner("b", "[/x] :bug:"), runner("a")]
    socket = serve(answer)
    done = call("runners", "--socket", socket)
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["RUNNER", "a", "b"]
    assert "[/x] :bug:" in done.stdout
    assert "\x1b" not in done.stdout
    assert json.loads(call("runners", "--json", "--socket", socket).stdout) == answer


def test_a_thousand_runners_are_drawn_quickly(serve: Serve) -> None:
    names = [f"fleet-{number:08}" for number in range(1000)]
    tree = node("root", node("runners", *(node(name, reason="waits") for name in names)))
    socket = serve(tree)
    begun = time.monotonic()
    done = call("tree", "--socket", socket)
    assert time.monotonic() - begun < 20
    assert all(name in done.stdout for name in names)
