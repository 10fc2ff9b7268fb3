"""A wrong option is told, and keeps back nothing else."""

from typing import Any

import pytest
from charm_world import World
from machine import MachineError
from ops.testing import ActiveStatus, BlockedStatus


def test_a_wrong_option_is_told_by_each_event_until_it_is_mended(
    deployed: World, event: Any
) -> None:
    before = deployed.machine.document
    deployed.set(vm_memory="much")
    for _ in range(2):
        deployed.run(event(deployed))
        assert deployed.status == BlockedStatus(
            "vm-memory: must be a whole number and a unit: KiB, MiB, GiB, TiB, PiB or EiB; "
            "`juju config runners vm-memory=7GiB`; the daemon keeps its last good configuration"
        )
        assert deployed.machine.document == before

    deployed.set(vm_memory="8GiB")
    deployed.run(event(deployed))
    assert isinstance(deployed.status, ActiveStatus)
    assert deployed.machine.document["vm-memory"] == "8GiB"


def test_a_wrong_option_at_the_deployment_says_nothing_of_a_last_good_one(world: World) -> None:
    world.set(path=None)
    world.deploy()
    assert world.status == BlockedStatus(
        "path: is not set; `juju config runners path=ORGANISATION`, or OWNER/REPOSITORY"
    )
    assert world.machine.environment == "1.0"
    assert not world.machine.running


@pytest.mark.parametrize("wrong", [{"path": ""}, {"lxd_channel": "5.21/unstable"}])
def test_options_that_are_wrong_keep_nothing_half_done(
    deployed: World, wrong: dict[str, str], event: Any
) -> None:
    deployed.set(**wrong)
    deployed.run(event(deployed))
    assert deployed.machine.completed == 1
    assert isinstance(deployed.status, BlockedStatus)


def test_a_daemon_that_is_down_is_told_beside_the_wrong_option(deployed: World) -> None:
    deployed.machine.running, deployed.machine.state = False, "failed/failed: no port"
    deployed.set(path="")
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.status.message.startswith("path: ")
    assert "; the daemon has failed: no port" in deployed.status.message


def test_of_a_daemon_that_was_never_configured_only_the_wrong_option_is_told(
    world: World,
) -> None:
    world.set(path="")
    world.run(world.ctx.on.install())
    assert world.status.message.startswith("path: ")
    assert "daemon" not in world.status.message


def test_what_can_not_be_completed_is_logged_and_the_wrong_option_is_told(
    deployed: World, caplog: pytest.LogCaptureFixture
) -> None:
    deployed.machine.failures["complete"] = MachineError("the daemon can't start: no port")
    deployed.set(path="")
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.status.message.startswith("path: ")
    assert "the daemon can't start: no port" in caplog.text


def test_a_channel_that_can_be_none_is_told_and_nothing_is_installed(world: World) -> None:
    world.set(lxd_channel="5.21/unstable")
    world.run(world.ctx.on.install())
    assert world.machine.done == []
    assert world.status == BlockedStatus(
        "lxd-channel: must be a track, a risk (stable, candidate, beta or edge) or both of the "
        "snap lxd, such as 5.21/stable; "
        "`juju config runners lxd-channel=5.21/stable`"
    )
