"""A machine that the charm can do everything to, and that remembers it from event to event."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from machine import Applied, ConfigRefused, Fleet, MachineError, Order

from supervisor.config import ConfigError, parse

CANDIDATE = "/etc/github-runner-supervisor/config.yaml.new"
CREDENTIALS = "/etc/github-runner-supervisor/credentials"

NOT_RUNNING = Order(3, "", "no daemon is running")


@dataclass
class FakeMachine:
    """Takes the place of `machine.Machine`, and judges configurations as the daemon does.

    Attributes:
        owner: which unit has claimed it.
        environment: the version of the daemon that is installed; empty without one.
        brought: the version that the charm has with it.
        document: the configuration in force.
        installs_through: the proxies that packages come through.
        status: what the daemon says of its fleet, over what it says when all is well.
        reboot: what a reboot is needed for.
        done: what has been done to it, but for what only looks.
        failures: the next call of the method of that name raises it.
    """

    owner: str = ""
    environment: str = ""
    brought: str = "1.0"
    running: bool = False
    document: dict[str, Any] | None = None
    credentials: dict[str, str] = field(default_factory=dict)
    proxies: dict[str, str] = field(default_factory=dict)
    installs_through: dict[str, str] = field(default_factory=dict)
    script: str = ""
    status: dict[str, Any] = field(default_factory=dict)
    state: str = "inactive/dead"
    reboot: str = ""
    left: list[str] = field(default_factory=list)
    left_by_drain: str = ""
    orders: dict[str, Order] = field(default_factory=dict)
    runners: list[dict[str, Any]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)

    def claim(self, unit: str) -> None:
        self._fail("claim")
        if self.owner not in {"", unit}:
            raise MachineError(f"{self.owner} has this machine: deploy {unit} to another machine")
        self.owner = unit

    def install(self, *, lxd_channel: str, progress: Callable[[str], None]) -> None:
        progress("installing LXD")
        self._do("install", lxd_channel)
        self.environment = self.brought

    def upgrade(self, *, lxd_channel: str, progress: Callable[[str], None]) -> None:
        progress("upgrading")
        self._do("upgrade", lxd_channel)
        self.environment = self.brought

    def apply(
        self,
        document: Mapping[str, Any],
        credentials: Mapping[str, str],
        *,
        environment: Mapping[str, str],
        image_script: str = "",
    ) -> Applied:
        assert self.environment, "the daemon is configured before it is installed"
        self._fail("apply")
        self._check(document)
        given = (dict(document), dict(credentials), dict(environment), image_script)
        if self.running and given == (
            self.document, self.credentials, self.proxies, self.script
        ):  # fmt: skip
            return Applied(changed=False, restarted=False)
        restarted = self.running and self.credentials != dict(credentials)
        self.document, self.credentials, self.proxies, self.script = given
        self.running = True
        self.done.append("apply")
        return Applied(changed=True, restarted=restarted)

    def fleet(self) -> Fleet | None:
        if not self.running or self.document is None:
            return None
        wanted = self.document["virtual-machines"]
        well = {
            "wanted": wanted,
            "present": wanted,
            "draining_since": None,
            "stages": {"idle": wanted} if wanted else {},
            "problems": [],
            "warnings": [],
        }
        return Fleet({**well, **self.status}, {"reboot": {"when": "no", "reason": ""}})

    def unit_state(self) -> str:
        return self.state

    def order(self, *arguments: str, limit_s: float) -> Order:
        assert 0 < limit_s <= 60
        self.done.append(f"order {' '.join(arguments)}")
        if not self.running:
            return NOT_RUNNING
        shown = {"runners": Order(0, json.dumps(self.runners), "")}
        return {**shown, **self.orders}.get(arguments[0], Order(0, "", ""))

    def reboot_due(self, fleet: Fleet | None) -> str:
        reason, self.reboot = self.reboot, ""
        return reason

    def update(self, *, lxd_channel: str) -> None:
        self._do("update", lxd_channel)

    def drain(self, *, limit_s: float) -> str:
        assert limit_s <= 60
        self._do("drain")
        return self.left_by_drain

    def remove(self) -> list[str]:
        self._do("remove")
        if not self.left:
            self.owner, self.environment, self.running, self.document = "", "", False, None
        return self.left

    def version(self) -> str:
        return self.environment

    def _do(self, *words: str) -> None:
        self._fail(words[0])
        self.done.append(" ".join(words))

    def _fail(self, method: str) -> None:
        if error := self.failures.pop(method, None):
            raise error

    def _check(self, document: Mapping[str, Any]) -> None:
        try:
            parse(with_directory(document), CANDIDATE)
        except ConfigError as error:
            raise ConfigRefused(str(error)) from error


def with_directory(document: Any) -> Any:
    """Put the directory of credentials in place of its variable, as the daemon does."""
    if isinstance(document, Mapping):
        return {key: with_directory(value) for key, value in document.items()}
    if isinstance(document, str):
        return document.replace("$CREDENTIALS_DIRECTORY", CREDENTIALS)
    return document
