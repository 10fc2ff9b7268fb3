"""Tables where the terminal is narrow: what says how things are is there at any width."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from supervisor.cli.journal_words import draw_history
from supervisor.cli.render import logs_table, runners_table, tree_table
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
        subject(
            "runner application",
            "2.336.0",
            installed_at=SINCE,
            latest_since=SINCE,
            state="upgrading",
            progress="52 MiB of 217 MiB",
        ),
        subject("host", "LXD 5.21.3, nftables 1.0.9, gunicorn 27.0.1", latest=None),
        subject("policy package", f"repo-policy-compliance 1.11.0 ({'c' * 12})", error="no index"),
    ]
}


@pytest.mark.parametrize("width", [75, 80, 100])
def test_what_is_installed_is_cut_before_the_state_and_the_reason(width: int) -> None:
    lines = drawn(upgrades_table(SUBJECTS, width, NOW), width)
    assert lines[0].split() == ["WHAT", "INSTALLED", "AGE", "LATEST", "CHECKED", "STATE", "REASON"]
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


def busy(name: str, job: str, reason: str = "runs its job") -> dict[str, Any]:
    told = {"repository": "canonical/github-runner-operator", "workflow": "CI", "name": job}
    return {"name": name, "stage": "busy", "since": SINCE, "reason": reason, "job": told}


@pytest.mark.parametrize("job", ["Integration tests", "x" * 250])
def test_whatever_a_job_is_called_each_runners_stage_and_age_are_seen(job: str) -> None:
    creating = busy("fleet-8c1f0a2b9d3e", "", "waits for LXD to start it") | {
        "stage": "creating", "job": None,
    }  # fmt: skip
    runners = [creating, busy("fleet-9d2e0c4f6b0c", job)]
    head, first, second = drawn(runners_table(runners, 80, NOW), 80)
    assert head.split() == ["RUNNER", "STAGE", "FOR", "JOB", "REASON"]
    assert first.split()[:3] == ["fleet-8c1f0a2b9d3e", "creating", "5m"]
    assert "waits for LXD to" in first
    assert second.split()[:3] == ["fleet-9d2e0c4f6b0c", "busy", "5m"]
    assert "canonical/github-" in second
    assert second.endswith("runs its job")


def test_a_long_runners_name_is_cut_before_its_stage() -> None:
    head, line = drawn(runners_table([busy("s" * 63, "x" * 250, "y" * 250)], 60, NOW), 60)
    assert head.split() == ["RUNNER", "STAGE", "FOR", "JOB", "REASON"]
    assert line.split()[1:3] == ["busy", "5m"]
    assert line.startswith("sssssssss")
    assert "canonical…" in line
    assert line.endswith("yyyyyyyyy…")


def test_a_long_name_leaves_room_for_when_its_logs_were_saved_and_why() -> None:
    kept = {"runner": "s" * 250, "saved_at": SINCE, "size": 2048, "reason": "no signal came"}
    _, line = drawn(logs_table([kept], 80, NOW), 80)
    assert "5m ago" in line
    assert "2 KiB" in line
    assert "no signal" in line


def test_a_long_name_of_a_job_leaves_the_rest_of_a_tree_and_a_history_as_it_is() -> None:
    long = "x" * 250
    job = {"repository": "acme/demo", "workflow": "CI", "name": long}
    runner = node("fleet-8c1f0a2b9d3e", state="busy", details={"job": job})
    line = drawn(tree_table(node("root", runner), 80, NOW), 80)[2]
    assert "fleet-8c1f0a2b9d3e  busy" in line
    assert " 5m " in line
    past = {
        "jobs": [{
            **job, "event": "push", "runs": False, "started_at": SINCE, "ended_at": SINCE,
            "queue_s": 1.0,
            "job_s": 312, "idle_s": 2.0, "result": long, "runner": "fleet-8c1f0a2b9d3e",
        }],
        "runners": [{
            "name": "fleet-8c1f0a2b9d3e", "created_at": SINCE, "install_s": 1.0, "idle_s": 2.0,
            "job_s": 312, "outcome": "failed", "reason": long,
        }],
        "percentiles": {
            key: {"p50": 1.0, "p90": 2.0, "p99": 3.0, "count": 4}
            for key in ("install_s", "idle_s", "job_s", "queue_s")
        },
    }  # fmt: skip
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        draw_history(console, past)
    _, job_line, _, _, runner_line, *_ = capture.get().splitlines()
    assert "5m12s" in job_line
    assert "acme/demo CI xx" in job_line
    assert runner_line.startswith("fleet-8c1f0a2b9d3e  2026-11-01")
    assert "5m12s  failed" in runner_line
