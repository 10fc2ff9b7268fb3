"""The kept logs of runners, as `logs` lists and prints them."""

from __future__ import annotations

import json

from tests.unit.cli.called import SINCE, Serve, call

KEPT = {"runner": "fleet-a", "saved_at": SINCE, "reason": "took \x1b[31mtoo long", "size": 2048}


def test_kept_logs_are_listed_with_size_and_reason(serve: Serve) -> None:
    done = call("logs", "--socket", serve([KEPT]))
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].split() == ["RUNNER", "SAVED", "SIZE", "REASON"]
    assert "fleet-a" in done.stdout
    assert "2 KiB" in done.stdout
    assert "\x1b" not in done.stdout


def test_kept_logs_as_json_are_what_the_daemon_answers(serve: Serve) -> None:
    assert json.loads(call("logs", "--json", "--socket", serve([KEPT])).stdout) == [KEPT]


def test_one_runners_logs_are_printed_and_obeyed_by_no_terminal(serve: Serve) -> None:
    text = "runner: fleet-a\n\n\x1b[2J\x1b]0;owned\x07boots\x00\n"
    socket = serve({**KEPT, "text": text})
    done = call("logs", "fleet-a", "--socket", socket)
    assert (done.exit_code, done.stdout) == (0, "runner: fleet-a\n\nboots\ufffd\n")
    assert json.loads(call("logs", "fleet-a", "--json", "--socket", socket).stdout)["text"] == text


def test_logs_that_are_not_kept_are_one_line(serve: Serve) -> None:
    done = call("logs", "../x y", "--socket", serve({"error": "no logs of x are kept"}, 404))
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "no logs of x are kept\n")
