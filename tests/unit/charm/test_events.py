"""Every event leads to the same state of the machine, whatever was lost before it."""

from typing import Any

import pytest
from charm_world import STORAGE, Killed, World
from machine import MachineError
from ops.testing import ActiveStatus, BlockedStatus, MaintenanceStatus, WaitingStatus


def test_a_deployment_installs_once_and_configures_once(world: World) -> None:
    world.run(world.ctx.on.storage_attached(STORAGE))
    assert world.machine.done == []

    world.run(world.ctx.on.install())
    assert world.machine.done == ["install 5.21/stable", "apply"]
    assert world.ctx.unit_status_history[-1] == MaintenanceStatus("installing LXD")

    for event in (world.ctx.on.config_changed, world.ctx.on.start):
        world.run(event())
    assert world.machine.done == ["install 5.21/stable", "apply", "prepare-lxd"]
    assert world.status == ActiveStatus("1 of 1 runners online: 1 idle")
    assert world.state.workload_version == "1.0"
    assert world.machine.owner == "runners/0"


def test_a_machine_that_is_as_wanted_is_left_alone_by_each_event(
    deployed: World, event: Any
) -> None:
    for _ in range(2):
        deployed.run(event(deployed))
        changing = [one for one in deployed.machine.done if not one.startswith("upgrade")]
        assert set(changing) <= {"prepare-lxd"}
        assert deployed.status == ActiveStatus("1 of 1 runners online: 1 idle")


def test_each_event_configures_what_was_set_meanwhile(deployed: World, event: Any) -> None:
    deployed.set(virtual_machines=3)
    deployed.run(event(deployed))
    assert deployed.machine.document["virtual-machines"] == 3
    assert deployed.status == ActiveStatus("3 of 3 runners online: 3 idle")


def test_each_event_tells_cos_what_to_look_at(deployed: World, event: Any) -> None:
    before = deployed.provided
    deployed.run(event(deployed))
    assert deployed.provided == before + 1


def test_cos_is_told_where_to_look_also_where_the_machine_can_not_be_set_up(world: World) -> None:
    world.machine.failures["install"] = MachineError("no room")
    world.run(world.ctx.on.install())
    assert world.status.message.startswith("no room")
    assert world.provided


def test_each_event_does_what_a_killed_one_has_left(deployed: World, event: Any) -> None:
    deployed.set(virtual_machines=2)
    deployed.machine.failures["apply"] = Killed()
    with pytest.raises(Killed):
        deployed.run(event(deployed))

    deployed.run(event(deployed))
    assert deployed.machine.document["virtual-machines"] == 2


def test_a_killed_installation_is_done_again(world: World) -> None:
    world.machine.failures["apply"] = Killed()
    with pytest.raises(Killed):
        world.run(world.ctx.on.install())

    world.run(world.ctx.on.install())
    assert world.machine.done == ["install 5.21/stable", "install 5.21/stable", "apply"]
    assert isinstance(world.status, ActiveStatus)


def test_what_the_machine_can_not_is_told_and_tried_again_by_each_event(
    deployed: World, event: Any
) -> None:
    deployed.set(virtual_machines=2)
    deployed.machine.failures["apply"] = MachineError("LXD does not answer")
    deployed.run(event(deployed))
    assert deployed.status == BlockedStatus("LXD does not answer; it is tried again within minutes")

    deployed.run(event(deployed))
    assert deployed.status == ActiveStatus("2 of 2 runners online: 2 idle")


def test_an_installation_that_failed_is_tried_again_by_each_later_event(
    world: World, event: Any
) -> None:
    world.machine.failures["install"] = MachineError("apt is locked by another program")
    world.run(world.ctx.on.install())
    assert world.status == BlockedStatus(
        "apt is locked by another program; it is tried again within minutes"
    )
    assert world.machine.done == []

    prepared = event(world)
    world.run(prepared)
    if prepared.name == "runner_storage_attached":  # comes before any installation
        world.run(world.ctx.on.update_status())
    assert world.machine.done[:2] == ["install 5.21/stable", "apply"]
    assert set(world.machine.done[2:]) <= {"prepare-lxd"}
    assert isinstance(world.status, ActiveStatus)


def test_each_event_leaves_a_machine_that_another_unit_has_alone(world: World, event: Any) -> None:
    world.deploy()
    world.machine.owner = "gpu/3"
    world.set(virtual_machines=5)
    world.run(event(world))
    assert world.machine.done == []
    assert world.status == BlockedStatus(
        "gpu/3 has this machine: deploy runners/0 to another machine"
    )


