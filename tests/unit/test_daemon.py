from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from supervisor import daemon, log
from supervisor.causes import Cause
from supervisor.config import ConfigError, load
from supervisor.daemon import AlreadyRunning, Daemon
from supervisor.supervision import SHUTDOWN, ChildStartFailed

GOOD = "name: fleet\npath: acme\ntoken: secret\nvirtual-machines: {count}\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.yaml"
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, GOOD.format(count=1))


@pytest.fixture
def running(path: Path) -> Daemon:
    return Daemon(path, load(path))


def test_a_reload_takes_what_a_running_daemon_can_change(running: Daemon, path: Path) -> None:
    path.write_text(GOOD.format(count=5))
    running._obey(signal.SIGHUP)
    assert running._parts.settings.config.virtual_machines == 5
    assert running._parts.settings.error == ""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (GOOD.format(count="many"), "virtual-machines: must be a valid integer"),
        ("name: [", "line 1"),
        (GOOD.format(count=5).replace("fleet", "other"), "name: takes effect only after a restart"),
        (
            GOOD.format(count=5).replace("token: secret", "token-file: /nonexistent/token"),
            "token-file: /nonexistent/token: can't be read",
        ),
    ],
)
def test_a_bad_file_changes_nothing_and_is_remembered(
    running: Daemon, path: Path, text: str, error: str
) -> None:
    before = running._parts.settings.config
    path.write_text(text)
    running._obey(signal.SIGHUP)
    assert running._parts.settings.config is before
    assert error in running._parts.settings.error
    is_for_later = "restart" in error
    cause = Cause.RESTART_REQUIRED if is_for_later else Cause.CONFIGURATION_REFUSED
    assert running._parts.settings.fault.cause is cause


def test_a_daemon_that_can_not_start_leaves_nothing_open(
    running: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object, **_options: object) -> None:
        raise ChildStartFailed("journal", SHUTDOWN)

    closed: list[str] = []
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(running._system, "run_root", fail)
    monkeypatch.setattr(running._tracing, "close", lambda: closed.append("tracing"))
    monkeypatch.setattr(running._parts.policy, "close", lambda: closed.append("policy"))
    assert running.run() == daemon.FAILED
    assert closed == ["policy", "tracing"]


def test_a_reload_puts_another_log_level_in_force_and_only_another(
    running: Daemon, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_gate", log._Gate())
    path.write_text(f"{GOOD.format(count=1)}log-level: WARNING\n")
    running._obey(signal.SIGHUP)
    assert log.current_level() == "WARNING"
    log.set_level("DEBUG")
    running._obey(signal.SIGHUP)
    assert log.current_level() == "DEBUG"


def test_a_second_daemon_on_the_same_socket_is_refused(tmp_path: Path) -> None:
    socket = tmp_path / "run" / "control.sock"
    refused = pytest.raises(AlreadyRunning, match="another daemon has")
    with daemon.only_one(socket), refused, daemon.only_one(socket):
        pass
    with daemon.only_one(socket):
        assert socket.with_suffix(".lock").exists()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "control.lock").symlink_to(victim)
    with (
        pytest.raises(ConfigError, match="can't be made"),
        daemon.only_one(tmp_path / "control.sock"),
    ):
        pass
    assert victim.read_text() == "precious"


def test_a_socket_that_can_have_no_directory_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(
            ConfigError, match=r"^control\.socket: .* can't be made: (Not a directory|File exists)$"
        ),
        daemon.only_one(tmp_path / "file" / "control.sock"),
    ):
        pass


def test_a_daemon_with_a_bad_configuration_does_not_start(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with pytest.raises(ConfigError):
            daemon.run(written(tmp_path, "name: fleet\n"))
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("place", "why"), [("file", "File exists"), ("file/below", "Not a directory")]
)
def test_a_state_directory_that_can_not_be_used_is_refused(
    tmp_path: Path, place: str, why: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=rf"^state-directory: .*{place} can't be used: {why}$"):
        daemon._ensure_state_directory(tmp_path / place)


def test_a_state_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    with pytest.raises(ConfigError, match="belongs to another user"):
        daemon._ensure_state_directory(theirs)


def test_a_state_directory_is_made_for_this_user_alone(tmp_path: Path) -> None:
    daemon._ensure_state_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0
    assert list((tmp_path / "a" / "b").iterdir()) == []
