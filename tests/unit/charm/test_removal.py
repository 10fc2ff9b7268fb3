"""A unit that is stopped drains, and one that is removed takes all with it."""

import logging

import pytest
from charm_world import World
from ops import testing


def test_a_unit_that_is_stopped_drains_within_limits(
    deployed: World, caplog: pytest.LogCaptureFixture
) -> None:
    deployed.machine.left_by_drain = "1 is left: 1 busy"
    with caplog.at_level(logging.WARNING):
        deployed.run(deployed.ctx.on.stop())
    assert deployed.machine.done == ["drain"]
    assert any("1 is left: 1 busy" in one.message for one in deployed.ctx.juju_log)


def test_a_unit_that_is_removed_takes_all_with_it(deployed: World) -> None:
    deployed.run(deployed.ctx.on.stop())
    deployed.run(deployed.ctx.on.remove())
    assert deployed.machine.done == ["drain", "remove"]
    assert deployed.machine.owner == ""


def test_what_is_left_after_a_removal_makes_juju_try_again(deployed: World) -> None:
    deployed.machine.left = ["2 instances: LXD does not answer"]
    with pytest.raises(testing.errors.UncaughtCharmError) as raised:
        deployed.run(deployed.ctx.on.remove())
    assert "2 instances: LXD does not answer" in str(raised.value.__cause__)

    deployed.machine.left = []
    deployed.run(deployed.ctx.on.remove())
    assert deployed.machine.owner == ""
