"""A reader of standard error that hangs costs lines, and is told how many, but nobody's time."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from supervisor.gateways.standard_error import Lines, StandardError

LIMIT_S = 30
NOTICE = "log: lines lost, as standard error did not take any: {}"
TOLD = NOTICE.format(r"(\d+)\r\n").encode()

MANY = 2000
PROGRAM = f"""
import logging
import sys
from loguru import logger
from supervisor.observation import log

log.configure()
for number in range({MANY}):
    logger.bind(is_unique=True).info("line {{}} {{}}", number, "x" * 100)
print("said", flush=True)
for number, _ in enumerate(sys.stdin):
    logging.getLogger(f"library{{number}}").warning("after")
"""


@contextmanager
def speaking(standard_error: int) -> Iterator[subprocess.Popen[str]]:
    """Run a program that says more than there is room for, and a line whenever it is told to."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=standard_error,
        text=True,
    ) as program:
        os.close(standard_error)
        try:
            yield program
        finally:
            program.kill()


def go_on(program: subprocess.Popen[str]) -> None:
    assert program.stdin
    program.stdin.write("\n")
    program.stdin.flush()


def has_said_all(program: subprocess.Popen[str]) -> bool:
    """Tell whether it gets there, with nobody reading; each line that waited would take 0.1 s."""
    assert program.stdout
    return program.stdout.readline() == "said\n"


def read_until(descriptor: int, words: str) -> str:
    said = b""
    while words.encode() not in said:
        said += os.read(descriptor, 1 << 20)
    return said.decode()


def pipe() -> tuple[int, int]:
    return os.pipe()


def stream() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("made", [pipe, stream])
def test_who_does_not_read_keeps_nobody_waiting_and_is_told_when_it_does_what_it_has_missed(
    made: Callable[[], tuple[int, int]],
) -> None:
    reader, given = made()
    with speaking(given) as program:
        assert has_said_all(program)
        heard = read_until(reader, f"line 10 {'x' * 100}")
        go_on(program)
        heard += read_until(reader, "after")
    messages = [json.loads(line)["message"] for line in heard.splitlines()]
    assert messages.pop() == "library0: after"
    notice = messages.pop()
    assert messages == [f"line {number} {'x' * 100}" for number in range(len(messages))]
    assert notice == NOTICE.format(MANY - len(messages))
    os.close(reader)


@pytest.mark.timeout(LIMIT_S)
def test_a_terminal_that_shows_nothing_is_not_waited_for_either() -> None:
    screen, given = pty.openpty()
    with speaking(given) as program:
        assert has_said_all(program)
        os.set_blocking(screen, False)
        heard = b""
        while not (told := re.search(TOLD, heard)):
            go_on(program)
            with suppress(BlockingIOError):
                heard += os.read(screen, 1 << 20)
    shown = len(re.findall(rb"line \d+ x{100}\r\n", heard))
    assert 0 < MANY - shown <= int(told[1])
    os.close(screen)


@pytest.mark.timeout(LIMIT_S)
def test_a_line_that_was_cut_for_want_of_room_is_ended_before_another_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, given = os.pipe()
    os.set_blocking(reader, False)
    long = "x" * 100_000
    with os.fdopen(given, "w") as standard_error:
        monkeypatch.setattr(sys, "stderr", standard_error)
        lines = Lines(lambda lost: f"lost {lost}\n", patience_s=0)
        for _ in range(3):
            lines.write(f"{long}\n")
        heard = os.read(reader, 1 << 20)
        lines.write("after\n")
        heard += os.read(reader, 1 << 20)
    assert heard.decode().splitlines() == [long, "lost 2", "after"]
    os.close(reader)


def test_who_shares_the_pipe_with_us_still_waits_for_room_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, given = os.pipe()
    with os.fdopen(given, "w") as standard_error:
        monkeypatch.setattr(sys, "stderr", standard_error)
        assert StandardError().takes("line\n")
        assert os.get_blocking(given)
    os.close(reader)


def test_a_reader_that_has_gone_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, given = os.pipe()
    os.close(reader)
    with os.fdopen(given, "w") as standard_error:
        monkeypatch.setattr(sys, "stderr", standard_error)
        assert not StandardError().takes("line\n")


def test_a_file_takes_whatever_comes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as standard_error:
        monkeypatch.setattr(sys, "stderr", standard_error)
        assert StandardError().takes("x" * 3_000_000 + "\nü\udcff\n")
    assert path.read_text() == "x" * 3_000_000 + "\nü\\udcff\n"