@pytest.mark.parametrize("name", ["stop", "remove", "storage-detaching"])
def test_a_unit_that_goes_leaves_a_machine_that_another_unit_has_alone(
    world: World, name: str
) -> None:
    world.machine.owner = "gpu/3"
    on = world.ctx.on
    last = {"stop": on.stop(), "remove": on.remove(),
            "storage-detaching": on.storage_detaching(STORAGE)}  # fmt: skip
    world.run(last[name])
    assert world.machine.done == []
    assert world.machine.owner == "gpu/3"


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("activating/start", WaitingStatus("the daemon is starting")),
        ("active/running", WaitingStatus("the daemon is starting")),
        (
            "activating/auto-restart",
            WaitingStatus(
                "the daemon has failed, and is started again; "
                "`journalctl -u github-runner-supervisor` on the machine tells more"
            ),
        ),
        (
            "failed/failed: the state directory can't be written",
            BlockedStatus(
                "the daemon has failed: the state directory can't be written; "
                "`journalctl -u github-runner-supervisor` on the machine tells more"
            ),
        ),
    ],
)
def test_a_daemon_that_does_not_answer_is_told_by_each_event(
    deployed: World, event: Any, state: str, status: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.machine.state = state
    monkeypatch.setattr(deployed.machine, "fleet", lambda: None)
    deployed.run(event(deployed))
    assert deployed.status == status


def test_each_event_tells_how_a_fleet_with_a_problem_is(deployed: World, event: Any) -> None:
    deployed.set(virtual_machines=3)
    deployed.machine.status = {
        "stages": {"idle": 1, "booting": 1},
        "problems": ["fleet: degraded: 1 of 3 runners are there"],
    }
    deployed.run(event(deployed))
    assert deployed.status == WaitingStatus(
        "1 of 3 runners online: 1 idle; 1 coming; "
        "problem: fleet: degraded: 1 of 3 runners are there"
    )


@pytest.mark.parametrize("name", ["start", "upgrade_charm"])
def test_what_lxd_must_have_is_looked_for_when_the_machine_or_the_charm_begins_anew(
    deployed: World, name: str
) -> None:
    deployed.run(getattr(deployed.ctx.on, name)())
    assert deployed.machine.done[-1] == "prepare-lxd"

    deployed.machine.failures["prepare-lxd"] = MachineError("LXD does not answer")
    deployed.run(getattr(deployed.ctx.on, name)())
    assert isinstance(deployed.status, ActiveStatus)


def test_each_event_makes_again_what_the_daemon_misses_in_lxd(deployed: World, event: Any) -> None:
    missing = "fleet: failing: could not list instances: LXD says: Project not found"
    deployed.machine.status = {"problems": [missing], "causes": ["lxd-incomplete"]}
    deployed.run(event(deployed))
    assert deployed.machine.done[-1] == "prepare-lxd"


def test_where_that_fails_the_fleet_is_told_all_the_same(deployed: World, event: Any) -> None:
    missing = "images: failing: could not list the images: LXD says: Project not found"
    deployed.machine.status = {"problems": [missing], "causes": ["lxd-incomplete"]}
    deployed.machine.failures["prepare-lxd"] = MachineError("LXD can't be made ready: no space")
    deployed.run(event(deployed))
    assert isinstance(deployed.status, ActiveStatus)
    assert deployed.status.message.startswith("1 of 1 runners online: 1 idle; problem: images:")
    assert deployed.status.message.endswith("; warning: LXD can't be made ready: no space")

    deployed.machine.status = {}
    deployed.run(event(deployed))
    assert deployed.status == ActiveStatus("1 of 1 runners online: 1 idle")


def test_a_failed_update_is_told_until_one_goes_well(deployed: World, event: Any) -> None:
    deployed.machine.update_failed = "E: no route to the archive"
    deployed.run(event(deployed))
    assert deployed.status == ActiveStatus(
        "1 of 1 runners online: 1 idle; warning: update-dependencies failed: E: no route to the "
        "archive; `juju run runners/0 update-dependencies` tries again"
    )
    deployed.machine.update_failed = ""
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.status == ActiveStatus("1 of 1 runners online: 1 idle")


def test_no_secret_is_in_juju_s_log(deployed: World, event: Any) -> None:
    deployed.machine.failures["apply"] = MachineError("no")
    deployed.run(event(deployed))
    assert not [one for one in deployed.ctx.juju_log if "ghp_secret" in one.message]
