from __future__ import annotations

import dataclasses
import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from feeds import gathered
from held_journal import held_writes
from journal_records import NOW
from loguru import logger
from waiting import LIMIT_S

from supervisor import daemon
from supervisor.causes import Cause, Fault
from supervisor.config import ConfigError, load
from supervisor.daemon import AlreadyRunning, Daemon
from supervisor.gateways import journal_reader, sdnotify
from supervisor.journal import EventsQuestion
from supervisor.observation import feed as feeds
from supervisor.observation import log
from supervisor.observation.feed import Feed, Kind, Record
from supervisor.status import problems
from supervisor.status.report import current_status
from supervisor.supervision import (
    INFINITY,
    SHUTDOWN,
    Actor,
    ChildSpec,
    ChildStartFailed,
    SupervisorSpec,
    System,
)
from supervisor.tree import root_spec
from supervisor.wishes import Ended

if TYPE_CHECKING:
    from loguru import Message

GOOD = """\
name: fleet
path: acme
token: secret
virtual-machines: {count}
"""
INTERVAL_S, SIGNS = 0.2, 5
NO_ROOT: Any = None


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
    assert not running._parts.settings.fault


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
    assert error in running._parts.settings.fault.reason
    is_for_later = "restart" in error
    cause = Cause.RESTART_REQUIRED if is_for_later else Cause.CONFIGURATION_REFUSED
    assert running._parts.settings.fault.cause is cause


def orders(running: Daemon) -> Callable[[], list[Record]]:
    """Have what is told of orders be gathered."""
    return gathered(running._parts.feed)


def test_a_reload_is_told_whether_it_is_taken_or_refused(running: Daemon, path: Path) -> None:
    told = orders(running)
    path.write_text(GOOD.format(count=5))
    running._obey(signal.SIGHUP)
    path.write_text(GOOD.format(count="many"))
    running._obey(signal.SIGHUP)
    assert [(one.subject, one.state) for one in told()] == [
        ("reload", "ordered"),
        ("reload", "refused"),
    ]
    assert "virtual-machines: must be a valid integer" in told()[1].reason


def test_a_reload_that_meets_a_fault_of_the_daemon_is_refused_and_ends_nothing(
    running: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object) -> None:
        raise RuntimeError("a fault")

    told = orders(running)
    monkeypatch.setattr(daemon, "load", fail)
    running._obey(signal.SIGHUP)
    why = "it could not be taken (RuntimeError); the log says more"
    assert running._parts.settings.fault.reason == why
    assert [(one.state, one.reason) for one in told()] == [("refused", why)]


def test_a_reload_that_fails_when_it_is_in_force_already_says_so(
    running: Daemon, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object) -> None:
        raise RuntimeError("a fault")

    told = orders(running)
    path.write_text(f"{GOOD.format(count=5)}log-level: WARNING\n")
    monkeypatch.setattr(log, "set_level", fail)
    running._obey(signal.SIGHUP)
    settings = running._parts.settings
    assert settings.config.virtual_machines == 5
    assert settings.fault == Fault("RuntimeError", Cause.CONFIGURATION_IN_PART)
    (problem,) = problems.of_configuration(settings.fault)
    assert problem.words == (
        "configuration: the last change was taken in part only (RuntimeError); the log says more"
    )
    assert [(one.subject, one.state) for one in told()] == [("reload", "ordered")]


