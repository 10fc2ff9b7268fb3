"""A journald that takes nothing for a while costs lines, and says how many, but nobody's time."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from logging_journald import JournaldTransport

from supervisor.gateways.journald import Journald

LIMIT_S = 20.0
NOTICE = "log: lines lost, as journald did not take any: {}"


@pytest.fixture
def socket_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "socket"
    monkeypatch.setattr(JournaldTransport, "SOCKET_PATH", path)
    return path


@pytest.fixture
def full(socket_path: Path) -> Iterator[socket.socket]:
    """Give a socket in place of journald's that has no room until somebody reads from it."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
    ):
        made.bind(str(socket_path))
        made.settimeout(0)
        other.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                other.sendto(b"MESSAGE=before\n", str(socket_path))
        yield made


def read(journald: socket.socket) -> list[str]:
    """Read what waits, as journald would, but the messages alone, which are short."""
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(message(journald))
    return [one for one in found if one != "before"]


def message(journald: socket.socket) -> str:
    """Read one."""
    first, _, _ = journald.recv(1 << 20).partition(b"\n")
    return first.decode().removeprefix("MESSAGE=")


def in_a_thread(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def is_soon_done(act: Callable[[], None]) -> bool:
    """Tell whether it ends: sooner than if each of hundreds of entries waited for a moment."""
    thread = in_a_thread(act)
    thread.join(LIMIT_S)
    return not thread.is_alive()


def test_a_journald_that_does_not_read_keeps_nobody_waiting_and_hears_how_much_it_has_missed(
    full: socket.socket,
) -> None:
    journald = Journald("supervisor")

    def say_much() -> None:
        for number in range(500):
            journald.write(f"line {number}", 6, {"ACTOR": "root"})

    assert is_soon_done(say_much)
    assert read(full) == []
    journald.write("after", 6, {})
    journald.write("more", 6, {})
    assert read(full) == [NOTICE.format(500), "after", "more"]


def test_a_large_message_that_is_not_taken_is_one_line_that_is_lost(full: socket.socket) -> None:
    journald = Journald("supervisor")
    assert is_soon_done(lambda: journald.write("x" * 3_000_000, 6, {}))
    assert read(full) == []
    journald.write("after", 6, {})
    assert read(full) == [NOTICE.format(1), "after"]


def test_a_journald_that_has_no_room_for_a_moment_misses_nothing(full: socket.socket) -> None:
    journald = Journald("supervisor", patience_s=LIMIT_S)
    told = [f"line {number}" for number in range(100)]

    def say_all() -> None:
        for line in told:
            journald.write(line, 6, {})

    speaker = in_a_thread(say_all)
    heard = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.connect(full.getsockname())
        room = select.poll()
        room.register(other, select.POLLOUT)
        while speaker.is_alive():
            if not room.poll(0):
                heard.append(message(full))
    assert [line for line in heard + read(full) if line != "before"] == told


def test_standard_error_that_nobody_reads_is_not_waited_for_either(
    socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not socket_path.exists()
    ours, theirs = socket.socketpair()
    theirs.settimeout(0)
    with theirs, os.fdopen(ours.detach(), "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        journald = Journald("supervisor")
        line = "x" * 10_000

        def say_much() -> None:
            for _ in range(500):
                journald.write(line, 6, {})

        assert is_soon_done(say_much)
        heard = waiting(theirs)
        journald.write("after", 6, {})
        *whole, notice, after = (heard + waiting(theirs)).decode().splitlines()
        assert 0 < len(whole) < 500
        assert set(whole) == {f"<6>{line}"}
        missed = NOTICE.format(500 - len(whole))
        assert [notice, after] == [f"<4>{missed}", "<6>after"]


def waiting(stream: socket.socket) -> bytes:
    """Read what waits."""
    found = b""
    with suppress(BlockingIOError):
        while data := stream.recv(1 << 20):
            found += data
    return found
