"""When a machine that is due is rebooted."""

from typing import Any

import pytest
from charm_world import Rebooted, World
from ops.testing import ActiveStatus, MaintenanceStatus


def test_a_machine_is_rebooted_right_after_the_installation_and_goes_on_then(
    world: World,
) -> None:
    world.machine.reboot = "kernel 6.8 is installed, 6.5 is running"
    with pytest.raises(Rebooted):
        world.run(world.ctx.on.install())
    assert world.machine.done == ["install 5.21/stable", "reboot"]
    assert world.ctx.unit_status_history[-1] == MaintenanceStatus("installing LXD")

    world.machine.done.clear()
    world.run(world.ctx.on.install())  # Juju runs it again
    assert world.machine.done == ["install 5.21/stable", "apply"]


def test_each_event_reboots_a_machine_that_is_due(deployed: World, event: Any) -> None:
    deployed.machine.reboot = "a reboot is needed, and no runner is there"
    with pytest.raises(Rebooted):
        deployed.run(event(deployed))
    assert deployed.machine.done[-1] == "reboot"

    deployed.run(event(deployed))
    assert isinstance(deployed.status, ActiveStatus)


def test_no_reboot_is_made_while_the_configuration_is_refused(deployed: World) -> None:
    deployed.machine.reboot = "a reboot is needed"
    deployed.set(path="")
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.machine.done == []
