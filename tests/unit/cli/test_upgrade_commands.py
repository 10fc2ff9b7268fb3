"""What `upgrades` and `upgrade` say of what is kept current."""

from __future__ import annotations

import json
from typing import Any

import pytest

from supervisor.gateways.host_packages import HostPackages
from supervisor.upgrades.reboot import KernelSeen
from tests.unit.cli.called import SINCE, Serve, call


def subject(**more: Any) -> dict[str, Any]:
    return {
        "what": "runner application", "state": "ready", "installed": "2.300.0",
        "latest": "2.300.0", "checked_at": SINCE, "error": "", "warning": "", "progress": "",
        "looks": 4, "details": {"sha256": "a" * 64}, **more,
    }  # fmt: skip


def upgrades(state: str, *subjects: dict[str, Any], reason: str = "") -> dict[str, Any]:
    return {
        "state": state, "reason": reason, "incarnation": "a", "warnings": [],
        "subjects": list(subjects), "done_by": {"runner application": 5},
        "reboot": {"when": "no", "reason": "no reboot is needed", "kernel": ""},
    }  # fmt: skip


def test_what_is_kept_current_is_listed(serve: Serve) -> None:
    answer = upgrades(
        "ready",
        subject(),
        subject(what="another", latest="2\x1b[2J", error="it is\nno archive", checked_at=None),
    )
    socket = serve(answer)
    done = call("upgrades", "--socket", socket)
    assert done.exit_code == 0
    head, first, second = done.stdout.splitlines()
    assert head.split() == ["WHAT", "INSTALLED", "AGE", "LATEST", "CHECKED", "STATE", "REASON"]
    assert first.startswith("runner application  2.300.0    -    2.300.0")
    assert second.rstrip().endswith("ready  it is no archive")
    assert "never" in second
    assert "\x1b" not in done.stdout
    assert json.loads(call("upgrades", "--json", "--socket", socket).stdout) == answer


def test_a_reboot_that_is_needed_is_said_below_them(serve: Serve) -> None:
    reason = "a reboot is needed, and no runner is there: a\x07kernel"
    answer = upgrades("ready", subject()) | {"reboot": {"when": "now", "reason": reason}}
    shown = call("upgrades", "--socket", serve(answer)).stdout.splitlines()
    assert shown[2] == "a reboot is needed, and no runner is there: a\ufffdkernel"


@pytest.mark.parametrize(
    ("seen", "when"),
    [
        (KernelSeen("6.8.0-49-generic"), "no"),
        (KernelSeen("6.8.0-49-generic", ("6.8.0-50-generic",)), "now"),
        (KernelSeen("6.8.0-49-generic", required=True, for_packages=("libc6",)), "now"),
    ],
)
def test_without_a_daemon_the_host_alone_says_whether_to_reboot_it(
    seen: KernelSeen, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HostPackages, "kernel", lambda _: seen)
    nowhere = ("--socket", "/nowhere/control.sock")
    offer = json.loads(call("upgrades", "--offline", "--json", *nowhere).stdout)["reboot"]
    assert offer["when"] == when
    done = call("upgrades", "--offline", *nowhere)
    assert (done.exit_code, done.stdout) == (0, f"{offer['reason']}\n")


def test_what_is_tried_again_is_listed_with_how_far_it_is_and_not_with_why_it_has_failed(
    serve: Serve,
) -> None:
    again = subject(state="upgrading", progress="52 MiB in 8 s", error="it was cut off")
    shown = call("upgrades", "--socket", serve(upgrades("upgrading", again))).stdout
    assert "52 MiB in 8 s" in shown
    assert "it was cut off" not in shown


@pytest.mark.parametrize("command", [("upgrades",), ("upgrades", "--json"), ("upgrade",)])
def test_it_is_a_failure_that_there_is_none_that_can_be_used(
    serve: Serve, command: tuple[str, ...]
) -> None:
    reason = "runner application: none can be used: the disk is full"
    failing = subject(state="failing", installed="", error="the disk is full")
    done = call(*command, "--socket", serve(upgrades("failing", failing, reason=reason)))
    assert (done.exit_code, done.stderr) == (1, f"{reason}\n")


def test_what_would_be_upgraded_is_said(serve: Serve) -> None:
    newer = subject(what="another", latest="2.301.0", error="the disk is full")
    done = call("upgrade", "--socket", serve(upgrades("ready", subject(), newer)))
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "runner application: 2.300.0 is the latest, as of 2020-01-01 00:00 UTC",
        (
            "another: 2.300.0 is in use, the latest is 2.301.0, as of 2020-01-01 00:00 UTC: "
            "the disk is full"
        ),
    ]


def test_what_has_no_latest_and_what_may_not_be_it_any_more_are_said_as_such(serve: Serve) -> None:
    host = subject(what="host", installed="LXD 5.21", latest=None)
    outage = subject(error="GitHub can't be reached")
    socket = serve(upgrades("ready", outage, host))
    assert call("upgrade", "--socket", socket).stdout.splitlines() == [
        (
            "runner application: 2.300.0 was the latest, as of 2020-01-01 00:00 UTC: "
            "GitHub can't be reached"
        ),
        "host: LXD 5.21; it is looked at, and upgraded by others, as of 2020-01-01 00:00 UTC",
    ]
    assert call("upgrades", "--socket", socket).stdout.splitlines()[2].split()[3] == "-"


def test_an_order_to_upgrade_says_nothing_and_waits_only_where_that_is_wanted(
    serve: Serve,
) -> None:
    socket = serve(upgrades("ready", subject()))
    done = call("upgrade", "--now", "--socket", socket)
    assert (done.exit_code, done.output) == (0, "")
    done = call("upgrade", "--now", "--wait", "--timeout", "0", "--socket", socket)
    assert done.exit_code == 1
    left = "not done within 0 s: runner application: looks for a newer one"
    assert done.stderr.splitlines()[-1] == left


def test_what_an_upgrade_has_come_to_is_said_at_its_end(serve: Serve) -> None:
    socket = serve(upgrades("ready", subject(looks=5)))
    done = call("upgrade", "--now", "--wait", "--socket", socket)
    assert done.exit_code == 0
    assert done.stdout.startswith("runner application: 2.300.0 is the latest")


def test_an_upgrade_that_was_waited_for_and_could_not_be_had_is_a_failure(serve: Serve) -> None:
    failed = subject(looks=5, latest="2.301.0", error="it is no archive")
    done = call("upgrade", "--now", "--wait", "--socket", serve(upgrades("ready", failed)))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == "runner application: it is no archive"
