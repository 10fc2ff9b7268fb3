from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from supervisor.cli import log_commands, main
from supervisor.control.log_level import serve_log_level
from supervisor.observation import log
from supervisor.web.server import WebServer


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have systemd run here, and a journalctl that prints how it was called."""
    program = tmp_path / "journalctl"
    program.write_text("")
    monkeypatch.setattr(log_commands, "_SYSTEMD", tmp_path)

    def become(name: str, command: list[str]) -> None:
        raise SystemExit(f"{name}: {' '.join(command[1:])}")

    monkeypatch.setattr(os, "execvp", become)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "--unit=github-runner-supervisor.service"),
        (
            ("--runner", "fleet-a", "--follow"),
            "--unit=github-runner-supervisor.service --follow RUNNER=fleet-a",
        ),
        (
            ("--level", "ERROR", "--since", "-1h", "--json"),
            "--unit=github-runner-supervisor.service --priority=err --since=-1h --output=json",
        ),
    ],
)
def test_the_daemons_log_is_journalctls_to_show(
    systemd: Path, words: tuple[str, ...], expected: str
) -> None:
    assert run("logs", "--daemon", *words).output.strip() == f"journalctl: {expected}"


def test_without_systemd_it_is_said_where_the_daemons_log_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_commands, "_SYSTEMD", tmp_path / "none")
    done = run("logs", "--daemon")
    assert done.exit_code == 1
    assert done.output == (
        "the daemon's log is where the standard error of `supervisor-cli run` was led to, for "
        "systemd's journal can't be read here: systemd does not run\n"
    )


def test_without_journalctl_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_commands, "_SYSTEMD", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run("logs", "--daemon")
    assert done.exit_code == 1
    assert done.output.endswith("can't be read here: journalctl: No such file or directory\n")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--runner", "a"), "--runner: only for the daemon's own log; add --daemon"),
        (("--follow",), "--follow: only for the daemon's own log; add --daemon"),
        (("--daemon", "a"), "--daemon: give the runner by --runner a"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_use(words: tuple[str, ...], fault: str) -> None:
    done = run("logs", *words)
    assert done.exit_code == 2
    assert fault in done.output


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[Path]:
    """The control socket of a daemon that has nothing but a log."""
    app = Flask("control", static_folder=None)
    serve_log_level(app)
    path = tmp_path / "control.sock"
    server = WebServer(app, "control", lost=lambda: None, unix_socket=str(path))
    log.set_level("INFO")  # it is the process's, and other tests set it, too
    yield path
    server.close()
    log.set_level("INFO")


def test_the_level_is_printed_and_changed(socket: Path) -> None:
    assert run("log-level", "--socket", str(socket)).output == "INFO\n"
    assert run("log-level", "DEBUG", "--socket", str(socket)).output == "DEBUG\n"
    assert log.current_level() == "DEBUG"
    done = run("log-level", "--json", "--socket", str(socket))
    assert json.loads(done.output) == {"level": "DEBUG"}


def test_a_level_may_be_written_in_small_letters(socket: Path) -> None:
    assert run("log-level", "debug", "--socket", str(socket)).output == "DEBUG\n"


def test_a_level_that_there_is_none_of_is_wrong_use(socket: Path) -> None:
    done = run("log-level", "LOUD", "--socket", str(socket))
    assert done.exit_code == 2
    assert "'LEVEL': 'LOUD' is not one of" in done.output
    assert "'debug', 'info', 'warning', 'error'" in done.output
    assert "log-level [OPTIONS] [LEVEL]" in done.output
