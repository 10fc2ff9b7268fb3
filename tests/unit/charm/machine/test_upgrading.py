"""What an upgrade of the charm changes, and what gives way to the version before."""

import pytest
from emulated_host import HostStand
from machine import MachineError, VersionRefused, Wanted
from machine.places import NAME
from machine.units import SERVICE

from tests.unit.charm.machine.installation import (
    DOCUMENT,
    TOKEN,
    apply,
    installed,
    running,
    upgrade,
)


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
