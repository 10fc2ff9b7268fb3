"""When the machine is to be rebooted, by what the daemon and its code say."""

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from emulated_host import HostStand
from machine import Fleet
from machine.commands import Done

from tests.unit.charm.machine.installation import installed, running

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


def test_the_clock_of_a_reboot_is_told_with_its_zone(stand: HostStand) -> None:
    machine = running(stand)
    machine.reboot_due(Fleet({}, {"reboot": NOW}))
    noted = json.loads((stand.host.places.notes / "reboots.json").read_text())
    at = datetime.fromisoformat(noted["kernel 6.8.0-50-generic"]["at"])
    assert abs((datetime.now(timezone.utc) - at).total_seconds()) < 60
