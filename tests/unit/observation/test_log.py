from __future__ import annotations

import json
import logging
import os
import pty
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from logging_journald import JournaldTransport
from loguru import logger

from supervisor.observation import log
from supervisor.observation.repetition import Repetition

Lines = Callable[[], list[dict[str, Any]]]


def test_each_line_is_one_json_object_with_its_speaker(lines: Lines) -> None:
    with logger.contextualize(actor="root/runners/a", runner="a"):
        logger.info("first\nsecond {}", "line {x} <red>ü")
    (line,) = lines()
    assert line.pop("time").startswith("20")
    assert line == {
        "level": "INFO",
        "actor": "root/runners/a",
        "runner": "a",
        "message": "first\nsecond line {x} <red>ü",
    }


def test_a_log_that_can_not_be_written_fails_nobody_and_says_how_much_it_lacks(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    with path.open("w") as emptied, Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        log.configure()
        logger.info("busy")
        os.dup2(emptied.fileno(), full.fileno())
        logger.info("idle")
    said = [json.loads(line) for line in path.read_text().splitlines()]
    lost = "log: lines lost, as standard error did not take any: 1"
    assert [(one["level"], one["message"]) for one in said] == [("WARNING", lost), ("INFO", "idle")]


def test_who_speaks_outside_of_an_actor_has_no_name(lines: Lines) -> None:
    logger.warning("x")
    (line,) = lines()
    assert (line["actor"], line["runner"]) == ("", "")


def test_an_exception_comes_with_its_traceback_and_without_values(lines: Lines) -> None:
    password = "s3cr3t" + "-value"
    try:
        raise ValueError("wrong") if password else KeyError
    except ValueError as error:
        logger.opt(exception=error).error("it failed")
    (line,) = lines()
    assert line["message"] == "it failed"
    assert line["exception"].startswith("Traceback")
    assert "ValueError: wrong" in line["exception"]
    assert password not in json.dumps(line)


def test_what_libraries_say_comes_the_same_way(lines: Lines) -> None:
    logging.getLogger("some.library").warning("a %s {brace} <tag>", "word")
    logging.getLogger("some.library").info("too quiet")
    (line,) = lines()
    assert line["message"] == "some.library: a word {brace} <tag>"
    assert line["level"] == "WARNING"


@pytest.mark.parametrize(
    ("number", "name", "expected"),
    [(35, "NOTICE", "WARNING"), (60, "FATAL+", "CRITICAL"), (31, None, "WARNING")],
)
def test_levels_of_a_librarys_own_are_passed_on_as_the_next_lower(
    lines: Lines, number: int, name: str | None, expected: str
) -> None:
    if name:
        logging.addLevelName(number, name)
    logging.getLogger("lib").log(number, "hello")
    assert [(line["level"], line["message"]) for line in lines()] == [(expected, "lib: hello")]


def test_a_librarys_wrong_format_is_its_own_mistake(lines: Lines) -> None:
    wrong = {"name": "lib", "levelno": logging.ERROR, "msg": "%d apples", "args": ("no",)}
    ours = next(h for h in logging.getLogger().handlers if isinstance(h, log._ToLoguru))
    ours.emit(logging.makeLogRecord(wrong))
    assert lines()[0]["message"] == "lib: '%d apples'"


def test_a_level_keeps_out_what_is_below_it(lines: Lines) -> None:
    log.configure("WARNING")
    logger.info("quiet")
    logger.warning("loud")
    assert [line["message"] for line in lines()] == ["loud"]


class Screen:
    """What a terminal is shown; the end of it that is not ours."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def shown(self) -> str:
        """Give what came so far."""
        return os.read(self._descriptor, 1 << 16).decode().replace("\r\n", "\n")


@pytest.fixture(autouse=True)
def has_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, lines: Lines) -> Iterator[Screen]:
    screen, given = pty.openpty()
    with os.fdopen(given, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        log.configure()
        yield Screen(screen)
    os.close(screen)


def test_a_terminal_obeys_nothing_that_others_say(terminal: Screen) -> None:
    with logger.contextualize(runner="fleet-1"):
        logger.warning("LXD says {}", "\x1b[31mevil\x1b[0m\nsecond\x9b2J line")
    shown = terminal.shown()
    assert "evil second\ufffd2J line" in shown
    assert shown.count("\n") == 1
    assert "\x1b[31mevil" not in shown


def test_a_terminal_obeys_nothing_that_an_error_says(terminal: Screen) -> None:
    logger.opt(exception=ValueError("\x1b]0;owned\x07{evil} <red>")).error("it failed")
    shown = terminal.shown()
    assert shown.endswith("ValueError: {evil} <red>\n")
    assert "owned" not in shown


def test_a_terminal_gets_lines_for_people(terminal: Screen) -> None:
    with logger.contextualize(actor="root/fleet"):
        logger.info("hello {}", "{people}")
    shown = terminal.shown()
    assert "root/fleet" in shown
    assert "hello {people}" in shown
    assert "\x1b[" in shown


@pytest.fixture(params=[("NO_COLOR", "1"), ("TERM", "dumb")])
def without_colours(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv(*request.param)


@pytest.mark.usefixtures("without_colours")
def test_a_terminal_gets_no_colours_where_none_are_wanted(terminal: Screen) -> None:
    logger.info("hello")
    shown = terminal.shown()
    assert "hello" in shown
    assert "\x1b[" not in shown


@pytest.fixture
def journald(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[socket.socket]:
    """A socket in place of journald's, at the path where it is looked for."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.settimeout(10)
        made.bind(str(tmp_path / "socket"))
        monkeypatch.setattr(JournaldTransport, "SOCKET_PATH", tmp_path / "socket")
        yield made


def journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_other: bool = False) -> Path:
    """Have the journal at the other end of standard error, which is a file here."""
    path = tmp_path / "journal"
    stream = path.open("w", buffering=1)  # as standard error is
    found = os.fstat(stream.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + is_other}")
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure("DEBUG")
    return path


