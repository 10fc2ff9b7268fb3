"""What the charm does to a machine: its files are real, its programs emulated."""

import errno
import json
import os
import stat
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from emulated_host import HostStand
from machine import (
    Applied,
    ConfigRefused,
    Fleet,
    MachineError,
    VersionRefused,
    Wanted,
    files,
    removal,
)
from machine.commands import Done
from machine.machine import Machine
from machine.places import NAME
from machine.units import SERVICE

from supervisor.causes import Cause

DOCUMENT: dict[str, Any] = {"name": "app-0", "credentials": ["token"], "virtual-machines": 1}
TOKEN = {"token": "ghp_first"}
PRESENT = Wanted(DOCUMENT, TOKEN)


def installed(stand: HostStand) -> Machine:
    machine = stand.machine()
    machine.claim("app/0")
    machine.install(lxd_channel="5.21/stable", progress=lambda _: None)
    return machine


def running(stand: HostStand) -> Machine:
    machine = installed(stand)
    apply(machine)
    return machine


def apply(
    machine: Machine,
    document: dict[str, Any] | None = None,
    credentials: dict[str, str] | None = None,
    script: str = "",
) -> Applied:
    wanted = Wanted(document or DOCUMENT, credentials or TOKEN, script)
    return machine.apply(wanted, environment={})


def upgrade(stand: HostStand, wanted: Wanted | None = PRESENT) -> Machine:
    machine = stand.machine()
    machine.upgrade(
        lxd_channel="5.21/stable", wanted=wanted, environment={}, progress=lambda _: None
    )
    return machine


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


# Configuring


