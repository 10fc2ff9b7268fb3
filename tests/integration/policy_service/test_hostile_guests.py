"""Guests that open as many connections as they can, and the threads that are left for others."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from policy_stand import GitHub, Service, running, settings_for

from supervisor.policy_service.worker import _LIFETIME_S

SOON_S = _LIFETIME_S / 2
"""Who waits for those that dawdle waits twice as long: until they are cut off."""


@pytest.fixture
def narrow_service(github: GitHub, tmp_path: Path) -> Iterator[Service]:
    """A service with few threads."""
    options = ("--workers", "1", "--threads", "8", "--check-seconds", "5")
    with running(settings_for(github.url, tmp_path), tmp_path, *options) as made:
        yield made


def dawdle(service: Service, address: str, count: int) -> list[socket.socket]:
    """Open connections, and begin a request in each that never ends."""
    host, port = service.base.removeprefix("http://").split(":")
    opened = []
    for number in range(count):
        with suppress(OSError):  # one too many is cut off, be it before it is there
            opened.append(socket.create_connection((host, int(port)), 5, (address, 0)))
            opened[-1].sendall(b"POST /check-run HTTP/1.1\r\nHost: a\r\nX: "[: 20 + number % 20])
    return opened


def test_one_guest_with_many_connections_does_not_keep_others_from_being_answered(
    service: Service,
) -> None:
    opened = dawdle(service, "127.0.4.1", 300)
    try:
        began = time.monotonic()
        answers = [service.check(address=f"127.0.4.{number}").status_code for number in (2, 3, 4)]
        assert answers == [204] * 3
        assert time.monotonic() - began < SOON_S
    finally:
        for one in opened:
            one.close()


def test_as_many_hostile_guests_as_leave_one_thread_do_not_keep_another_from_being_answered(
    narrow_service: Service,
) -> None:
    opened: list[socket.socket] = []
    try:
        for number in range(7):
            opened += dawdle(narrow_service, f"127.0.6.{number + 1}", 20)
        began = time.monotonic()
        assert narrow_service.check(address="127.0.6.100").status_code == 204
        assert time.monotonic() - began < SOON_S
    finally:
        for one in opened:
            one.close()


def test_the_host_is_answered_whatever_guests_do(narrow_service: Service) -> None:
    opened: list[socket.socket] = []
    try:
        for number in range(40):
            opened += dawdle(narrow_service, f"127.0.7.{number + 1}", 2)
        began = time.monotonic()
        token = narrow_service.token()
        assert narrow_service.call("GET", "/auth-health", token).status_code == 204
        assert time.monotonic() - began < SOON_S
    finally:
        for one in opened:
            one.close()


def test_a_guest_beyond_its_share_is_cut_off_at_once(narrow_service: Service) -> None:
    opened = dawdle(narrow_service, "127.0.8.1", 20)
    try:
        for one in opened[8:]:
            one.settimeout(SOON_S)
            with suppress(ConnectionResetError):
                assert one.recv(1) == b""
    finally:
        for one in opened:
            one.close()
