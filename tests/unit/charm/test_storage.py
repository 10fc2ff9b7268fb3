"""Where runners' disks are: Juju's storage, which may be missing, go, and come back."""

from typing import Any

import pytest
from charm_world import STORAGE, World
from ops import testing
from ops.testing import ActiveStatus, BlockedStatus


@pytest.mark.parametrize("storage", ["memory", "pool"])
def test_where_runners_disks_are_can_not_be_changed(world: World, storage: str) -> None:
    world.deploy()
    world.set(runner_storage=storage, virtual_machines=2)
    world.run(world.ctx.on.config_changed())
    assert world.status == BlockedStatus(
        "runner-storage: is juju-storage since the deployment, and can't be changed; `juju config "
        "runners runner-storage=juju-storage`, or deploy another application; the daemon keeps "
        "its last good configuration"
    )
    assert world.machine.document["runner-storage"] == "juju-storage"

    world.set(runner_storage="juju-storage")
    world.run(world.ctx.on.config_changed())
    assert world.machine.document["virtual-machines"] == 2


def test_where_runners_disks_are_can_be_changed_until_the_daemon_is_configured(
    world: World,
) -> None:
    world.set(path=None)
    world.deploy()
    world.set(path="acme", runner_storage="memory")
    world.run(world.ctx.on.config_changed())
    assert world.machine.document["runner-storage"] == "memory"
    assert isinstance(world.status, ActiveStatus)


def test_without_its_storage_nothing_is_installed(world: World, event: Any) -> None:
    world.state = testing.State(config=world.state.config)
    prepared = event(world)
    if prepared.name == "runner_storage_attached":
        return  # with it, it is there
    world.run(prepared)
    assert world.machine.done == []
    assert world.status == BlockedStatus(
        "runner-storage: the storage `runner` is not attached; `juju add-storage runners/0 runner`"
    )


def test_where_disks_are_elsewhere_no_storage_is_missed(world: World) -> None:
    world.state = testing.State(config={**world.state.config, "runner-storage": "pool"})
    world.run(world.ctx.on.install())
    assert isinstance(world.status, ActiveStatus)


def test_a_unit_leaves_its_storage_before_that_goes_and_does_not_come_back(
    deployed: World,
) -> None:
    deployed.run(deployed.ctx.on.storage_detaching(STORAGE))
    assert deployed.machine.done == ["drain", "remove"]

    deployed.state = testing.State(
        config=deployed.state.config, stored_states=deployed.state.stored_states
    )
    for event in ("update_status", "config_changed", "stop", "remove"):
        deployed.run(getattr(deployed.ctx.on, event)())
    assert "install 5.21/stable" not in deployed.machine.done
    assert not deployed.machine.running
    assert deployed.machine.owner == ""


def test_a_unit_whose_storage_comes_back_is_installed_anew(deployed: World) -> None:
    deployed.run(deployed.ctx.on.storage_detaching(STORAGE))
    deployed.machine.done.clear()
    deployed.run(deployed.ctx.on.storage_attached(STORAGE))
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.machine.done == ["install 5.21/stable", "apply"]
    assert isinstance(deployed.status, ActiveStatus)


@pytest.mark.parametrize("storage", ["memory", "pool"])
def test_a_storage_that_is_not_used_is_let_go_without_a_word(world: World, storage: str) -> None:
    world.set(runner_storage=storage)
    world.deploy()
    world.run(world.ctx.on.storage_detaching(STORAGE))
    assert world.machine.done == []
    assert world.machine.running
