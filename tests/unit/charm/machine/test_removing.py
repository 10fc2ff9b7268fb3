"""Removing leaves nothing of ours, and all of others."""

import errno
import os
from pathlib import Path

import pytest
from emulated_host import HostStand
from machine import ConfigRefused, MachineError, removal
from machine.places import NAME

from tests.unit.charm.machine.installation import DOCUMENT, apply, installed, running


def test_removing_leaves_nothing_of_ours(stand: HostStand) -> None:
    before = stand.tree()
    machine = running(stand)
    at = stand.host.places
    for directory in (at.state, at.pools, at.logs):
        (directory / "own").mkdir(parents=True)
    apply(machine, script="x\n")
    operators = stand.host.places.units / f"{NAME}-storage.service.d" / "more.conf"
    operators.parent.mkdir()
    operators.write_text("[Service]\nMemoryMax=1G\n")
    assert machine.remove() == []
    assert {name: how for name, how in stand.tree().items() if NAME in name} == {}
    assert stand.tree().items() >= before.items()
    assert stand.host.daemon is None
    assert not stand.host.users
    assert not stand.host.enabled
    assert not stand.host.in_lxd
    assert not at.metric_log_link.is_symlink()


def test_removing_what_is_not_there_is_fine(stand: HostStand) -> None:
    assert stand.machine().remove() == []
    machine = running(stand)
    machine.remove()
    machine.claim("app/0")
    assert machine.remove() == []
    assert not stand.host.places.notes.exists()


def test_what_the_daemon_leaves_keeps_what_is_needed_to_try_again(stand: HostStand) -> None:
    machine = running(stand)
    stand.host.left = [{"what": "instance app-0-x", "why": "LXD does not answer"}]
    for _ in range(3):
        assert machine.remove() == ["instance app-0-x: LXD does not answer"]
        assert stand.host.places.cli.exists()
        assert stand.host.places.config.exists()
    stand.host.left = []
    assert machine.remove() == []


def test_registrations_are_tried_twice_and_left_to_github_then(
    stand: HostStand, caplog: pytest.LogCaptureFixture
) -> None:
    machine = running(stand)
    stand.host.left = [{"what": "registration of app-0-x at o", "why": "GitHub: 401"}]
    assert machine.remove() == ["registration of app-0-x at o: GitHub: 401"]
    assert machine.remove() == []
    assert "registration of app-0-x at o: GitHub: 401" in caplog.text
    assert not stand.host.places.settings.exists()


def test_what_is_somebody_else_s_stays_and_is_no_failure(
    stand: HostStand, caplog: pytest.LogCaptureFixture
) -> None:
    machine = running(stand)
    stand.host.kept = [{"what": "project github-runners", "why": "it is used by /1.0/images/5c"}]
    assert machine.remove() == []
    assert "somebody else: project github-runners: it is used by /1.0/images/5c" in caplog.text
    for path in ("settings", "software", "state", "notes"):
        assert not getattr(stand.host.places, path).exists()


def test_a_file_system_that_is_mounted_in_its_state_is_not_emptied(
    stand: HostStand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = running(stand)
    pools = stand.host.places.pools
    (pools / "own").mkdir(parents=True)
    (pools / "own/disk").write_text("somebody's")
    monkeypatch.setattr(removal, "mount_points", lambda: [pools / "own", pools / "own/disk"])
    assert machine.remove() == []
    assert f"{pools}: {pools}/own is mounted; when nobody needs it" in caplog.text
    assert f"umount {pools}/own/disk {pools}/own, then rm -r {pools}" in caplog.text
    assert (pools / "own/disk").exists()
    assert not stand.host.places.settings.exists()


def test_the_mount_points_are_the_kernel_s() -> None:
    assert {Path("/"), Path("/proc")} <= set(removal.mount_points())


def test_a_daemon_that_can_t_be_stopped_is_not_taken_its_files(stand: HostStand) -> None:
    machine = running(stand)
    stand.host.broken["systemctl stop"] = "Job timed out."
    assert machine.remove() == ["the daemon can't be stopped: Job timed out."]
    assert stand.host.places.config.exists()


def test_root_does_not_act_on_a_file_that_the_daemon_could_have_written(stand: HostStand) -> None:
    machine = running(stand)
    stand.host.places.config.write_text("lxd: {project: somebody-elses}\n")
    stand.host.runs.clear()
    assert machine.remove() == []
    (uninstall,) = [run for run in stand.host.runs if run[1:2] == ("uninstall",)]
    assert f"--config={stand.host.places.own_config}" in uninstall


def test_a_full_disk_is_told_with_the_file(
    stand: HostStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = installed(stand)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match=r"/etc/\S+/token: No space left on device"):
        apply(machine)


def test_lxd_that_was_prepared_for_no_daemon_yet_is_cleaned_too(stand: HostStand) -> None:
    machine = installed(stand)
    stand.host.in_lxd.add("project")
    stand.host.broken["supervisor-cli prepare-lxd"] = "no space\n"
    with pytest.raises(MachineError):
        apply(machine)
    with pytest.raises(ConfigRefused):
        apply(machine, {**DOCUMENT, "wrong": 1})
    assert machine.remove() == []
    assert not stand.host.in_lxd


def test_what_never_ran_is_removed_without_a_credential_for_github(stand: HostStand) -> None:
    machine = installed(stand)
    stand.host.broken["supervisor-cli prepare-lxd"] = "no space\n"
    with pytest.raises(MachineError):
        apply(machine)
    stand.host.left = [{"what": "registrations at o", "why": "token-file: can't be read"}]
    assert machine.remove() == []
    assert not stand.host.places.software.exists()
