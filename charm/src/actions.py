"""The actions: what operators ask and order by `juju run`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ops

import wording
from machine import Machine, MachineError, Order
from options import OptionsError

_ASKING_LIMIT_S = 15.0
_RECONCILE_LIMIT_S = 20.0
_NOT_RUNNING = 3
_NOT_DONE = 1
_WHOM = {"idle": "--idle", "all": "--all", "force": "--force"}


class Refused(Exception):
    """The action can't be carried out; the message says why."""


@dataclass(frozen=True)
class FlushParams:
    """Whom `flush-runners` concerns.

    Raises:
        ValueError: there are no such runners.
    """

    whom: str = "all"

    def __post_init__(self) -> None:
        if self.whom not in _WHOM:
            raise ValueError(f"whom: must be one of {', '.join(_WHOM)}")


class Actions(ops.Object):
    """Carries out the charm's actions, all of them by the daemon's own `supervisor-cli`."""

    def __init__(
        self, charm: ops.CharmBase, machine: Machine, lxd_channel: Callable[[], str]
    ) -> None:
        super().__init__(charm, "actions")
        self._unit = charm.unit.name
        self._machine = machine
        self._lxd_channel = lxd_channel
        observe = charm.framework.observe
        observe(charm.on.check_runners_action, self._on_check_runners)
        observe(charm.on.reconcile_runners_action, self._on_reconcile_runners)
        observe(charm.on.flush_runners_action, self._on_flush_runners)
        observe(charm.on.update_dependencies_action, self._on_update_dependencies)
        observe(charm.on.tree_action, self._on_tree)

    def _on_check_runners(self, event: ops.ActionEvent) -> None:
        self._answer(event, lambda: _summary(self._runners()))

    def _on_reconcile_runners(self, event: ops.ActionEvent) -> None:
        self._answer(event, self._reconcile)

    def _on_flush_runners(self, event: ops.ActionEvent) -> None:
        params = event.load_params(FlushParams, errors="fail")
        self._answer(event, lambda: self._flush(params))

    def _on_update_dependencies(self, event: ops.ActionEvent) -> None:
        self._answer(event, self._update)

    def _on_tree(self, event: ops.ActionEvent) -> None:
        self._answer(event, lambda: {"tree": self._ask("tree").out})

    def _answer(self, event: ops.ActionEvent, make: Callable[[], dict[str, Any]]) -> None:
        """Give the results, or let the action fail with one sentence."""
        try:
            # Another unit's daemon may be what answers on this machine.
            self._machine.claim(self._unit)
            event.set_results(make())
        except (Refused, MachineError, OptionsError) as error:
            event.fail(str(error))

    def _reconcile(self) -> dict[str, Any]:
        before = self._runners()
        limit = f"{_RECONCILE_LIMIT_S:g}"
        order = ("reconcile", "--wait", "--timeout", limit)
        # Not all that are wanted are there yet: no failure, the daemon goes on with them.
        self._ask(*order, limit_s=_RECONCILE_LIMIT_S + _ASKING_LIMIT_S, tolerate=_NOT_DONE)
        after = self._runners()
        return {**_summary(after), "delta": {"virtual-machines": len(after) - len(before)}}

    def _flush(self, params: FlushParams) -> dict[str, Any]:
        said = self._ask("flush", _WHOM[params.whom]).out
        number = re.match(r"\d+", said.strip())
        return {"delta": {"virtual-machines": int(number[0]) if number else 0}}

    def _update(self) -> dict[str, Any]:
        self._machine.update(lxd_channel=self._lxd_channel())
        # Runners are replaced one by one when what they are made of has changed, never flushed.
        return {"flush": "false"}

    def _runners(self) -> list[Mapping[str, Any]]:
        try:
            found = json.loads(self._ask("runners", "--json").out)
        except ValueError:
            found = None
        if not isinstance(found, list):
            raise Refused("the daemon's answer can't be read; `juju status` may say why")
        return [one for one in found if isinstance(one, Mapping)]

    def _ask(
        self, *order: str, limit_s: float = _ASKING_LIMIT_S, tolerate: int | None = None
    ) -> Order:
        done = self._machine.order(*order, limit_s=limit_s)
        if done.code in {0, tolerate}:
            return done
        if done.code == _NOT_RUNNING:
            raise Refused("the daemon does not run on this unit; `juju status` says why")
        raise Refused(" ".join(done.err.split()) or f"`{order[0]}` failed with code {done.code}")


def _summary(runners: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Count runners as github-runner, the charm, does.

    Online is who can take a job or runs one, as in the unit's status. Of one that GitHub is asked
    to let go it is not known; those that come or go otherwise are offline.
    """
    stages = wording.count(Counter(str(one.get("stage")) for one in runners))
    names = ", ".join(sorted(str(one.get("name")) for one in runners))
    return {
        "online": stages.online,
        "offline": len(runners) - stages.online - stages.retiring,
        "unknown": stages.retiring,
        "runners": names,
    }
