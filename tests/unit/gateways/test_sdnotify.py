import os
import socket
from pathlib import Path

import pytest

from supervisor.gateways import sdnotify


def listener(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.bind(address)
    return sock


def test_systemd_is_told_at_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with listener(address) as sock:
        assert sdnotify.notify("READY=1", "STATUS=2 of 3 läuft")
        assert sock.recv(1000).decode() == "READY=1\nSTATUS=2 of 3 läuft"


def test_systemd_is_told_at_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"supervisor-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with listener(f"\0{name}") as sock:
        assert sdnotify.notify("STOPPING=1")
        assert sock.recv(1000) == b"STOPPING=1"


def test_nobody_is_told_where_there_is_no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not sdnotify.notify("READY=1")


@pytest.mark.parametrize("address", ["/nonexistent/notify", "vsock:2:9", "x" * 200])
def test_an_address_that_leads_nowhere_hurts_nobody(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not sdnotify.notify("READY=1")


def test_the_watchdog_is_fed_twice_as_often_as_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert sdnotify.watchdog_interval_s() == 15.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert sdnotify.watchdog_interval_s() == 15.0


@pytest.mark.parametrize(("usec", "pid"), [("30000000", "1"), ("0", ""), ("soon", ""), ("-5", "")])
def test_the_watchdog_of_another_process_or_none_is_not_fed(
    usec: str, pid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid or str(os.getpid()))
    assert sdnotify.watchdog_interval_s() is None
