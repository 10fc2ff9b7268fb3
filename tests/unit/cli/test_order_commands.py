"""What the commands that order something say, and how they end."""

from __future__ import annotations

from tests.unit.cli.called import Serve, call, runner


def test_a_flush_says_how_many_are_replaced(serve: Serve) -> None:
    done = call("flush", "--socket", serve({"runners": ["a", "b"], "missed": []}, 202))
    assert (done.exit_code, done.stdout) == (0, "2 runners are being replaced\n")


def test_a_flush_that_has_not_reached_all_has_failed_and_names_them(serve: Serve) -> None:
    done = call("flush", "--socket", serve({"runners": ["a"], "missed": ["b", "c"]}, 202))
    assert (done.exit_code, done.stdout) == (1, "1 runner is being replaced\n")
    assert done.stderr == "not told, as their actors are being restarted: b, c; try again\n"


def test_a_flush_names_whom_it_has_not_reached_before_it_waits_for_the_others(
    serve: Serve,
) -> None:
    socket = serve({"runners": ["a"], "missed": ["b"]}, 202, shown=[runner("a")])
    done = call("flush", "--all", "--wait", "--timeout", "0", "--socket", socket)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "not told, as their actors are being restarted: b; try again",
        "1 of 1 are left: 1 busy",
        "not done within 0 s: 1 of 1 are left: 1 busy",
    ]
