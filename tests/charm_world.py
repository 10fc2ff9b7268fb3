"""The charm as Scenario runs it, on a machine that is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import ops
from fake_machine import FakeMachine
from ops import testing

STORAGE = testing.Storage("runner")
CONFIG = {"path": "acme", "token": "ghp_secret"}


class Rebooted(BaseException):
    """The machine goes down, and the hook with it."""


class Killed(BaseException):
    """The hook's process ends in the middle."""


@dataclass
class World:
    """The charm's surroundings, and the state that it has left behind.

    Attributes:
        ctx: of Scenario.
        machine: that the charm believes to be on.
        state: before the next event.
        debug_servers: what the relation `debug-ssh` gives.
        provided: how often COS was told.
    """

    ctx: testing.Context
    machine: FakeMachine
    state: testing.State
    debug_servers: list[dict[str, Any]] = field(default_factory=list)
    provided: int = 0

    def set(self, **config: Any) -> None:
        """Set options; None unsets."""
        merged = {**self.state.config, **{k.replace("_", "-"): v for k, v in config.items()}}
        given = {name: value for name, value in merged.items() if value is not None}
        self.state = replace(self.state, config=given)

    def run(self, event: Any) -> testing.State:
        """Run an event, and keep what it leaves behind."""
        self.state = self.ctx.run(event, self.state)
        return self.state

    def add(self, secret: testing.Secret) -> str:
        """Add a secret, and give its address."""
        others = [one for one in self.state.secrets if one.id != secret.id]
        self.state = replace(self.state, secrets=[*others, secret])
        return secret.id

    def deploy(self) -> testing.State:
        """Run the events of a deployment."""
        for event in (
            self.ctx.on.storage_attached(STORAGE),
            self.ctx.on.install(),
            self.ctx.on.config_changed(),
            self.ctx.on.start(),
        ):
            self.run(event)
        self.machine.done.clear()
        return self.state

    @property
    def status(self) -> ops.StatusBase:
        return self.state.unit_status


def _secret_changed(world: World) -> Any:
    secret = testing.Secret({"github-token": "ghp_other"}, id="secret:unused")
    world.add(secret)
    return world.ctx.on.secret_changed(secret)


def _of_relation(name: str, endpoint: str) -> Callable[[World], Any]:
    def event(world: World) -> Any:
        relation = testing.Relation(endpoint, id=7)
        others = [one for one in world.state.relations if one.id != relation.id]
        world.state = replace(world.state, relations=[*others, relation])
        return getattr(world.ctx.on, f"relation_{name}")(relation)

    return event


def _plain(name: str) -> Callable[[World], Any]:
    return lambda world: getattr(world.ctx.on, name)()


EVENTS: dict[str, Callable[[World], Any]] = {
    "install": _plain("install"),
    "storage-attached": lambda world: world.ctx.on.storage_attached(STORAGE),
    "config-changed": _plain("config_changed"),
    "upgrade-charm": _plain("upgrade_charm"),
    "start": _plain("start"),
    "update-status": _plain("update_status"),
    "secret-changed": _secret_changed,
    "debug-ssh-relation-changed": _of_relation("changed", "debug-ssh"),
    "debug-ssh-relation-departed": _of_relation("departed", "debug-ssh"),
    "debug-ssh-relation-broken": _of_relation("broken", "debug-ssh"),
    "cos-agent-relation-created": _of_relation("created", "cos-agent"),
    "cos-agent-relation-joined": _of_relation("joined", "cos-agent"),
    "cos-agent-relation-changed": _of_relation("changed", "cos-agent"),
}
"""All that lead to the same: the machine is brought to the wanted state."""
