"""What is found on a host: its files in a directory of the test's, its programs scripts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.gateways import host_packages
from supervisor.gateways.host_packages import HostPackages

NAMES = ("cpu-checker", "libvirt-clients")


class Root:
    """A host that a test furnishes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "bin").mkdir()
        self.host = HostPackages(path)

    def program(self, name: str, script: str) -> None:
        made = self.path / "bin" / name
        made.write_text(f"#!/bin/sh\n{script}\n")
        made.chmod(0o755)

    def file(self, name: str, text: str = "") -> None:
        made = self.path / name
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(text)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    made = Root(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    monkeypatch.setattr(host_packages, "_SBIN", "")
    return made


def test_the_version_of_nftables_is_read(root: Root) -> None:
    assert root.host.nft() == ""
    root.program("nft", "echo 'nftables v1.0.9 (Old Doc Yak #3)'")
    assert root.host.nft() == "1.0.9"


def test_a_program_that_says_nonsense_or_can_not_run_is_as_good_as_none(root: Root) -> None:
    root.program("nft", "printf 'v\\377\\n'; exit 1")
    assert root.host.nft() == ""
    (root.path / "bin" / "nft").write_text("no program")
    assert root.host.nft() == ""


def test_a_program_that_hangs_is_waited_for_no_longer_than_the_limit(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_packages, "_LIMIT_S", 0.2)
    root.program("nft", "exec /bin/sleep 60")
    assert root.host.nft() == ""


def test_only_what_dpkg_has_installed_whole_counts(root: Root) -> None:
    assert root.host.debian_packages(NAMES) is None
    root.program(
        "dpkg-query", "echo 'cpu-checker installed'; echo 'libvirt-clients config-files'; exit 1"
    )
    assert root.host.debian_packages(NAMES) == {"cpu-checker"}


def test_how_lxd_is_installed_is_known(root: Root) -> None:
    assert root.host.lxd_from() == ""
    root.program("lxd", "")
    assert root.host.lxd_from() == "unknown"
    root.program("dpkg-query", "echo 'lxd installed'")
    assert root.host.lxd_from() == "deb"
    (root.path / "snap/lxd").mkdir(parents=True)
    (root.path / "snap/lxd/current").symlink_to("31333")
    assert root.host.lxd_from() == "snap"


def test_kvm_and_apparmor_are_looked_for(root: Root) -> None:
    assert (root.host.kvm(), root.host.apparmor()) == (False, "none")
    root.file("dev/kvm")
    root.file("sys/module/apparmor/parameters/enabled", "N\n")
    assert (root.host.kvm(), root.host.apparmor()) == (True, "off")
    root.file("sys/module/apparmor/parameters/enabled", "Y\n")
    assert root.host.apparmor() == "on"


def test_kernels_and_the_wish_for_a_reboot_are_found(root: Root) -> None:
    found = root.host.kernel()
    assert (found.running, found.installed, found.required) == (os.uname().release, (), False)
    root.file("boot/vmlinuz-5.15.0-91-generic")
    root.file("boot/initrd.img-5.15.0-101-generic")
    root.file("run/reboot-required")
    root.file("run/reboot-required.pkgs", "libc6\ndbus\nlibc6\nba\033d\n")
    found = root.host.kernel()
    assert (found.installed, found.required) == (("5.15.0-91-generic",), True)
    assert found.for_packages == ("libc6", "dbus", "ba?d")


def test_this_host_can_be_looked_at() -> None:
    host = HostPackages()
    assert host.gunicorn()
    assert host.kernel().running == os.uname().release
