"""What `firewall` shows of the table, and of guests without filters."""

from __future__ import annotations

import json

from tests.unit.cli.called import SINCE, Serve, call

FIREWALL = {
    "state": "ready", "in_place": True, "reason": "it guards bridge lxdbr0: 2 denied, 1 allowed",
    "table": "github-runners.fleet.lxdbr0", "bridge": "lxdbr0", "checks": 0,
    "done_by": 0, "incarnation": "a",
    "in_place_since": "2026-11-01T10:00:00+00:00", "verified_at": SINCE, "healed": 2,
    "denied": 2, "allowed": 1, "services": ["10.9.0.1:8642"],
    "dropped": {"to everybody": {"packets": 4, "bytes": 240}},
    "rejected": {"packets": 1005, "bytes": 60300},
    "rejected_of": {"fleet-b": {"packets": 1000, "bytes": 60000}},
    "rejected_of_others": {"packets": 5, "bytes": 300}, "warnings": ["a name is unknown"],
}  # fmt: skip


def test_a_firewall_in_place_is_shown_with_what_it_has_done(serve: Serve) -> None:
    socket = serve(FIREWALL)
    done = call("firewall", "--socket", socket)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "in place: it guards bridge lxdbr0: 2 denied, 1 allowed"
    assert "table inet github-runners.fleet.lxdbr0, bridge lxdbr0" in lines
    assert "in place since 2026-11-01 10:00 UTC" in lines
    assert "changed by others and put back: 2 times" in lines
    assert "on this host: 10.9.0.1:8642" in lines
    assert "dropped, to everybody: 4 packets, 240 bytes" in lines
    assert "rejected: 1,005 packets, 60,300 bytes" in lines
    assert "  fleet-b: 1,000 packets, 60,000 bytes" in lines
    assert "  runners that are gone: 5 packets, 300 bytes" in lines
    assert lines[-1] == "warning: a name is unknown"
    assert json.loads(call("firewall", "--json", "--socket", socket).stdout) == FIREWALL


def test_a_firewall_that_is_not_in_place_is_a_failure(serve: Serve) -> None:
    answer = {
        "in_place": False, "state": "failing", "reason": "no nft", "checks": 1, "done_by": 1,
        "incarnation": "a",
    }  # fmt: skip
    done = call("firewall", "--socket", serve(answer))
    assert (done.exit_code, done.stdout) == (1, "NOT in place: no nft\n")


def test_guests_without_filters_are_named_and_a_failure(serve: Serve) -> None:
    reason = "without LXD's filters: fleet-a (the chain in.fleet-a.eth0 is gone)"
    answer = {**FIREWALL, "in_place": False, "reason": reason, "unfiltered": ["fleet-a"]}
    done = call("firewall", "--socket", serve(answer))
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == f"NOT in place: {reason}"
    assert "without LXD's filters: fleet-a" in lines


def test_a_firewall_that_others_keep_is_in_place(serve: Serve) -> None:
    answer = {
        "in_place": True, "state": "ready", "reason": "firewall: external", "checks": 1,
        "done_by": 1, "incarnation": "a", "in_place_since": None, "verified_at": None, "healed": 0,
        "warnings": ["nobody here"],
    }  # fmt: skip
    done = call("firewall", "--socket", serve(answer))
    shown = "in place: firewall: external\nwarning: nobody here\n"
    assert (done.exit_code, done.stdout) == (0, shown)


def test_a_look_that_takes_too_long_is_said(serve: Serve) -> None:
    answer = {**FIREWALL, "done_by": 9}
    done = call("firewall", "--timeout", "0", "--socket", serve(answer))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == "not done within 0 s: looks at the firewall"
