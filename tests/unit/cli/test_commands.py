from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor import __version__
from supervisor.cli import main
from supervisor.cli.client import ControlClient, ControlError, NotThere
from supervisor.gateways.host_packages import HostPackages
from supervisor.upgrades.reboot import KernelSeen

SINCE = "2020-01-01T00:00:00Z"
Serve = Callable[..., Path]


def node(id_: str, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": id_, "kind": "supervisor" if children else "worker", "state": "ready",
        "since": SINCE, "reason": "", "details": {}, "restarts": 0, "mailbox": 0, "unhandled": 0,
        "handling": None, "stuck": False, "waits_until": None, "abandoned": 0,
        "children": list(children), **more,
    }  # fmt: skip


def runner(name: str, reason: str = "", job: dict[str, str] | None = None) -> dict[str, Any]:
    return {"name": name, "stage": "busy", "since": SINCE, "reason": reason, "job": job}


STATUS = {
    "name": "fleet", "path": "acme", "wanted": 3, "present": 3, "stages": {"idle": 3},
    "draining_since": None,
    "github": {
        "url": "https://github.com",
        "credential": "App",
        "permissions": "admin:org",
        "expires_at": "2030-06-01T00:00:00+00:00",
        "renewed": False,
        "budget": {"core": {"limit": 5000, "remaining": 4812, "reset_at": "2030-01-01T12:34:56Z"}},
        "runners_per_hour": 2497,
    },
    "former_places": [],
    "problems": [],
    "warnings": [],
}  # fmt: skip


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Give what answers like a daemon with one document, or a refusal."""
    servers: list[UnixStreamServer] = []

    def start(document: Any, status: int = 200) -> Path:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - http.server's way

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *_: object) -> None:
                pass

        path = tmp_path / "c.sock"
        servers.append(UnixStreamServer(str(path), Answer))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return path

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_version_is_told() -> None:
    done = call("--version")
    assert (done.exit_code, done.stdout) == (0, f"supervisor-cli, version {__version__}\n")


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("tree", "--nonsense"), ("runners", "x"), ("upgrade", "--wait")]
)
def test_wrong_use_is_two(arguments: tuple[str, ...]) -> None:
    done = call(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_every_command_has_help() -> None:
    listed = call("--help")
    assert listed.exit_code == 0
    for command in (
        "run",
        "firewall",
        "policy",
        "upgrades",
        "upgrade",
        "image",
        "remove-firewall",
        "prepare-lxd",
        "uninstall",
        "check-config",
        "tree",
        "status",
        "runners",
        "logs",
        "top",
        "reconcile",
        "completion",
    ):
        assert command in listed.stdout
        assert call(command, "-h").exit_code == 0
    assert "crash" not in listed.stdout


@pytest.mark.parametrize("command", ["tree", "status", "runners", "logs", "reconcile"])
def test_no_daemon_is_three_and_one_line(command: str, tmp_path: Path) -> None:
    done = call(command, "--socket", tmp_path / "none.sock")
    assert done.exit_code == 3
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "no daemon is running there" in done.stderr


def test_a_socket_that_a_killed_daemon_left_is_no_daemon(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "left.sock"
    UnixStreamServer(str(path), BaseHTTPRequestHandler).server_close()
    assert path.exists()
    assert call("tree", "--socket", path).exit_code == 3


@pytest.mark.parametrize("arguments", [("--bad",), ("--socket",), ("one",)])
def test_wrong_use_of_status_is_no_fleet_that_fails(arguments: tuple[str, ...]) -> None:
    assert call("status", *arguments).exit_code == 64


@pytest.mark.parametrize(("command", "code"), [("status", 2), ("tree", 1)])
@pytest.mark.parametrize("waiting", [0, 4])
def test_a_status_of_a_daemon_that_hangs_is_two(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, code: int, waiting: int
) -> None:
    monkeypatch.setattr("supervisor.cli.client._TIMEOUT_S", 0.2)
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as hanging, ExitStack() as clients:
        hanging.bind(str(path))
        hanging.listen(2)
        for _ in range(waiting):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(0)
            with suppress(BlockingIOError):
                client.connect(str(path))
        done = call(command, "--socket", path)
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr == f"{path}: the daemon is there, and does not answer within 0.2 s\n"


def test_denied_access_is_four(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("supervisor.cli.client._UnixConnection.connect", deny)
    done = call("status", "--socket", tmp_path / "c.sock")
    assert done.exit_code == 4
    assert "access denied" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_refusal_is_one(serve: Serve) -> None:
    done = call("reconcile", "--socket", serve({"error": "the fleet is being restarted"}, 503))
    assert (done.exit_code, done.stderr) == (1, "the fleet is being restarted\n")


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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_completion_for_shells(shell: str) -> None:
    done = call("completion", shell)
    assert done.exit_code == 0
    assert "_SUPERVISOR_CLI_COMPLETE" in done.stdout
    program = shutil.which(shell)
    if program:
        script = done.stdout.encode()
        assert subprocess.run([program, "-n"], input=script, check=False).returncode == 0


def test_there_is_no_completion_for_others() -> None:
    assert call("completion", "tcsh").exit_code == 2


def test_a_right_configuration_is_zero(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.touch(mode=0o600)
    path.write_text("name: fleet\npath: acme\ntoken: secret\nvirtual-machines: 3\n")
    done = call("check-config", "--config", path)
    assert (done.exit_code, done.stdout) == (0, f"{path}: is right: 3 runners for acme\n")


def written(path: Path, text: str = "") -> Path:
    path.touch(mode=0o600)
    path.write_text(f"name: fleet\npath: acme\ntoken: secret\n{text}")
    return path


@pytest.mark.parametrize(
    ("changes", "restart"),
    [
        ("virtual-machines: 0\n", []),
        ("policy: {mode: off}\nsignals: {port: 1}\n", ["signals", "policy.mode"]),
    ],
)
def test_what_of_a_configuration_needs_a_restart_is_said(
    tmp_path: Path, changes: str, restart: list[str]
) -> None:
    running, new = written(tmp_path / "running"), written(tmp_path / "new", changes)
    done = call("check-config", "--config", new, "--running", running, "--json")
    wanted = 0 if "virtual" in changes else 1
    found = {"path": "acme", "virtual_machines": wanted, "restart": restart}
    assert (done.exit_code, json.loads(done.stdout)) == (0, found)
    done = call("check-config", "--config", new, "--running", running)
    assert ("signals, policy.mode: takes effect only" in done.stdout) == bool(restart)


@pytest.mark.parametrize("text", [None, "virtual-machines: many\n"])
def test_a_running_configuration_that_nobody_can_read_means_a_restart(
    tmp_path: Path, text: str | None
) -> None:
    running, new = tmp_path / "running", written(tmp_path / "new")
    if text:
        written(running, text)
    done = call("check-config", "--config", new, "--running", running, "--json")
    assert json.loads(done.stdout)["restart"] == ["configuration"]
    assert json.loads(call("check-config", "--config", new, "--json").stdout)["restart"] == []


def test_a_wrong_configuration_is_no_json(tmp_path: Path) -> None:
    new = written(tmp_path / "new", "virtual-machines: many\n")
    done = call("check-config", "--config", new, "--running", new, "--json")
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize("command", ["check-config", "run"])
def test_a_wrong_configuration_is_two_and_says_where(command: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.touch(mode=0o600)
    path.write_text("name: fleet\npath: acme\ntoken: secret\nvirtual-machines: many\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", command, "--config", str(path)],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"{path}: virtual-machines: must be a valid integer")
    assert done.stderr.count("\n") == 1


def test_commands_start_without_what_only_the_daemon_needs() -> None:
    heavy = ("pylxd", "github", "pykka", "flask", "waitress", "requests", "loguru", "sandbox")
    code = f"import sys, supervisor.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.stdout == "[]\n"


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


@pytest.mark.parametrize(("status", "error"), [(404, NotThere), (503, ControlError)])
def test_what_is_not_there_is_told_from_what_is_refused(
    serve: Serve, status: int, error: type[ControlError]
) -> None:
    with pytest.raises(ControlError, match="why") as found:
        ControlClient(serve({"error": "why"}, status)).get("/v1/events")
    assert found.type is error


def test_logs_that_are_not_kept_are_one_line(serve: Serve) -> None:
    done = call("logs", "../x y", "--socket", serve({"error": "no logs of x are kept"}, 404))
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "no logs of x are kept\n")


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


POLICY = {
    "healthy": True, "state": "ready", "reason": "it checks jobs at http://10.9.0.1:8643",
    "mode": "builtin", "healthy_since": "2026-11-01T10:00:00+00:00", "version": "0.1.0",
    "workers": 2, "counts": {"allowed": 1200, "refused": 1},
    "counted_since": "2026-11-01T10:01:00+00:00",
    "decisions": [
        {
            "time": SINCE, "runner": "fleet-a", "repository": "acme/demo", "event": "push",
            "verdict": "allowed", "reason": "", "duration_ms": 210,
        },
        {
            "time": SINCE, "runner": "fleet-b", "repository": "acme/\x1b[2Jdemo", "event": "push",
            "verdict": "refused", "reason": "no\nreview", "duration_ms": 1210,
        },
        {
            "time": SINCE, "runner": "fleet-c", "repository": "", "event": "push",
            "verdict": "refused", "reason": "no \x1b[31mevent", "duration_ms": None, "by": "guest",
        },
    ],
    "guests": {"refused": 3, "contradicted": 1},
    "warnings": ["it stays as it was"],
}  # fmt: skip


def test_a_healthy_policy_service_is_shown_with_its_last_decisions(serve: Serve) -> None:
    socket = serve(POLICY)
    done = call("policy", "--socket", socket)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[:8] == [
        "healthy: it checks jobs at http://10.9.0.1:8643",
        "mode builtin, version 0.1.0",
        "healthy since 2026-11-01 10:00 UTC",
        "workers: 2",
        "decisions since 2026-11-01 10:01 UTC: 1,200 allowed, 1 refused",
        "guests on their own: 3 refused",
        "jobs that say they were refused, and were allowed: 1",
        "warning: it stays as it was",
    ]
    assert lines[8].split() == [
        "DECIDED", "RUNNER", "REPOSITORY", "EVENT", "VERDICT", "TOOK", "REASON",
    ]  # fmt: skip
    assert "fleet-c" in lines[9]
    assert "refused (guest)" in lines[9]
    assert "fleet-b" in lines[10]
    assert lines[10].rstrip().endswith("1,210 ms  no review")
    assert "fleet-a" in lines[11]
    assert "\x1b" not in done.stdout
    assert json.loads(call("policy", "--json", "--socket", socket).stdout) == POLICY


def test_a_policy_service_that_is_not_healthy_is_a_failure(serve: Serve) -> None:
    answer = {"healthy": False, "state": "failing", "reason": "it has ended with 1"}
    done = call("policy", "--socket", serve(answer))
    assert (done.exit_code, done.stdout) == (1, "NOT healthy: it has ended with 1\n")


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


IMAGE: dict[str, Any] = {
    "state": "ready",
    "reason": "fleet-image-1 (abcabcabcabc)",
    "image": "abc" * 21 + "a",
    "images": [
        {
            "fingerprint": "abc" * 21 + "a",
            "aliases": ["fleet-image-1"],
            "built_at": "2020-01-01T00:00:00+00:00",
            "verified": True,
            "used": True,
            "application": "1" * 64,
            "application_version": "2.300.0",
            "base": "2" * 64,
            "size": 3 << 30,
        },
    ],
    "building": "",
    "lacks": "",
    "error": "",
    "error_log": "",
    "next_look": "2020-01-01T06:00:00+00:00",
    "orders": 2,
    "incarnation": "a",
    "warnings": ["image: the disk is nearly full"],
    "done_by": 2,
}


def test_images_are_listed_with_the_one_in_use(serve: Serve) -> None:
    older = {**IMAGE["images"][0], "used": False, "application_version": "", "aliases": []}
    answer = {**IMAGE, "images": [*IMAGE["images"], older]}
    socket = serve(answer)
    done = call("image", "list", "--socket", socket)
    assert done.exit_code == 0
    state, next_look, warning, head, first, second = done.stdout.splitlines()
    assert state == "ready: fleet-image-1 (abcabcabcabc)"
    assert next_look == "looked at next at 2020-01-01 06:00 UTC"
    assert warning == "warning: image: the disk is nearly full"
    assert head.split() == ["IMAGE", "BUILT", "SIZE", "STATE", "APPLICATION", "ALIASES"]
    assert re.search(r"^abcabcabcabc .* 3,072 MiB +used +2\.300\.0 +fleet-image-1", first)
    assert re.search(r" kept +111111111111", second)
    assert json.loads(call("image", "list", "--json", "--socket", socket).stdout) == answer


def test_it_is_a_failure_that_there_is_no_image(serve: Serve) -> None:
    none = {**IMAGE, "state": "failing", "reason": "no route to anywhere", "image": ""}
    done = call("image", "list", "--socket", serve({**none, "images": []}))
    assert done.exit_code == 1
    assert done.stdout.startswith("failing: no route to anywhere\n")


def test_a_build_is_ordered_and_waited_for(serve: Serve) -> None:
    socket = serve(IMAGE)
    done = call("image", "build", "--socket", socket)
    assert (done.exit_code, done.output) == (0, "a new image is being built\n")
    done = call("image", "build", "--wait", "--socket", socket)
    assert (done.exit_code, done.output) == (0, "fleet-image-1 (abcabcabcabc)\n")


def test_a_build_that_fails_is_said(serve: Serve) -> None:
    socket = serve({**IMAGE, "error": "provisioning failed"})
    done = call("image", "build", "--wait", "--socket", socket)
    assert (done.exit_code, done.stderr) == (1, "provisioning failed\n")


def test_a_build_that_takes_too_long_says_what_it_is_at(serve: Serve) -> None:
    answer = {**IMAGE, "done_by": 3, "building": "another is being built: install packages"}
    socket = serve(answer)
    done = call("image", "build", "--wait", "--timeout", "0", "--socket", socket)
    assert done.exit_code == 1
    left = "not done within 0 s: another is being built: install packages"
    assert done.stderr.splitlines()[-1] == left


BUILD_LOG = {"runner": "image-1", "saved_at": SINCE, "reason": "built", "size": 2048}


def test_the_logs_of_builds_are_listed(serve: Serve) -> None:
    done = call("image", "logs", "--socket", serve([BUILD_LOG]))
    assert done.exit_code == 0
    head, line = done.stdout.splitlines()
    assert (head.split()[0], line.split()[0]) == ("BUILD", "image-1")


def test_the_log_of_a_build_is_printed_harmlessly(serve: Serve) -> None:
    one = {**BUILD_LOG, "text": "all of it\x1b\n"}
    done = call("image", "logs", "image-1", "--socket", serve(one))
    assert done.stdout.startswith("all of it")
    assert "\x1b" not in done.stdout


def test_a_look_that_takes_too_long_is_said(serve: Serve) -> None:
    answer = {**FIREWALL, "done_by": 9}
    done = call("firewall", "--timeout", "0", "--socket", serve(answer))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == "not done within 0 s: looks at the firewall"
