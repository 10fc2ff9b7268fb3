"""A unit of the packed charm on a whole machine, with an emulated Juju."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import charm_hooks

if TYPE_CHECKING:
    from whole_machine import Machine

UNIT = "runners/0"
STORAGE = "/storage/juju"
_JUJU = "/var/lib/juju"
_DIRECTORY = f"{_JUJU}/agents"
_MEDIUM = f"{_JUJU}/storage"
_TABLE = "/etc/fstab"
_HOOKS_LIMIT_S = 240.0
"""For one of them; they are killed before, by the emulator."""


class MachineUnit:
    """What an operator and Juju's agent do, on the machine itself; answers are the emulator's."""

    def __init__(self, machine: Machine, charm: Path) -> None:
        self._machine = machine
        machine.push(Path(charm_hooks.__file__).parent, f"{_JUJU}/charm_hooks")
        machine.push(charm, f"{_JUJU}/charms/first.charm")
        self._tool("deploy", f"{_JUJU}/charms/first.charm", UNIT)

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the emulator's unit."""
        return self._tool("call", method, json.dumps(arguments), json.dumps(options))

    def hook(self, event: str, method: str = "dispatch", *arguments: Any) -> dict[str, Any]:
        """Run a hook, which must not fail; return what came of it."""
        run: dict[str, Any] = self.call(method, event, *arguments)
        said = "\n".join(line for level, line in run["log"] if level != "DEBUG")
        assert run["code"] == 0, f"{event}: {run['output']}{said}"
        return run

    def attach_storage(self) -> str:
        """Attach the storage, a file system, as Juju does before it installs."""
        self._machine.run("mkdir", "-p", STORAGE, _MEDIUM)
        # Juju writes this line, too, so that it is mounted before the daemon starts.
        table = self._machine.read(_TABLE)
        self._machine.write(_TABLE, f"{table}{_MEDIUM} {STORAGE} none bind 0 0\n")
        self._machine.run("mount", STORAGE)
        storage: str = self.call("attach_storage", "runner", STORAGE)
        self.hook(storage, "storage_event", "attached")
        return storage

    def detach_storage(self, storage: str) -> None:
        """Take the storage away, after its event: nobody may use it any more."""
        self._machine.run("umount", STORAGE)
        lines = self._machine.read(_TABLE).splitlines(keepends=True)
        self._machine.write(_TABLE, "".join(line for line in lines if _MEDIUM not in line))
        self._machine.run("rmdir", "--parents", STORAGE, check=False)
        self.call("detach_storage", storage)

    def configure(self, **values: object) -> dict[str, Any]:
        """Set options (names with underscores), and run the hook that follows."""
        self.call("set_config", {name.replace("_", "-"): value for name, value in values.items()})
        return self.hook("config-changed")

    def act(self, action: str, **parameters: Any) -> dict[str, Any]:
        """Run an action; return what came of it."""
        run: dict[str, Any] = self.call("run_action", action, parameters)
        return run

    def upgrade(self, charm: Path) -> dict[str, Any]:
        """Put another revision in place and run its hook."""
        self._machine.push(charm, f"{_JUJU}/charms/{charm.name}")
        self.call("upgrade", f"{_JUJU}/charms/{charm.name}")
        return self.hook("upgrade-charm")

    @property
    def model(self) -> dict[str, Any]:
        """All that Juju knows."""
        found: dict[str, Any] = self._tool("show")
        return found

    @property
    def status(self) -> tuple[str, str]:
        """What `juju status` shows of the unit."""
        word, message = self.model["status"]["unit"]
        return word, message

    def _tool(self, *words: str) -> Any:
        said = self._machine.run(
            *("python3", "-m", "charm_hooks", f"{_DIRECTORY}/{UNIT.replace('/', '-')}", *words),
            environment={"PYTHONPATH": _JUJU},
            limit_s=_HOOKS_LIMIT_S,
        )
        return json.loads(said)
