"""How a configuration comes to the daemon, and what a refused one leaves as it was."""

import stat
from pathlib import Path
from typing import Any

import pytest
from emulated_host import HostStand
from machine import Applied, ConfigRefused, MachineError, files
from machine.places import NAME
from machine.units import SERVICE

from tests.unit.charm.machine.installation import DOCUMENT, TOKEN, apply, installed, running


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