def entry(journald: socket.socket) -> dict[str, str]:
    """Read one entry, as journald would: short, or in a sealed file."""
    data, passed, _flags, _address = socket.recv_fds(journald, 1 << 20, 1)
    if passed:
        with os.fdopen(passed[0], "rb") as file:
            file.seek(0)
            data = file.read()
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, is_short, value = line.partition(b"=")
        if not is_short:
            (size,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + size], data[9 + size :]
        fields[name.decode()] = value.decode()
    return fields


def test_the_journal_is_given_fields_to_look_for(
    journald: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = journal(monkeypatch, tmp_path)
    with logger.contextualize(actor="root/runners/fleet-a", runner="fleet-a"):
        logger.warning("two\n<0>lines \x1b[31mred\x00")
    found = entry(journald)
    assert found["MESSAGE"] == "fleet-a: two <0>lines red\ufffd"
    assert (found["PRIORITY"], found["SYSLOG_IDENTIFIER"]) == ("4", "github-runner-supervisor")
    assert (found["ACTOR"], found["RUNNER"]) == ("root/runners/fleet-a", "fleet-a")
    assert (found["CODE_FILE"], found["THREAD"]) == (__file__, "MainThread")
    assert found["CODE_FUNC"] == "test_the_journal_is_given_fields_to_look_for"
    assert path.read_text() == ""


def test_who_is_no_actor_has_no_field_of_one(
    journald: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal(monkeypatch, tmp_path)
    logger.debug("one")
    found = entry(journald)
    assert (found["MESSAGE"], found["PRIORITY"]) == ("MainThread: one", "7")
    assert not {"ACTOR", "RUNNER"} & set(found)


def test_an_exception_is_one_entry_of_the_journal(
    journald: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal(monkeypatch, tmp_path)
    try:
        int("wrong")
    except ValueError as error:
        logger.opt(exception=error).error("it failed")
    logger.info("next")
    message = entry(journald)["MESSAGE"]
    assert message.startswith("MainThread: it failed\nTraceback")
    assert "\nValueError: " in message
    assert entry(journald)["MESSAGE"] == "MainThread: next"


def test_a_message_too_large_for_a_datagram_reaches_the_journal_whole(
    journald: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal(monkeypatch, tmp_path)
    logger.info("x" * 3_000_000)
    assert entry(journald)["MESSAGE"] == "MainThread: " + "x" * 3_000_000


def test_what_a_library_says_names_the_librarys_own_line(
    journald: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal(monkeypatch, tmp_path)
    logging.getLogger("some.library").warning("hello")
    assert entry(journald)["CODE_FILE"] == __file__


def test_without_journald_lines_go_to_standard_error_with_their_priority(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(JournaldTransport, "SOCKET_PATH", tmp_path / "none")
    path = journal(monkeypatch, tmp_path)
    with logger.contextualize(runner="fleet-a"):
        logger.debug("one")
        logger.info("two")
    logger.warning("three")
    logger.critical("four")
    assert path.read_text() == (
        "<7>fleet-a: one\n<6>fleet-a: two\n<4>MainThread: three\n<3>MainThread: four\n"
    )


def test_there_what_has_many_lines_can_not_pass_for_many_messages(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(JournaldTransport, "SOCKET_PATH", tmp_path / "none")
    path = journal(monkeypatch, tmp_path)
    logger.info("one\n<0>two \x1b[31mred\x00")
    try:
        int("wrong")
    except ValueError as error:
        logger.opt(exception=error).error("it failed")
    first, second, *trace = path.read_text().splitlines()
    assert first == "<6>MainThread: one <0>two red\ufffd"
    assert second == "<3>MainThread: it failed"
    assert all(line.startswith("<3>  ") for line in trace)
    assert trace[-1].startswith("<3>  ValueError: ")


def test_where_standard_error_was_led_elsewhere_the_journal_is_not_written_for(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = journal(monkeypatch, tmp_path, is_other=True)
    logger.info("one")
    assert json.loads(path.read_text())["message"] == "one"


def test_the_level_can_be_changed_and_the_change_is_said(lines: Lines) -> None:
    log.set_level("ERROR")
    logger.warning("quiet")
    assert log.current_level() == "ERROR"
    log.set_level("DEBUG")
    logger.debug("loud")
    assert [line["message"] for line in lines()] == [
        "the log's level is ERROR now, and was DEBUG",
        "the log's level is DEBUG now, and was ERROR",
        "loud",
    ]


def test_what_no_level_lets_through_is_not_even_formatted(lines: Lines) -> None:
    class Formatted:
        times = 0

        def __format__(self, _spec: str) -> str:
            self.times += 1
            return "words"

    said = Formatted()
    log.configure("INFO")
    logger.debug("{}", said)
    assert (said.times, log.is_written("DEBUG"), log.is_written("INFO")) == (0, False, True)
    log.set_level("DEBUG")
    logger.debug("{}", said)
    assert (said.times, lines()[-1]["message"]) == (1, "words")
    assert log.is_written("DEBUG")


def test_a_change_of_the_level_loses_no_line_of_another_thread(lines: Lines) -> None:
    log.configure("WARNING")
    done, spoken = threading.Event(), threading.Event()
    told = []

    def speak() -> None:
        while not done.is_set():
            told.append(f"line-{len(told)}")
            logger.warning(told[-1])
            spoken.set()

    speaker = threading.Thread(target=speak)
    speaker.start()
    for level in ("INFO", "DEBUG", "WARNING", "DEBUG") * 5:
        log.set_level(level)
        spoken.clear()
        assert spoken.wait(10)
    done.set()
    speaker.join()
    shown = [line["message"] for line in lines() if line["message"].startswith("line-")]
    assert shown == told


def test_what_is_said_again_and_again_is_counted_and_told_of_the_same_speaker(lines: Lines) -> None:
    now_s = 100.0
    log.configure("DEBUG", monotonic=lambda: now_s)
    for number in range(240):
        with logger.contextualize(actor="root/runners/a", runner="a"):
            logger.warning("try {} failed", number)
    with logger.contextualize(actor="root/runners/b", runner="b"):
        logger.warning("try 1 failed")
    shown = lines()
    assert [line["message"] for line in shown if line["runner"] == "a"] == [
        f"try {number} failed" for number in range(5)
    ]
    assert [line["message"] for line in shown if line["runner"] == "b"] == ["try 1 failed"]
    now_s += 42
    log._gate.tell_all_repeated()
    (told,) = lines()
    assert told["message"] == "repeated 235 times more within 42 s: try 239 failed"
    assert (told["runner"], told["level"]) == ("a", "WARNING")


def test_a_count_takes_the_room_of_no_line_that_is_counted(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.configure("DEBUG", monotonic=lambda: 100.0)
    monkeypatch.setattr(log._gate, "_repetition", Repetition(shown=1, most=2))
    for text in ("one", "one", "two", "two", "three"):
        logger.info(text)
    told = ["one", "two", "repeated once more within 0 s: one", "three"]
    assert [line["message"] for line in lines()] == told


def test_of_a_long_line_that_is_repeated_only_the_beginning_is_remembered(lines: Lines) -> None:
    log.configure("DEBUG", monotonic=lambda: 100.0)
    for ending in "abcdefg":
        logger.info("{}{}", "x" * 1000, ending)
    assert [line["message"][1000:] for line in lines()] == ["a", "b", "c", "d", "e"]
    log._gate.tell_all_repeated()
    (told,) = lines()
    assert told["message"] == "repeated 2 times more within 0 s: " + "x" * 1000
    for ending in "abcdefg":
        logger.info("{}{}", "y" * 999, ending)
    assert [line["message"][999:] for line in lines()] == list("abcdefg")


def test_a_process_that_ends_tells_what_it_held_back() -> None:
    program = """
from loguru import logger
from supervisor.observation import log
log.configure(monotonic=lambda: 100.0)
for _ in range(9):
    logger.info("again")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50
    )
    said = [json.loads(line)["message"] for line in done.stderr.splitlines()]
    assert said == ["again"] * 5 + ["repeated 4 times more within 0 s: again"]