def test_a_signal_to_reconcile_is_told_only_if_a_fleet_has_heard_it(
    running: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = orders(running)
    running._obey(signal.SIGUSR1)
    assert told() == []
    monkeypatch.setattr(running._system.directory, "tell", lambda *_: True)
    running._obey(signal.SIGUSR1)
    assert [(one.subject, one.reason) for one in told()] == [("reconcile", "SIGUSR1")]


def test_a_signal_has_the_log_tell_of_each_actor_in_a_line_of_its_own(running: Daemon) -> None:
    said: list[tuple[str, bool]] = []

    def gather(message: Message) -> None:
        record = message.record
        said.append((record["message"].partition(", ")[0], "is_unique" in record["extra"]))

    system = running._system
    fleet = ChildSpec("fleet", lambda: Actor.start(system))
    system.run_root(SupervisorSpec(children=[fleet]))
    sink = logger.add(gather, level="INFO")
    running._obey(signal.SIGUSR2)
    logger.remove(sink)
    system.stop(LIMIT_S)
    # None of them is held back as a repetition, however often they are asked for.
    told = [(text, is_unique) for text, is_unique in said if text.startswith("the tree: ")]
    assert told == [("the tree: root: running", True), ("the tree: root/fleet: running", True)]


def test_a_daemon_whose_traces_can_not_be_sent_warns_of_it(
    running: Daemon, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "abc")
    collector = "otel-collector-endpoint: http://127.0.0.1:4318\n"
    path.write_text(GOOD.format(count=1) + collector)
    running._obey(signal.SIGHUP)
    status = current_status(None, running._parts, running._system.clock)
    assert "traces" in [one.partition(": ")[0] for one in status["warnings"]]


def test_a_daemon_that_can_not_start_leaves_nothing_open(
    running: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object, **_options: object) -> None:
        raise ChildStartFailed("journal", SHUTDOWN)

    closed: list[str] = []
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(running._system, "run_root", fail)
    monkeypatch.setattr(running._parts.tracing, "close", lambda: closed.append("tracing"))
    monkeypatch.setattr(running._parts.policy, "close", lambda: closed.append("policy"))
    monkeypatch.setattr(running._parts.journal_writer, "stop", lambda _: closed.append("journal"))
    assert running.run() == daemon.FAILED
    assert closed == ["journal", "policy", "tracing"]


def test_what_is_there_when_the_tree_is_up_is_not_looked_through_for_garbage_again(
    running: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(_root: object) -> int:
        frozen.append(gc.get_freeze_count())
        return daemon.OK

    frozen = [gc.get_freeze_count()]
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(running._system, "run_root", lambda *_given, **_options: None)
    monkeypatch.setattr(running, "_serve", serve)
    try:
        assert running.run() == daemon.OK
    finally:
        gc.unfreeze()
    before, after = frozen
    assert after > before + 1000


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


class Slow(Actor):
    """Takes its time to stop, and tells what it still does."""

    def __init__(self, system: System, feed: Feed, goes_on: threading.Event) -> None:
        super().__init__(system)
        self._feed = feed
        self._goes_on = goes_on

    def on_stop(self) -> None:
        self._feed.tell(Record(NOW, Kind.ORDER, "last", "ordered"))
        self._goes_on.wait()


def beside_the_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch, child: Callable[[Daemon], ChildSpec]
) -> Daemon:
    """Make a daemon whose tree is the journal and one more."""
    running = Daemon(path, load(path))
    root = root_spec(running._system, running._parts)
    journal = next(one for one in root.children if one.id == "journal")
    spec = dataclasses.replace(root, children=[journal, child(running)])
    monkeypatch.setattr(daemon, "root_spec", lambda *_: spec)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return running


def written_of(running: Daemon) -> list[tuple[str, str, str]]:
    """Read from its journal who has become what, and why."""
    found = journal_reader.events(running._parts.journal.path, EventsQuestion()).events
    records = (event.record for event in found)
    return [(one.subject, one.state, one.reason) for one in records]


@pytest.fixture
def path_of_state(tmp_path: Path) -> Path:
    return written(tmp_path, f"{GOOD.format(count=1)}state-directory: {tmp_path / 'state'}\n")


def test_what_happens_last_is_written_though_the_tree_is_too_slow_to_stop(
    path_of_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def slow(running: Daemon) -> ChildSpec:
        system, feed = running._system, running._parts.feed
        return ChildSpec("slow", lambda: Slow.start(system, feed, goes_on), shutdown=INFINITY)

    running = beside_the_journal(path_of_state, monkeypatch, slow)
    monkeypatch.setattr(daemon, "_STOP_LIMIT_S", 0.2)
    running._wishes.tell(signal.SIGTERM)
    try:
        assert running.run() == daemon.OK
    finally:
        goes_on.set()
    told = [(subject, state) for subject, state, _ in written_of(running)]
    assert ("last", "ordered") in told
    assert ("slow", "crashed") in told


class Bad(Actor):
    """Can't start."""

    def on_start(self) -> None:
        raise RuntimeError("no disk")


def test_what_kept_a_daemon_from_starting_is_in_the_journal(
    path_of_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bad(running: Daemon) -> ChildSpec:
        return ChildSpec("bad", lambda: Bad.start(running._system))

    running = beside_the_journal(path_of_state, monkeypatch, bad)
    assert running.run() == daemon.FAILED
    told = written_of(running)
    assert ("bad", "crashed", "error (RuntimeError: no disk)") in told


def test_a_storm_of_signals_holds_up_no_sign_of_life_and_is_one_reload(
    running: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloads: list[float] = []
    signs: list[float] = []
    storm = threading.Event()

    def blow() -> None:
        while not storm.is_set():
            os.kill(os.getpid(), signal.SIGHUP)

    def live(_root: object) -> None:
        signs.append(time.monotonic())
        if len(signs) == SIGNS:
            running._wishes.tell(signal.SIGTERM)

    monkeypatch.setattr(sdnotify, "watchdog_interval_s", lambda: INTERVAL_S)
    monkeypatch.setattr(running, "_give_sign_of_life", live)
    monkeypatch.setattr(running, "_reload", lambda: reloads.append(time.monotonic()))
    before = signal.signal(signal.SIGHUP, lambda *_: running._wishes.tell(signal.SIGHUP))
    blower = threading.Thread(target=blow)
    began = time.monotonic()
    try:
        blower.start()
        assert running._serve(NO_ROOT) == daemon.OK
    finally:
        storm.set()
        blower.join()
        signal.signal(signal.SIGHUP, before)
    passed_s = time.monotonic() - began
    assert passed_s < SIGNS * INTERVAL_S + 5
    assert 1 <= len(reloads) <= passed_s + 1


def test_what_was_repeated_is_told_with_each_sign_of_life(
    running: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def live(_root: object) -> None:
        done.append("sign")
        if done.count("sign") == SIGNS:
            running._wishes.tell(signal.SIGTERM)

    monkeypatch.setattr(sdnotify, "watchdog_interval_s", lambda: 0.01)
    monkeypatch.setattr(running, "_give_sign_of_life", live)
    monkeypatch.setattr(log, "tell_repeated", lambda: done.append("repeated"))
    assert running._serve(NO_ROOT) == daemon.OK
    assert done == ["sign", "repeated"] * SIGNS


def test_who_watches_is_told_though_the_journal_hangs_and_nobody_asks(
    path_of_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = held_writes(monkeypatch)
    monkeypatch.setattr(feeds, "_OVERDUE_S", 0.5)
    running = Daemon(path_of_state, load(path_of_state))
    feed, writer = running._parts.feed, running._parts.journal_writer
    last = Record(NOW, Kind.ORDER, "last", "ordered")

    def end(record: Record, _at_s: float) -> None:
        if record is last:
            running._wishes.tell(signal.SIGTERM)

    feed.watch(end)
    feed.tell(last._replace(subject="first"))
    writer.start(lambda _standing: None, lambda _course: None)
    in_vain = threading.Timer(LIMIT_S, lambda: running._wishes.tell(Ended.TREE))
    try:
        assert hangs.wait(LIMIT_S)
        feed.tell(last)
        in_vain.start()
        assert running._serve(NO_ROOT) == daemon.OK
    finally:
        in_vain.cancel()
        goes_on.set()
        writer.stop(LIMIT_S)


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
