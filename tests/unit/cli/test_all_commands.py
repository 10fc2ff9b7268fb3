"""What every command has, and how it ends where no daemon answers it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import pytest

from supervisor import __version__
from supervisor.cli.client import ControlClient, ControlError, NotThere
from tests.unit.cli.called import Serve, call


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


def test_commands_start_without_what_only_the_daemon_needs() -> None:
    heavy = ("pylxd", "github", "pykka", "flask", "waitress", "requests", "loguru", "sandbox")
    code = f"import sys, supervisor.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("status", "error"), [(404, NotThere), (503, ControlError)])
def test_what_is_not_there_is_told_from_what_is_refused(
    serve: Serve, status: int, error: type[ControlError]
) -> None:
    with pytest.raises(ControlError, match="why") as found:
        ControlClient(serve({"error": "why"}, status)).get("/v1/events")
    assert found.type is error