def test_a_configuration_is_written_for_the_daemon_alone_and_started_with(stand: HostStand) -> None:
    machine = installed(stand)
    assert apply(machine, script="#!/bin/sh\n") == Applied(changed=True, restarted=False)
    at, daemon = stand.host.places, stand.host.daemon
    assert daemon is not None
    assert daemon.credentials == TOKEN
    assert "virtual-machines: 1" in daemon.configuration
    assert daemon.script == "#!/bin/sh\n"
    assert stat.S_IMODE(at.config.stat().st_mode) == 0o600
    assert stat.S_IMODE(at.credentials.stat().st_mode) == 0o700
    assert stat.S_IMODE((at.credentials / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(at.image_script.stat().st_mode) == 0o640
    assert stand.host.enabled == {SERVICE, f"{NAME}-storage.path"}
    assert stand.host.in_lxd == {"project", "bridge"}


def test_the_same_configuration_again_does_nothing(stand: HostStand) -> None:
    machine = running(stand)
    before = stand.tree()
    stand.host.runs.clear()
    assert apply(machine) == Applied(changed=False, restarted=False)
    assert stand.tree() == before
    assert stand.host.ran("supervisor-cli") == 0
    assert {run[:2] for run in stand.host.runs} == {("systemctl", "show")}


def test_what_is_as_it_should_be_is_not_written_again(
    stand: HostStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = running(stand)

    def write(path: Path, *_: object, **__: object) -> None:
        raise AssertionError(f"{path} is written")

    monkeypatch.setattr(files, "write", write)
    apply(machine)


def test_what_can_change_while_it_runs_is_reloaded(stand: HostStand) -> None:
    machine = running(stand)
    done = apply(machine, {**DOCUMENT, "virtual-machines": 3})
    assert done == Applied(changed=True, restarted=False)
    assert stand.host.ran("systemctl", "restart", SERVICE) == 0
    assert stand.host.daemon == stand.host.reads()


@pytest.mark.parametrize(
    ("document", "credentials"),
    [
        pytest.param({**DOCUMENT, "port": 1}, TOKEN, id="a key that is fixed while it runs"),
        pytest.param(DOCUMENT, {"token": "ghp_second"}, id="a rotated token"),
        pytest.param(
            {**DOCUMENT, "credentials": ["app.pem"]}, {"app.pem": "key"}, id="an App's key instead"
        ),
        pytest.param(DOCUMENT, {**TOKEN, "policy-token": "p"}, id="another credential"),
    ],
)
def test_what_is_read_at_the_start_alone_has_it_restarted(
    stand: HostStand, document: dict[str, Any], credentials: dict[str, str]
) -> None:
    machine = running(stand)
    assert apply(machine, document, credentials) == Applied(changed=True, restarted=True)
    assert stand.host.daemon == stand.host.reads()
    assert stand.host.daemon.credentials == credentials
    assert {path.name for path in stand.host.places.credentials.iterdir()} == set(credentials)


def test_a_changed_script_is_reloaded_and_a_dropped_one_removed(stand: HostStand) -> None:
    machine = running(stand)
    apply(machine, script="one\n")
    assert apply(machine, script="two\n") == Applied(changed=True, restarted=False)
    assert stand.host.daemon is not None
    assert stand.host.daemon.script == "two\n"
    apply(machine)
    assert not stand.host.places.image_script.exists()


def test_a_script_is_checked_before_it_takes_the_place_of_the_one_in_use(stand: HostStand) -> None:
    machine = running(stand)
    apply(
        machine, {**DOCUMENT, "image-script": str(stand.host.places.image_script)}, script="one\n"
    )
    with pytest.raises(ConfigRefused):
        apply(machine, {**DOCUMENT, "image-script": "x", "wrong": 1}, script="two\n")
    assert stand.host.places.image_script.read_text() == "one\n"


@pytest.mark.parametrize("credentials", [TOKEN, {"token": "ghp_new", "app.pem": "new"}])
def test_a_refused_configuration_leaves_all_as_it_was(
    stand: HostStand, credentials: dict[str, str]
) -> None:
    machine = running(stand)
    before, daemon = stand.tree(), stand.host.daemon
    with pytest.raises(ConfigRefused, match="wrong: is no key"):
        apply(machine, {**DOCUMENT, "wrong": 1}, credentials)
    assert stand.tree() == before
    assert stand.host.daemon is daemon
    assert stand.host.ran("supervisor-cli", "prepare-lxd") == 1


def test_a_daemon_that_is_down_is_started_with_what_it_had_when_a_new_one_is_refused(
    stand: HostStand,
) -> None:
    machine = running(stand)
    stand.host.daemon = None
    with pytest.raises(ConfigRefused):
        apply(machine, {**DOCUMENT, "wrong": 1})
    assert stand.host.daemon == stand.host.reads()


def test_a_daemon_that_is_down_is_started_whatever_is_wanted(stand: HostStand) -> None:
    machine = running(stand)
    machine.complete()
    assert stand.host.ran("systemctl", "start") == 1
    stand.host.daemon = None
    machine.complete()
    assert stand.host.ran("systemctl", "start") == 2
    assert stand.host.daemon == stand.host.reads()


def test_a_daemon_whose_configuration_is_refused_is_started_with_whole_units(
    stand: HostStand,
) -> None:
    machine = running(stand)
    unit = stand.host.places.units / SERVICE
    whole = unit.read_text()
    unit.write_text("[Unit]\nDescription=of a former version\n")
    with pytest.raises(ConfigRefused):
        apply(machine, {**DOCUMENT, "wrong": 1})
    assert unit.read_text() == whole


def test_lxd_that_cant_be_prepared_leaves_the_last_good_configuration_in_use(
    stand: HostStand,
) -> None:
    machine = running(stand)
    before = stand.host.places.config.read_text()
    stand.host.broken["supervisor-cli prepare-lxd"] = "LXD does not answer\n"
    with pytest.raises(MachineError, match="LXD can't be made ready: LXD does not answer"):
        apply(machine, {**DOCUMENT, "virtual-machines": 2})
    assert stand.host.places.config.read_text() == before
    stand.host.broken.clear()
    assert apply(machine, {**DOCUMENT, "virtual-machines": 2}).changed


def test_a_daemon_that_is_down_is_started(stand: HostStand) -> None:
    machine = running(stand)
    stand.host.daemon, stand.host.state = None, "failed/failed"
    assert apply(machine) == Applied(changed=True, restarted=False)
    assert stand.host.ran("systemctl", "reset-failed", SERVICE) >= 1
    assert stand.host.daemon == stand.host.reads()


def test_one_that_does_not_come_up_is_told_with_its_last_words_and_tried_again(
    stand: HostStand,
) -> None:
    machine = installed(stand)
    stand.host.broken["systemctl start github"] = "Job failed."
    with pytest.raises(MachineError, match=r"the daemon can't start: Job failed\."):
        apply(machine)
    stand.host.broken.clear()
    assert apply(machine).changed
    assert stand.host.daemon == stand.host.reads()


def test_one_that_is_coming_is_restarted_for_a_change_as_it_cant_be_reloaded(
    stand: HostStand,
) -> None:
    machine = running(stand)
    stand.host.state = "activating/auto-restart"
    assert apply(machine) == Applied(changed=False, restarted=False)
    assert apply(machine, {**DOCUMENT, "virtual-machines": 2}).restarted


def test_what_somebody_has_changed_by_hand_is_put_right(stand: HostStand) -> None:
    machine = running(stand)
    stand.host.places.config.write_text("path: other\n")
    stand.host.places.config.chmod(0o644)
    assert apply(machine).changed
    assert stand.host.daemon == stand.host.reads()
    assert stat.S_IMODE(stand.host.places.config.stat().st_mode) == 0o600


def test_no_secret_is_in_an_argument_or_an_environment(stand: HostStand) -> None:
    machine = running(stand)
    apply(machine, credentials={"token": "ghp_second"})
    machine.remove()
    told = f"{stand.host.runs} {stand.host.environments}"
    assert "ghp_" not in told


# Upgrading


def test_an_upgrade_restarts_a_daemon_that_runs_and_keeps_the_version_before(
    stand: HostStand,
) -> None:
    machine = running(stand)
    before = stand.host.daemon
    for version in ("0.2.0", "0.3.0"):
        stand.bring(version)
        machine = upgrade(stand)
        assert machine.version() == version
        assert stand.host.daemon == stand.host.reads() != before
    kept = {path.name.split("-")[0] for path in (stand.host.places.software / "versions").iterdir()}
    assert kept == {"0.2.0", "0.3.0"}


def test_an_upgrade_to_the_same_restarts_nothing(stand: HostStand) -> None:
    running(stand)
    stand.host.runs.clear()
    upgrade(stand)
    assert stand.host.ran("systemctl", "restart", SERVICE) == 0


def test_another_unit_file_restarts_it_and_one_that_is_no_more_goes(stand: HostStand) -> None:
    running(stand)
    (stand.units / SERVICE).write_text(f"{(stand.units / SERVICE).read_text()}# another\n")
    (stand.units / f"{NAME}-storage.path").unlink()
    upgrade(stand)
    assert stand.host.ran("systemctl", "restart", SERVICE) == 1
    assert stand.host.ran("systemctl", "disable", "--now", f"{NAME}-storage.path") == 1
    assert not (stand.host.places.units / f"{NAME}-storage.path").exists()


def test_an_operator_s_own_unit_with_a_name_like_ours_stays(stand: HostStand) -> None:
    theirs = stand.host.places.units / f"{NAME}-exporter.service"
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_text("[Service]\nExecStart=/bin/true\n")
    machine = running(stand)
    stand.bring("0.2.0")
    upgrade(stand)
    assert machine.remove() == []
    assert theirs.exists()
    assert not [run for run in stand.host.runs if theirs.name in run]


def test_an_upgrade_looks_for_nothing_that_is_merely_good_to_have(stand: HostStand) -> None:
    running(stand)
    stand.bring("0.2.0")
    stand.host.runs.clear()
    upgrade(stand)
    asked = [run for run in stand.host.runs if run[0] == "dpkg-query"]
    assert asked
    assert not [run for run in asked if "cpu-checker" in run]


def test_what_a_killed_hook_has_written_goes_with_the_next_event(stand: HostStand) -> None:
    machine = running(stand)
    candidate = stand.host.places.credentials.with_name("credentials.new")
    candidate.mkdir(mode=0o700)
    (candidate / "token").write_text("ghp_dropped")
    machine.claim("app/0")
    assert not candidate.exists()


def test_a_version_that_does_not_start_is_not_used(stand: HostStand) -> None:
    machine = running(stand)
    stand.bring("0.2.0")
    stand.host.broken["supervisor-cli --version"] = "ImportError: no\n"
    with pytest.raises(MachineError, match="does not start: ImportError: no"):
        upgrade(stand)
    assert machine.version() == "0.1.0"
    stand.host.broken.clear()
    upgrade(stand)
    assert machine.version() == "0.2.0"


def test_a_version_is_used_that_takes_what_is_wanted_and_not_what_somebody_has_written(
    stand: HostStand,
) -> None:
    machine = running(stand)
    config = stand.host.places.config
    config.write_text(f"{config.read_text()}wrong: 1\n")
    stand.bring("0.2.0")
    upgrade(stand)
    assert machine.version() == "0.2.0"
    assert "wrong" not in config.read_text()


@pytest.mark.parametrize("name", ["github_runner_supervisor", "pip"])
def test_a_charm_without_its_wheels_is_told_so(stand: HostStand, name: str) -> None:
    next(stand.payload.glob(f"{name}-*")).unlink()
    with pytest.raises(MachineError, match="the charm was not packed right"):
        installed(stand)


def test_software_and_configuration_change_by_one_start(stand: HostStand) -> None:
    running(stand)
    stand.bring("0.2.0")
    stand.host.refusing["0.2.0"] = "virtual-machines: 1"  # the present one
    stand.host.runs.clear()
    machine = upgrade(stand, Wanted({**DOCUMENT, "virtual-machines": 2}, {"token": "ghp_second"}))
    assert machine.version() == "0.2.0"
    assert stand.host.daemon == stand.host.reads()
    assert "virtual-machines: 2" in stand.host.daemon.configuration
    assert stand.host.daemon.credentials == {"token": "ghp_second"}
    assert stand.host.ran("systemctl", "restart", SERVICE) == 1
    assert stand.host.ran("systemctl", "start", SERVICE) == 0
    assert not machine.is_outdated()
    assert not stand.host.places.former.exists()


def test_what_came_along_and_is_not_in_use_is_told_as_outdated(stand: HostStand) -> None:
    machine = running(stand)
    assert not machine.is_outdated()
    stand.bring("0.2.0")
    assert machine.is_outdated()
    upgrade(stand)
    assert not machine.is_outdated()
    (stand.units / SERVICE).write_text(f"{(stand.units / SERVICE).read_text()}# another\n")
    assert machine.is_outdated()


def test_a_version_that_refuses_what_is_wanted_keeps_it_not_from_the_one_in_use(
    stand: HostStand,
) -> None:
    machine = running(stand)
    stand.bring("0.2.0")
    stand.host.refusing["0.2.0"] = "gpu"
    wanted = Wanted({**DOCUMENT, "labels": "gpu"}, TOKEN)
    with pytest.raises(VersionRefused) as refused:
        upgrade(stand, wanted)
    assert refused.value.faults == "config.yaml.new: gpu: is no key"
    assert refused.value.stays.startswith("0.1.0-")
    assert machine.version() == "0.1.0"
    assert machine.is_outdated()
    assert machine.apply(wanted, environment={}).changed
    assert stand.host.daemon == stand.host.reads()
    assert "gpu" in stand.host.daemon.configuration


@pytest.mark.parametrize("wanted", [None, Wanted({**DOCUMENT, "wrong": 1}, TOKEN)])
def test_options_that_are_wrong_keep_no_version_back_that_takes_what_is_in_use(
    stand: HostStand, wanted: Wanted | None
) -> None:
    running(stand)
    before = stand.host.places.config.read_text()
    stand.bring("0.2.0")
    machine = upgrade(stand, wanted)
    assert machine.version() == "0.2.0"
    assert stand.host.daemon == stand.host.reads()
    assert stand.host.places.config.read_text() == before


def test_a_version_that_can_be_used_with_nothing_is_told_with_its_own_words(
    stand: HostStand,
) -> None:
    machine = running(stand)
    stand.bring("0.2.0")
    stand.host.refusing["0.2.0"] = "name"
    with pytest.raises(VersionRefused, match="name: is no key"):
        upgrade(stand, None)
    assert machine.version() == "0.1.0"
    assert stand.host.daemon == stand.host.reads()


def test_a_version_that_does_not_come_up_gives_way_to_the_former_with_what_that_had(
    stand: HostStand,
) -> None:
    machine = running(stand)
    apply(machine, script="one\n")
    before, daemon = stand.tree("etc"), stand.host.daemon
    stand.bring("0.2.0")
    (stand.units / f"{NAME}-more.service").write_text("[Service]\n")
    stand.host.stillborn["0.2.0"] = "ImportError: no\n"
    machine = upgrade(stand, Wanted({**DOCUMENT, "new": 1}, {"token": "ghp_second"}, "two\n"))
    setback = machine.setback()
    assert setback is not None
    assert setback.version.startswith("0.2.0-")
    assert setback.former == daemon.software  # type: ignore[union-attr]
    assert setback.words == "ImportError: no"
    assert stand.tree("etc") == before
    assert stand.host.daemon == daemon
    assert not stand.host.places.former.exists()


def test_a_version_that_did_not_come_up_is_not_tried_again_but_the_next_one_is(
    stand: HostStand,
) -> None:
    machine = running(stand)
    stand.bring("0.2.0")
    stand.host.stillborn["0.2.0"] = "no socket"
    upgrade(stand)
    stand.host.runs.clear()
    assert not machine.is_outdated()
    assert apply(machine, {**DOCUMENT, "virtual-machines": 4}).changed
    assert stand.host.ran("systemctl", "restart", SERVICE) == 0
    assert machine.setback() is not None

    stand.bring("0.3.0")
    assert machine.is_outdated()
    upgrade(stand)
    assert machine.version() == "0.3.0"
    assert machine.setback() is None


def test_a_further_revision_with_the_same_version_tries_it_again(stand: HostStand) -> None:
    running(stand)
    stand.bring("0.2.0")
    stand.host.stillborn["0.2.0"] = "no socket"
    upgrade(stand)
    stand.host.stillborn.clear()
    machine = upgrade(stand)
    assert machine.version() == "0.2.0"
    assert machine.setback() is None


def test_where_the_former_does_not_come_up_either_that_is_told(stand: HostStand) -> None:
    machine = running(stand)
    stand.bring("0.2.0")
    stand.host.stillborn |= {"0.2.0": "no socket", "0.1.0": "no port"}
    with pytest.raises(MachineError, match="can't restart: no port"):
        upgrade(stand)
    stand.host.stillborn.clear()
    assert apply(machine).changed
    assert machine.version() == "0.1.0"
    assert stand.host.daemon == stand.host.reads()


def test_what_somebody_has_deleted_in_lxd_is_made_again(
    stand: HostStand, caplog: pytest.LogCaptureFixture
) -> None:
    machine = running(stand)
    stand.host.in_lxd.remove("bridge")
    machine.prepare_lxd(environment={})
    assert stand.host.in_lxd == {"project", "bridge"}
    assert "it was missing in LXD: made bridge" in caplog.text


def test_nothing_is_made_in_lxd_before_there_is_a_configuration(stand: HostStand) -> None:
    installed(stand).prepare_lxd(environment={})
    assert not stand.host.in_lxd


@pytest.mark.parametrize(
    ("status", "lacks"),
    [
        ({"causes": ["", str(Cause.LXD_INCOMPLETE)]}, True),
        ({"causes": ["image-missing", "lxd-failed"]}, False),
        ({"causes": []}, False),
        # A daemon before this one says it in its problems alone.
        ({"problems": ["could not create …: LXD says: Network not found"]}, False),
        ({}, False),
    ],
)
def test_what_lxd_lacks_is_known_by_the_causes(status: dict[str, Any], lacks: bool) -> None:
    assert Fleet(status).lacks_in_lxd is lacks


# Looking and ordering


def test_the_fleet_is_what_the_daemon_says(stand: HostStand) -> None:
    machine = running(stand)
    stand.host.answers["status"] = Done(1, '{"wanted": 2, "problems": ["x"]}')
    stand.host.answers["upgrades"] = Done(1, '{"reboot": {"when": "no"}}')
    assert machine.fleet() == Fleet({"wanted": 2, "problems": ["x"]}, {"reboot": {"when": "no"}})


@pytest.mark.parametrize(
    "answer", [Done(3), Done(124), Done(0, "not json"), Done(0, "[]"), Done(127)]
)
def test_without_an_answer_there_is_no_fleet(stand: HostStand, answer: Done) -> None:
    machine = running(stand)
    stand.host.answers["status"] = answer
    assert machine.fleet() is None


def test_without_the_daemon_installed_there_is_no_fleet_and_no_version(stand: HostStand) -> None:
    assert stand.machine().fleet() is None
    assert stand.machine().version() == ""


def test_a_fleet_without_upgrades_is_one_all_the_same(stand: HostStand) -> None:
    machine = running(stand)
    stand.host.answers["upgrades"] = Done(3)
    assert machine.fleet() == Fleet({"name": "fleet"}, {})


def test_a_failed_unit_is_told_with_its_last_words(stand: HostStand) -> None:
    machine = running(stand)
    assert machine.unit_state() == "active/running"
    stand.host.state = "failed/failed"
    stand.host.journal["_SYSTEMD_INVOCATION_ID=4711"] = "config.yaml: path: is empty\n\nended\n"
    assert machine.unit_state() == "failed/failed: config.yaml: path: is empty; ended"


def test_one_that_never_began_is_told_with_systemd_s_words(stand: HostStand) -> None:
    machine = running(stand)
    stand.host.state = "failed/failed"
    stand.host.journal[f"--unit={SERVICE}"] = "Failed to set up credentials\n"
    assert machine.unit_state() == "failed/failed: Failed to set up credentials"


def test_an_order_gives_the_command_s_own_end(stand: HostStand) -> None:
    machine = running(stand)
    stand.host.answers["flush"] = Done(4, "out", "denied")
    order = machine.order("flush", "--idle", limit_s=5)
    assert (order.code, order.out, order.err) == (4, "out", "denied")


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (Done(0, "empty"), ""),
        (Done(1, err="1 runner is left\n(busy)\n"), "1 runner is left (busy)"),
        (Done(3), ""),
        (Done(124), "the daemon did not say what is left"),
    ],
)
def test_a_drain_says_what_is_left(stand: HostStand, answer: Done, left: str) -> None:
    machine = running(stand)
    stand.host.answers["drain"] = answer
    assert machine.drain(limit_s=30) == left
    assert stand.host.runs[-1] == ("supervisor-cli", "drain", "--timeout", "30")


def test_a_daemon_that_is_down_is_not_drained(stand: HostStand) -> None:
    assert installed(stand).drain(limit_s=30) == ""


def test_an_update_is_started_in_the_background(stand: HostStand) -> None:
    running(stand)
    machine = stand.machine(proxies={"http_proxy": 'http://user:pa"ss@proxy:3128'})
    machine.update(lxd_channel="5.21/stable")
    update = next(run for run in stand.host.runs if run[0] == "systemd-run")
    assert "--no-block" in update
    assert {"nftables", "btrfs-progs"} <= set(update)
    assert "lxd" not in update  # it was there before
    told = stand.host.places.notes / "update.env"
    assert f"--property=EnvironmentFile={told}" in update
    assert f"--property=ExecStopPost=/bin/rm --force {told}" in update
    assert 'http_proxy="http://user:pa\\"ss@proxy:3128"\n' in told.read_text()
    assert "proxy:3128" not in str(stand.host.runs)
    assert told.stat().st_mode & 0o077 == 0
    assert stand.host.runs[-1] == ("supervisor-cli", "upgrade", "--now")
    assert machine.update_fault() == ""
    (stand.host.places.notes / "update-failed").write_text("Err:1 x\nE: no route\n\n")
    assert machine.update_fault() == "E: no route"


def test_an_update_that_is_under_way_is_as_good(stand: HostStand) -> None:
    machine = running(stand)
    stand.host.broken["systemd-run"] = "Unit github-runner-supervisor-update was already loaded"
    machine.update(lxd_channel="5.21/stable")
    stand.host.broken["systemd-run"] = "Failed to connect to bus"
    with pytest.raises(MachineError, match="can't be started: Failed to connect to bus"):
        machine.update(lxd_channel="5.21/stable")
    assert not (stand.host.places.notes / "update.env").exists()


# Rebooting


NOW = {
    "when": "now",
    "reason": "a reboot is needed: kernel 6.8.0-50-generic is installed, x runs",
    "kernel": "6.8.0-50-generic",
}


def boot(stand: HostStand, name: str) -> None:
    at = stand.host.places.boot_id
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(f"{name}\n")


def test_a_reboot_is_said_until_the_machine_has_gone_down_and_never_again(
    stand: HostStand,
) -> None:
    boot(stand, "first")
    machine = running(stand)
    fleet = Fleet({}, {"reboot": NOW})
    assert machine.reboot_due(fleet) == NOW["reason"]
    assert stand.machine().reboot_due(fleet) == NOW["reason"]  # that hook was killed
    boot(stand, "second")
    assert stand.machine().reboot_due(fleet) == ""


def test_before_the_first_start_the_daemon_s_code_says_whether_to_reboot(stand: HostStand) -> None:
    machine = installed(stand)
    assert machine.reboot_due(None) == ""
    stand.host.answers["offline"] = Done(0, json.dumps({"reboot": NOW}))
    assert machine.reboot_due(None) == NOW["reason"]
    assert machine.reboot_due(None) == ""


def test_a_daemon_that_is_down_may_have_runners_that_go_on(stand: HostStand) -> None:
    machine = running(stand)
    stand.host.answers["offline"] = Done(0, json.dumps({"reboot": NOW}))
    assert machine.reboot_due(None) == ""


def test_a_container_is_never_rebooted_for_its_host_s_kernel(stand: HostStand) -> None:
    (stand.host.root / "run/systemd").mkdir()
    (stand.host.root / "run/systemd/container").write_text("lxc")
    machine = installed(stand)
    stand.host.answers["offline"] = Done(0, json.dumps({"reboot": NOW}))
    assert machine.reboot_due(None) == ""


@pytest.mark.parametrize("upgrades", [{}, {"reboot": None}, {"reboot": {"when": "now"}}])
def test_an_answer_that_can_t_be_read_reboots_nothing(
    stand: HostStand, upgrades: dict[str, Any]
) -> None:
    assert running(stand).reboot_due(Fleet({}, upgrades)) == ""


# Removing


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


def test_the_clock_of_a_reboot_is_told_with_its_zone(stand: HostStand) -> None:
    machine = running(stand)
    machine.reboot_due(Fleet({}, {"reboot": NOW}))
    noted = json.loads((stand.host.places.notes / "reboots.json").read_text())
    at = datetime.fromisoformat(noted["kernel 6.8.0-50-generic"]["at"])
    assert abs((datetime.now(timezone.utc) - at).total_seconds()) < 60
