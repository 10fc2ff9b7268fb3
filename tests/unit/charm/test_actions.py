"""The actions: carried out by the daemon, answered in words that operators know."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from charm_world import World
from fake_machine import NOT_RUNNING
from machine import MachineError, Order
from ops import testing
from ops.testing import ActionFailed

ACTIONS = yaml.safe_load((Path(__file__).parents[3] / "charm/charmcraft.yaml").read_text())[
    "actions"
]
STAGES = ("idle", "busy", "ready", "retiring", "requested", "creating", "booting", "finished",
          "failed")  # fmt: skip


def act(world: World, name: str, **params: Any) -> Any:
    world.run(world.ctx.on.action(name, params=params))
    return world.ctx.action_results


def refusal(world: World, name: str, **params: Any) -> str:
    with pytest.raises(ActionFailed) as raised:
        act(world, name, **params)
    return raised.value.message


def runner(name: str, stage: str) -> dict[str, str]:
    return {"name": name, "stage": stage}


@pytest.fixture
def fleet(deployed: World) -> World:
    """A fleet with a runner at each stage."""
    deployed.machine.runners = [runner(f"runners-0-{stage}", stage) for stage in STAGES]
    return deployed


def test_runners_are_counted_and_named(fleet: World) -> None:
    assert act(fleet, "check-runners") == {
        "online": 3,
        "unknown": 1,
        "offline": 5,
        "runners": ", ".join(sorted(f"runners-0-{stage}" for stage in STAGES)),
    }


def test_no_runners_are_counted_too(deployed: World) -> None:
    found = act(deployed, "check-runners")
    assert found == {"online": 0, "offline": 0, "unknown": 0, "runners": ""}


def test_an_update_along_a_channel_that_can_be_none_is_refused(deployed: World) -> None:
    deployed.set(lxd_channel="a b")
    assert refusal(deployed, "update-dependencies").startswith(
        "lxd-channel: must be a track, a risk"
    )
    assert deployed.machine.done == []


def test_a_reconcile_tells_what_has_changed(
    deployed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = deployed.machine.order

    def reconcile(*arguments: str, limit_s: float) -> Order:
        done = order(*arguments, limit_s=limit_s)
        if arguments[0] == "reconcile":
            deployed.machine.runners = [runner("a", "idle"), runner("b", "booting")]
        return done

    monkeypatch.setattr(deployed.machine, "order", reconcile)
    deployed.machine.runners = [runner("a", "idle")]
    assert act(deployed, "reconcile-runners") == {
        "online": 1,
        "offline": 1,
        "unknown": 0,
        "runners": "a, b",
        "delta": {"virtual-machines": 1},
    }
    assert "order reconcile --wait --timeout 20" in deployed.machine.done


def test_runners_that_are_still_on_their_way_are_no_failure(deployed: World) -> None:
    deployed.machine.orders["reconcile"] = Order(1, "", "not done within 20 s: 0 of 1 are there")
    assert act(deployed, "reconcile-runners")["delta"] == {"virtual-machines": 0}


@pytest.mark.parametrize(
    ("params", "option"),
    [
        ({}, "--all"),
        ({"whom": "idle"}, "--idle"),
        ({"whom": "all"}, "--all"),
        ({"whom": "force"}, "--force"),
    ],
)
def test_a_flush_concerns_whom_it_names(
    deployed: World, params: dict[str, str], option: str
) -> None:
    deployed.machine.orders["flush"] = Order(0, "3 runners are being replaced\n", "")
    assert act(deployed, "flush-runners", **params) == {"delta": {"virtual-machines": 3}}
    assert deployed.machine.done == [f"order flush {option}"]


def test_a_flush_of_others_is_refused(deployed: World) -> None:
    assert "whom: must be one of idle, all, force" in refusal(
        deployed, "flush-runners", whom="everybody"
    )
    assert deployed.machine.done == []


def test_an_update_is_started_and_flushes_nothing(deployed: World) -> None:
    deployed.set(lxd_channel="6/stable")
    assert act(deployed, "update-dependencies") == {"flush": "false"}
    assert deployed.machine.done == ["update 6/stable"]


def test_an_update_that_can_not_be_started_is_told(deployed: World) -> None:
    deployed.machine.failures["update"] = MachineError("systemd-run is missing")
    assert refusal(deployed, "update-dependencies") == "systemd-run is missing"


def test_the_tree_is_shown_as_the_daemon_draws_it(deployed: World) -> None:
    deployed.machine.orders["tree"] = Order(0, "root  ready\n  fleet  keeping\n", "")
    assert act(deployed, "tree") == {"tree": "root  ready\n  fleet  keeping\n"}


ORDERS = [name for name in ACTIONS if name != "update-dependencies"]


@pytest.mark.parametrize("name", ORDERS)
def test_without_a_daemon_an_action_fails_and_says_so(deployed: World, name: str) -> None:
    deployed.machine.running = False
    assert refusal(deployed, name) == (
        "the daemon does not run on this unit; `juju status` says why"
    )


@pytest.mark.parametrize("name", ACTIONS)
def test_another_unit_s_daemon_is_not_asked(deployed: World, name: str) -> None:
    deployed.machine.owner = "gpu/3"
    assert "gpu/3" in refusal(deployed, name)
    assert deployed.machine.done == []


@pytest.mark.parametrize("name", ORDERS)
def test_what_the_daemon_refuses_is_told_in_its_words(deployed: World, name: str) -> None:
    order = {"check-runners": "runners"}.get(name, name.partition("-")[0])
    deployed.machine.orders[order] = Order(4, "", "access denied:\nthe socket is for others\n")
    assert refusal(deployed, name) == "access denied: the socket is for others"


def test_a_failure_without_words_is_told_with_its_code(deployed: World) -> None:
    deployed.machine.orders["tree"] = Order(124, "", "")
    assert refusal(deployed, "tree") == "`tree` failed with code 124"


@pytest.mark.parametrize("answer", ["", "no JSON", "3", "null"])
def test_an_answer_that_is_none_is_told(deployed: World, answer: str) -> None:
    deployed.machine.orders["runners"] = Order(0, answer, "")
    assert "can't be read" in refusal(deployed, "check-runners")


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_leaves_the_status_and_the_machine_as_they_are(
    deployed: World, name: str
) -> None:
    before = testing.BlockedStatus("path: is not set")
    deployed.state = replace(deployed.state, unit_status=before)
    deployed.machine.reboot = "a kernel"
    act(deployed, name)
    assert deployed.status == before
    assert "reboot" not in deployed.machine.done
    assert "apply" not in deployed.machine.done


def test_before_the_installation_an_action_fails(world: World) -> None:
    world.machine.orders["tree"] = NOT_RUNNING
    assert "does not run" in refusal(world, "tree")


def test_juju_refuses_parameters_that_an_action_has_not() -> None:
    for action in ACTIONS.values():
        assert action["additionalProperties"] is False
        assert action["description"]
