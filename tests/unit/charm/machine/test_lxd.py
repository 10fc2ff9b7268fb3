"""LXD on the machine: somebody's, or ours by snap."""

from pathlib import Path

import pytest
from charmlibs import snap
from emulated_host import EmulatedHost
from machine import MachineError
from machine.lxd import Lxd
from machine.packages import Packages

CHANNEL = "5.21/stable"


class Snapd:
    """Notes what it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.orders: list[str] = []
        self.error: Exception | None = None
        monkeypatch.setattr(snap, "ensure_installed", self.ensure_installed)
        monkeypatch.setattr(snap, "hold", lambda name: self.orders.append(f"hold {name}"))
        monkeypatch.setattr(snap, "unhold", self.unhold)

    def ensure_installed(self, name: str, channel: str, *, update: bool) -> None:
        if self.error:
            raise self.error
        self.orders.append(f"install {name} {channel}{' and update' if update else ''}")

    def unhold(self, name: str) -> None:
        if self.error:
            raise self.error
        self.orders.append(f"unhold {name}")


@pytest.fixture
def snapd(monkeypatch: pytest.MonkeyPatch) -> Snapd:
    return Snapd(monkeypatch)


@pytest.fixture
def host(tmp_path: Path) -> EmulatedHost:
    host = EmulatedHost(tmp_path)
    host.places.notes.mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    return host


def lxd_of(host: EmulatedHost) -> Lxd:
    return Lxd(host.places, host, Packages(host))


def test_without_one_the_snap_is_installed_and_held(host: EmulatedHost, snapd: Snapd) -> None:
    lxd_of(host).ensure(CHANNEL)
    assert snapd.orders == [f"install lxd {CHANNEL}", "hold lxd"]
    assert host.runs[-1][:2] == ("lxd", "waitready")
    assert lxd_of(host).is_ours


def test_ours_follows_another_channel(host: EmulatedHost, snapd: Snapd) -> None:
    lxd_of(host).ensure(CHANNEL)
    (host.root / "snap/lxd").mkdir(parents=True)
    (host.root / "snap/lxd/current").symlink_to("29351")
    lxd_of(host).ensure("6/stable")
    assert "install lxd 6/stable" in snapd.orders


def test_after_an_installation_that_failed_one_of_the_operator_s_is_his(
    host: EmulatedHost, snapd: Snapd
) -> None:
    snapd.error = snap.Error("no such channel")
    with pytest.raises(MachineError, match=r"can't be installed from 5\.21/stable"):
        lxd_of(host).ensure(CHANNEL)
    (host.root / "snap/lxd").mkdir(parents=True)
    (host.root / "snap/lxd/current").symlink_to("29351")

    snapd.error = None
    lxd_of(host).ensure(CHANNEL)
    assert snapd.orders == []
    assert not lxd_of(host).is_ours


def test_a_snap_that_was_there_is_left_as_it_is(host: EmulatedHost, snapd: Snapd) -> None:
    (host.root / "snap/lxd").mkdir(parents=True)
    (host.root / "snap/lxd/current").symlink_to("29351")
    lxd_of(host).ensure(CHANNEL)
    assert snapd.orders == []
    assert not lxd_of(host).is_ours


def test_one_of_debian_s_is_left_as_it_is(host: EmulatedHost, snapd: Snapd) -> None:
    (host.root / "usr/bin/lxd").touch()
    host.installed.add("lxd")
    lxd_of(host).ensure(CHANNEL)
    assert snapd.orders == []


def test_ubuntu_s_package_that_only_fetches_the_snap_is_none(
    host: EmulatedHost, snapd: Snapd
) -> None:
    host.installed.add("lxd")  # without a program
    lxd_of(host).ensure(CHANNEL)
    assert f"install lxd {CHANNEL}" in snapd.orders


def test_without_snapd_it_is_said_what_to_install(host: EmulatedHost, snapd: Snapd) -> None:
    snapd.error = snap.SocketNotFoundError("no socket")
    with pytest.raises(MachineError, match="has no snapd; install snapd, or LXD itself"):
        lxd_of(host).ensure(CHANNEL)
    assert not lxd_of(host).is_ours


def test_a_channel_that_is_none_is_named(host: EmulatedHost, snapd: Snapd) -> None:
    snapd.error = snap.ConnectionError("no such channel")
    with pytest.raises(MachineError, match="can't be installed from 9/stable: no such channel"):
        lxd_of(host).ensure("9/stable")


def test_one_that_does_not_come_up_is_told_and_tried_again(
    host: EmulatedHost, snapd: Snapd
) -> None:
    host.broken["lxd waitready"] = "Error: LXD still not running after 120s timeout"
    with pytest.raises(MachineError, match="does not come up: Error: LXD still not running"):
        lxd_of(host).ensure(CHANNEL)
    host.broken.clear()
    lxd_of(host).ensure(CHANNEL)


def test_ours_is_let_go_and_stays(host: EmulatedHost, snapd: Snapd) -> None:
    lxd_of(host).release()
    assert snapd.orders == []
    lxd_of(host).ensure(CHANNEL)
    lxd_of(host).release()
    assert snapd.orders[-1] == "unhold lxd"


def test_a_snapd_that_is_away_keeps_nothing_from_being_removed(
    host: EmulatedHost, snapd: Snapd, caplog: pytest.LogCaptureFixture
) -> None:
    lxd_of(host).ensure(CHANNEL)
    snapd.error = snap.ConnectionError("gone")
    lxd_of(host).release()
    assert "snap refresh --unhold lxd" in caplog.text
