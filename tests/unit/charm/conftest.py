"""The charm as Scenario runs it, on a machine that is none."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import ops
import pytest
import yaml
from charm_world import CONFIG, EVENTS, STORAGE, Rebooted, World
from fake_machine import FakeMachine
from ops import testing

import charm

# Scenario writes this anew for each event, so what only people read is left out.
_CHARMCRAFT = yaml.safe_load((Path(__file__).parents[3] / "charm/charmcraft.yaml").read_text())
SPECIFICATION = {
    "meta": {key: _CHARMCRAFT[key] for key in ("name", "storage", "requires", "provides")},
    "config": {
        "options": {
            name: {key: value for key, value in option.items() if key != "description"}
            for name, option in _CHARMCRAFT["config"]["options"].items()
        }
    },
    "actions": _CHARMCRAFT["actions"],
}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A unit before its deployment, with options that suffice."""
    for name in ("HTTP", "HTTPS", "NO"):
        monkeypatch.delenv(f"JUJU_CHARM_{name}_PROXY", raising=False)
    machine = FakeMachine()
    world = World(
        testing.Context(charm.GitHubRunnerSupervisorCharm, app_name="runners", **SPECIFICATION),
        machine,
        testing.State(config=CONFIG, storages=[STORAGE]),
    )

    def found(payload: Path, units: Path, *, proxies: dict[str, str]) -> FakeMachine:
        assert (payload.name, units.name) == ("payload", "systemd")
        machine.installs_through = proxies
        return machine

    def provide(_: ops.CharmBase) -> None:
        world.provided += 1

    def reboot(_: ops.Unit, now: bool = False) -> None:
        assert now
        machine.done.append("reboot")
        raise Rebooted

    monkeypatch.setattr(charm, "Machine", found)
    monkeypatch.setattr(charm.cos, "provide", provide)
    monkeypatch.setattr(charm.debug_ssh, "servers", lambda model: world.debug_servers)
    monkeypatch.setattr(ops.Unit, "reboot", reboot)
    return world


@pytest.fixture(scope="session")
def once() -> dict[str, Any]:
    """What was made once for all tests."""
    return {}


@pytest.fixture
def deployed(world: World, once: dict[str, Any]) -> World:
    """A unit whose fleet is well."""
    if not once:
        world.deploy()
        once |= {"state": world.state, "machine": deepcopy(vars(world.machine))}
    world.state = once["state"]
    vars(world.machine).update(deepcopy(once["machine"]))
    return world


@pytest.fixture(params=EVENTS)
def event(request: pytest.FixtureRequest) -> Callable[[World], Any]:
    """Each of these events in turn."""
    return EVENTS[request.param]
