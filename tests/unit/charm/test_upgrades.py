"""An upgrade of the charm: what it brings, and what is told of a version that can't be used."""

from typing import Any

import pytest
from charm_world import World
from machine import MachineError, Setback, VersionRefused
from ops.testing import ActiveStatus, BlockedStatus


def test_an_upgrade_of_the_charm_upgrades_the_daemon_once(deployed: World) -> None:
    deployed.machine.brought = "1.1"
    deployed.run(deployed.ctx.on.upgrade_charm())
    deployed.run(deployed.ctx.on.config_changed())
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.machine.done == ["upgrade 5.21/stable", "prepare-lxd"]
    assert deployed.state.workload_version == "1.1"


def test_an_upgrade_takes_what_was_set_with_it_by_one_start(deployed: World) -> None:
    deployed.machine.brought = "1.1"
    deployed.set(virtual_machines=3)
    deployed.run(deployed.ctx.on.upgrade_charm())
    assert "apply" not in deployed.machine.done
    assert deployed.machine.document["virtual-machines"] == 3


def test_each_event_does_what_a_killed_upgrade_has_left(deployed: World, event: Any) -> None:
    deployed.machine.brought = "1.1"
    deployed.run(event(deployed))
    assert deployed.machine.done[0] == "upgrade 5.21/stable"
    assert deployed.state.workload_version == "1.1"


@pytest.mark.parametrize("wrong", [{"path": ""}, {"vm_memory": "much"}])
def test_options_that_are_wrong_keep_no_upgrade_back(
    deployed: World, wrong: dict[str, str]
) -> None:
    deployed.machine.brought = "1.1"
    deployed.set(**wrong)
    deployed.run(deployed.ctx.on.upgrade_charm())
    assert deployed.state.workload_version == "1.1"
    assert isinstance(deployed.status, BlockedStatus)
    assert deployed.status.message.startswith(next(iter(wrong)).replace("_", "-"))


def test_a_version_that_refuses_the_options_is_told_in_their_words_and_they_reach_the_former(
    deployed: World, event: Any
) -> None:
    deployed.machine.brought = "1.1"
    deployed.set(virtual_machines=3)
    faults = "config.yaml.new: vm-cpu: must be 4 or more; for example `vm-cpu: 4`\n"
    deployed.machine.failures["upgrade"] = VersionRefused("1.1", "1.0", faults)
    deployed.run(event(deployed))
    assert deployed.status == BlockedStatus(
        "version 1.1 can't be used: vm-cpu: must be 4 or more; `juju config runners vm-cpu=4`; "
        "1.0 stays in use; it is tried again within minutes"
    )
    assert deployed.machine.document["virtual-machines"] == 3


def test_a_version_that_does_not_come_up_is_told_and_not_tried_again_until_another_revision(
    deployed: World,
) -> None:
    deployed.machine.brought = "1.1"
    deployed.machine.stillborn = ("1.1",)
    deployed.run(deployed.ctx.on.upgrade_charm())
    deployed.set(virtual_machines=3)
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.status == BlockedStatus(
        "version 1.1 did not come up: no socket; 1.0 runs on, until `juju refresh` brings another "
        "revision; 3 of 3 runners online: 3 idle"
    )
    assert deployed.machine.done.count("upgrade 5.21/stable") == 1
    assert deployed.machine.document["virtual-machines"] == 3

    deployed.machine.brought = "1.2"
    deployed.run(deployed.ctx.on.upgrade_charm())
    assert deployed.state.workload_version == "1.2"
    assert isinstance(deployed.status, ActiveStatus)


def test_what_the_former_version_refuses_is_told_after_what_did_not_come_up(
    deployed: World,
) -> None:
    deployed.machine.set_back = Setback("1.1", "1.0", "no socket")
    deployed.machine.brought = "1.1"
    deployed.set(vm_memory="much")
    deployed.run(deployed.ctx.on.update_status())
    assert isinstance(deployed.status, BlockedStatus)
    assert deployed.status.message.startswith("version 1.1 did not come up: no socket; 1.0 runs on")
    assert "; vm-memory: must be a whole number" in deployed.status.message
    assert deployed.status.message.count("`juju ") == 2


def test_an_option_that_is_wrong_is_told_after_what_did_not_come_up(deployed: World) -> None:
    deployed.machine.set_back = Setback("1.1", "1.0", "no socket")
    deployed.machine.brought = "1.1"
    deployed.set(path="")
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.status.message.startswith("version 1.1 did not come up: no socket; 1.0 runs on")
    assert "; path: " in deployed.status.message
    assert deployed.status.message.endswith("; 1 of 1 runners online: 1 idle")


def test_after_a_setback_a_credential_that_github_refuses_is_told_with_what_mends_it(
    deployed: World,
) -> None:
    deployed.machine.set_back = Setback("1.1", "1.0", "no socket" * 90)
    deployed.machine.brought = "1.1"
    refused = "tokens: failing: GitHub answered 401: Bad credentials"
    deployed.machine.status = {
        "problems": [refused],
        "parts": {"github": {"cause": "credential-rejected"}},
    }
    deployed.run(deployed.ctx.on.update_status())
    assert "; GitHub refuses the credential (401)" in deployed.status.message
    assert "`juju config runners token-secret-id=SECRET`" in deployed.status.message
    assert "`juju refresh`" in deployed.status.message


def test_a_former_version_that_does_not_answer_is_not_said_to_run_on(deployed: World) -> None:
    deployed.machine.set_back = Setback("1.1", "1.0", "no socket")
    deployed.machine.brought = "1.1"
    deployed.machine.state = "failed/failed: no port"
    deployed.machine.running = False
    deployed.set(path="")
    deployed.run(deployed.ctx.on.update_status())
    assert "; 1.0 is put back, until `juju refresh`" in deployed.status.message
    assert "the daemon has failed: no port" in deployed.status.message


def test_an_upgrade_that_failed_is_tried_again_and_told_until_it_succeeds(
    deployed: World,
) -> None:
    deployed.machine.failures["upgrade"] = MachineError("1.1 does not start, 1.0 goes on")
    deployed.run(deployed.ctx.on.upgrade_charm())
    assert deployed.status == BlockedStatus(
        "1.1 does not start, 1.0 goes on; it is tried again within minutes"
    )

    deployed.run(deployed.ctx.on.update_status())
    assert deployed.machine.done == ["prepare-lxd", "upgrade 5.21/stable"]
    assert isinstance(deployed.status, ActiveStatus)


def test_an_upgrade_that_comes_before_an_installation_has_succeeded_installs(world: World) -> None:
    world.machine.failures["install"] = MachineError("no network")
    world.run(world.ctx.on.install())
    world.run(world.ctx.on.upgrade_charm())
    assert world.machine.done == ["install 5.21/stable", "apply", "prepare-lxd"]
