"""Tables where the terminal is narrow: what says how things are is there at any width."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from supervisor.cli.render import tree_table
from supervisor.cli.upgrade_words import upgrades_table

NOW = datetime(2026, 11, 1, 10, 5, tzinfo=timezone.utc)
SINCE = "2026-11-01T10:00:00+00:00"


def drawn(table: Table, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    lines = capture.get().splitlines()
    assert all(len(line) <= width for line in lines)
    return [line.rstrip() for line in lines]


def node(name: str, *children: dict[str, Any], reason: str = "", **more: Any) -> dict[str, Any]:
    return {
        "id": name, "kind": "singleton", "state": "listening", "since": SINCE, "restarts": 0,
        "mailbox": 0, "handling": None, "stuck": False, "waits_until": None, "abandoned": 0,
        "unhandled": 0, "details": {}, "reason": reason, "children": list(children), **more,
    }  # fmt: skip


def tree(name: str = "sandbox-a2zrh1d8wqde") -> dict[str, Any]:
    runner = node(name, reason="waits for a job, and has done so for long")
    return node("root", node("fleet", node("runners", runner)), node("events"))


def subject(what: str, installed: str, **more: Any) -> dict[str, Any]:
    return {
        "what": what, "state": "ready", "installed": installed, "latest": installed,
        "checked_at": SINCE, "error": "", "warning": "", "progress": "", **more,
    }  # fmt: skip


SUBJECTS = {
    "subjects": [
        subject("runner application", "2.336.0", state="upgrading", progress="52 MiB of 217 MiB"),
        subject("host", "LXD 5.21.3, nftables 1.0.9, gunicorn 27.0.1", latest=None),
        subject("policy package", f"repo-policy-compliance 1.11.0 ({'c' * 12})", error="no index"),
    ]
}


@pytest.mark.parametrize("width", [75, 80, 100])
def test_what_is_installed_is_cut_before_the_state_and_the_reason(width: int) -> None:
    lines = drawn(upgrades_table(SUBJECTS, width, NOW), width)
    assert lines[0].split() == ["WHAT", "INSTALLED", "LATEST", "CHECKED", "STATE", "REASON"]
    assert "upgrading" in lines[1]
    assert "ready" in lines[2]
    assert "ready" in lines[3]
    assert "LXD 5.21" in lines[2]
    assert "52 MiB" in lines[1]
    assert lines[3].endswith("no index")


def test_all_is_shown_where_there_is_room() -> None:
    lines = drawn(upgrades_table(SUBJECTS, 160, NOW), 160)
    assert "gunicorn 27.0.1" in lines[2]
    assert f"({'c' * 12})" in lines[3]
    head = drawn(tree_table(tree(), 160, NOW), 160)[0]
    assert head.split() == ["ACTOR", "KIND", "STATE", "FOR", "RESTARTS", "MAILBOX", "WHAT"]


def test_a_narrow_tree_leaves_out_what_tells_least() -> None:
    head, *lines = drawn(tree_table(tree(), 80, NOW), 80)
    assert head.split() == ["ACTOR", "STATE", "FOR", "RESTARTS", "WHAT"]
    assert "sandbox-a2zrh1d8wqde" in lines[3]
    assert "5m" in lines[3]
    assert "waits for a job, and" in lines[3]


def test_a_long_name_is_cut_before_what_it_does() -> None:
    head, *lines = drawn(tree_table(tree("s" * 53), 80, NOW), 80)
    assert head.split() == ["ACTOR", "STATE", "FOR", "WHAT"]
    assert "listening" in lines[3]
    assert "waits for a job, an…" in lines[3]
