"""A machine that the charm can do everything to, and that remembers it from event to event."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from machine import Applied, ConfigRefused, Fleet, MachineError, Order, Setback, Wanted

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
        stillborn: versions that do not come up.
        document: the configuration in force.
        installs_through: the proxies that packages come through.
        status: what the daemon says of its fleet, over what it says when all is well.
        completed: how often it was to do what a killed hook had left half done.
        reboot: what a reboot is needed for.
        done: what has been done to it, but for what only looks.
        failures: the next call of the method of that name raises it.
    """

    owner: str = ""
    environment: str = ""
    brought: str = "1.0"
    stillborn: tuple[str, ...] = ()
    set_back: Setback | None = None
    update_failed: str = ""
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
    completed: int = 0
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
        self.environment = self.environment or self.brought

    def is_outdated(self) -> bool:
        set_back = self.set_back and self.set_back.version == self.brought
        return self.environment != self.brought and not set_back

    def upgrade(
        self,
        *,
        lxd_channel: str,
        wanted: Wanted | None,
        environment: Mapping[str, str],
        progress: Callable[[str], None],
    ) -> None:
        progress("upgrading")
        self._do("upgrade", lxd_channel)
        former, self.set_back = self.environment, None
        if self.brought in self.stillborn:
            self.set_back = Setback(self.brought, former, "no socket")
            return
        self.environment = self.brought
        if wanted is not None and self._takes(wanted):
            self._take(wanted, environment)

    def complete(self) -> None:
        self.completed += 1
        self._fail("complete")

    def setback(self) -> Setback | None:
        return self.set_back

    def apply(self, wanted: Wanted, *, environment: Mapping[str, str]) -> Applied:
        assert self.environment, "the daemon is configured before it is installed"
        self._fail("apply")
        self._check(wanted.document)
        before = (self.document, self.credentials, self.proxies, self.script)
        if self.running and before == _given(wanted, environment):
            return Applied(changed=False, restarted=False)
        restarted = self.running and self.credentials != dict(wanted.credentials)
        self._take(wanted, environment)
        self.done.append("apply")
        return Applied(changed=True, restarted=restarted)

    def prepare_lxd(self, *, environment: Mapping[str, str]) -> None:
        assert dict(environment) == self.proxies
        self._do("prepare-lxd")

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

    def update_fault(self) -> str:
        return self.update_failed

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

    def _take(self, wanted: Wanted, environment: Mapping[str, str]) -> None:
        given = _given(wanted, environment)
        self.document, self.credentials, self.proxies, self.script = given
        self.running = True

    def _takes(self, wanted: Wanted) -> bool:
        try:
            self._check(wanted.document)
        except ConfigRefused:
            return False
        return True

    def _check(self, document: Mapping[str, Any]) -> None:
        try:
            parse(with_directory(document), CANDIDATE)
        except ConfigError as error:
            raise ConfigRefused(str(error)) from error


def _given(
    wanted: Wanted, environment: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str], dict[str, str], str]:
    document, credentials = dict(wanted.document), dict(wanted.credentials)
    return document, credentials, dict(environment), wanted.image_script


def with_directory(document: Any) -> Any:
    """Put the directory of credentials in place of its variable, as the daemon does."""
    if isinstance(document, Mapping):
        return {key: with_directory(value) for key, value in document.items()}
    if isinstance(document, str):
        return document.replace("$CREDENTIALS_DIRECTORY", CREDENTIALS)
    return document
