"""Who has the machine, and what the charm installs there."""

import pytest
from emulated_host import HostStand
from machine import MachineError
from machine.places import NAME
from machine.units import SERVICE

from tests.unit.charm.machine.installation import installed, running

# Who has the machine


def test_a_machine_is_one_units(stand: HostStand) -> None:
    stand.machine().claim("app/0")
    stand.machine().claim("app/0")
    with pytest.raises(MachineError, match=r"is app/0's.*deploy to another machine"):
        stand.machine().claim("app/1")
    assert not (stand.host.root / "opt" / NAME).exists()


def test_a_daemon_that_was_installed_by_hand_is_not_touched(stand: HostStand) -> None:
    stand.host.places.config.parent.mkdir()
    stand.host.places.config.write_text("path: mine\n")
    with pytest.raises(MachineError, match="installed here by hand"):
        stand.machine().claim("app/0")
    assert not stand.host.places.notes.exists()


# Installing


def test_installing_brings_packages_user_software_and_units(stand: HostStand) -> None:
    said: list[str] = []
    machine = stand.machine()
    machine.claim("app/0")
    machine.install(lxd_channel="5.21/stable", progress=said.append)
    at = stand.host.places
    assert {"nftables", "btrfs-progs", "cpu-checker"} <= stand.host.installed
    assert stand.host.users == {NAME}
    assert at.cli.exists()
    assert at.cli_link.readlink() == at.cli
    assert at.metric_log_link.readlink() == at.metric_log
    assert (at.units / SERVICE).stat().st_mode & 0o777 == 0o644
    assert machine.version() == "0.1.0"
    assert stand.host.daemon is None
    assert said[0] == "installing packages"


def test_installing_again_changes_nothing(stand: HostStand) -> None:
    machine = installed(stand)
    before = stand.tree()
    stand.host.runs.clear()
    machine.install(lxd_channel="5.21/stable", progress=lambda _: None)
    assert stand.tree() == before
    assert {run[0] for run in stand.host.runs} == {"dpkg-query"}


def test_a_container_gets_neither_a_kernel_nor_what_virtual_machines_need(stand: HostStand) -> None:
    (stand.host.root / "run/systemd").mkdir()
    (stand.host.root / "run/systemd/container").write_text("lxc")
    stand.host.installed.add("linux-generic")
    installed(stand)
    assert not stand.host.installed & {"cpu-checker", "libvirt-clients"}
    assert not any("--only-upgrade" in run for run in stand.host.runs)


def test_a_command_of_somebody_elses_stays_where_it_is(stand: HostStand) -> None:
    link = stand.host.places.cli_link
    link.write_text("theirs")
    machine = running(stand)
    assert link.read_text() == "theirs"
    assert machine.remove() == []
    assert link.read_text() == "theirs"


def test_a_file_that_cant_be_written_is_told_in_one_sentence(stand: HostStand) -> None:
    (stand.host.root / "opt").rmdir()
    (stand.host.root / "opt").write_text("a file")
    with pytest.raises(MachineError, match=r"/opt/github-runner-supervisor/\S+: Not a directory"):
        installed(stand)
