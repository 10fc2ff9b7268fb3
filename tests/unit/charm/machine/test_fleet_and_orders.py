"""What the machine says of the daemon and its fleet, and the orders it passes on."""

from typing import Any

import pytest
from emulated_host import HostStand
from machine import Fleet, MachineError
from machine.commands import Done
from machine.units import SERVICE

from supervisor.causes import Cause
from tests.unit.charm.machine.installation import installed, running


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
