"""What LXD does to instances over time: operations, guests and events, in LXD's order."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox.lxd_emulator import commands, instances
from sandbox.lxd_emulator.clock import now
from sandbox.lxd_emulator.commands import Command
from sandbox.lxd_emulator.config_keys import is_true
from sandbox.lxd_emulator.errors import LxdError
from sandbox.lxd_emulator.model import FROZEN, RUNNING, STOPPED, Instance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sandbox.lxd_emulator.events import EventHub
    from sandbox.lxd_emulator.guests import Guests
    from sandbox.lxd_emulator.instances import Admission
    from sandbox.lxd_emulator.operations import Operation, Operations
    from sandbox.lxd_emulator.state import Key, ServerState

    Afterwards = Callable[[], None] | None

_UNPACKED = {
    "create_instance_from_image_unpack_progress": "Unpack: 100% (1.00GB/s)",
    "progress": {
        "percent": "100",
        "speed": "1000000000",
        "stage": "create_instance_from_image_unpack",
    },
}


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long LXD takes, in seconds; the real one's with tiny containers on two cores.

    `ping_s` is from one sign of life on an event stream to the next. `Timing.none()` is for tests
    of scale.
    """

    create_s: float = 0.13
    start_s: float = 0.3
    stop_s: float = 0.1
    delete_s: float = 0.03
    ping_s: float = 10

    @classmethod
    def none(cls) -> Timing:
        """Return a timing in which everything happens at once."""
        return cls(create_s=0, start_s=0, stop_s=0, delete_s=0)


class Machines:
    """Instances that come, run and go. Belongs to the emulator's event loop."""

    def __init__(
        self, state: ServerState, operations: Operations, events: EventHub, timing: Timing
    ) -> None:
        self.state = state
        self.timing = timing
        self.guests: Guests
        self._operations = operations
        self._events = events
        self._starting: dict[Key, asyncio.Event] = {}
        self._up = True

    # What clients ask for

    def create(self, admission: Admission) -> Operation:
        """Make an instance."""
        wanted = admission.instance
        return self._operation(
            "Creating instance",
            wanted,
            partial(self._create, admission),
            containers=wanted.type == "container",
        )

    def change_state(self, instance: Instance, order: Mapping[str, Any]) -> Operation:
        """Start, stop, restart, freeze or unfreeze an instance.

        Raises:
            LxdError: There is no such action.
        """
        action = order.get("action", "")
        key = (instance.project, instance.name)
        force = bool(order.get("force"))
        limit_s = _limit(order.get("timeout"))
        works: dict[str, tuple[str, Callable[[Operation], Awaitable[Afterwards]]]] = {
            "start": ("Starting instance", partial(self._start, key)),
            "stop": ("Stopping instance", partial(self._stop, key, force, limit_s)),
            "restart": ("Restarting instance", partial(self._restart, key, force, limit_s)),
            "freeze": ("Freezing instance", partial(self._freeze, key, FROZEN)),
            "unfreeze": ("Unfreezing instance", partial(self._freeze, key, RUNNING)),
        }
        if action not in works:
            raise LxdError(400, f"Unknown action: '{action}'")
        description, work = works[action]
        return self._operation(description, instance, work)

    def delete(self, instance: Instance) -> Operation:
        """Delete an instance.

        Raises:
            LxdError: It runs.
        """
        if instance.status != STOPPED:
            raise LxdError(400, "Instance is running")
        return self._operation(
            "Deleting instance", instance, partial(self._delete, instance), containers=True
        )

    def replace_config(self, instance: Instance, body: Mapping[str, Any]) -> Operation:
        """Give an instance another configuration (PUT)."""
        return self._operation(
            "Updating instance", instance, partial(self._update, instance, body), containers=True
        )

    def patch_config(self, instance: Instance, body: Mapping[str, Any]) -> None:
        """Change parts of an instance's configuration at once (PATCH).

        Raises:
            LxdError: The change is refused.
        """
        self.state.put(instances.change(self.state, instance, body, whole=False))
        self._tell("instance-updated", instance)

    def execute(self, instance: Instance, body: Mapping[str, Any]) -> Operation:
        """Run a command in an instance's guest.

        Raises:
            LxdError: The instance does not run, or the request is refused.
        """
        commands.check(body)
        if instance.status != RUNNING:
            raise LxdError(400, "Instance is not running")
        command = Command(body)
        return self._operation(
            "Executing command",
            instance,
            partial(self._execute, instance, command),
            containers=True,
            command=command,
        )

    # What guests do

    def guest_ended(self, key: Key) -> None:
        """Note that a guest has powered itself off or died."""
        instance = self.state.instances.get(key)
        # A daemon that is down sees nothing; what it is stopping itself needs no notice.
        if self._up and instance is not None and instance.busy not in {"stop", "restart"}:
            self._shut_down(instance)

    # The daemon's own life

    def go_down(self) -> None:
        """Stop noticing what guests do."""
        self._up = False

    def come_up(self) -> None:
        """Take over what goes on, and start what died meanwhile, unless it isn't to be started."""
        self._up = True
        self._starting.clear()
        for instance in list(self.state.instances.values()):
            idle = replace(instance, busy="")
            self.state.put(idle)
            key = (instance.project, instance.name)
            if instance.status == STOPPED or self.guests.is_alive(key):
                continue
            config, _ = instances.expanded(self.state, instance)
            if config.get("boot.autostart") and not is_true(config["boot.autostart"]):
                self.state.put(replace(idle, status=STOPPED))
                continue
            self.state.put(replace(idle, status=STOPPED))
            self._operation("Starting instance", idle, partial(self._start, key))

    # How each is done

    async def _create(self, admission: Admission, operation: Operation) -> Afterwards:
        made = instances.record(self.state, admission, now())
        _, devices = instances.expanded(self.state, made)
        pool = next(d["pool"] for d in devices.values() if d.get("path") == "/")
        self._tell("instance-created", made, context={"storage-pool": pool, "type": made.type})
        if admission.image is not None:
            self._operations.progress(operation, _UNPACKED)
        await asyncio.sleep(self.timing.create_s)
        self.state.put(replace(self.state.instance(made.project, made.name), busy=""))
        return None

    async def _start(self, key: Key, _operation: Operation) -> Afterwards:
        starting = self._starting.get(key)
        if starting is not None:
            # LXD lets a second start wait for the first and calls it a success.
            await starting.wait()
            return None
        self.state.put(instances.begin(self.state.instance(*key), "start"))
        self._starting[key] = starting = asyncio.Event()
        try:
            await asyncio.sleep(self.timing.start_s)
            self._boot(key)
        finally:
            self._starting.pop(key, None)
            starting.set()
        self._tell("instance-started", self.state.instance(*key), requested=True)
        return None

    async def _stop(
        self, key: Key, force: bool, limit_s: float | None, _operation: Operation
    ) -> Afterwards:
        instance = self._begin_stop(key)
        await self._end_guest(instance, force=force, limit_s=limit_s)
        instance = instances.stopped(self.state.instance(*key))
        if instance.ephemeral:
            # So does LXD: deleted comes before the success, stopped after it.
            self._remove(instance)
        else:
            self.state.put(instance)
        return partial(self._tell, "instance-stopped", instance, requested=True)

    async def _restart(
        self, key: Key, force: bool, limit_s: float | None, _operation: Operation
    ) -> Afterwards:
        instance = self._begin_stop(key)
        await self._end_guest(instance, force=force, limit_s=limit_s)
        self.state.put(instances.stopped(self.state.instance(*key)))
        if instance.ephemeral:
            # LXD tells the stop that is half of a restart of ephemeral instances only.
            self._tell("instance-stopped", instance, requested=True)
        self.state.put(instances.begin(self.state.instance(*key), "start"))
        await asyncio.sleep(self.timing.start_s)
        self._boot(key)
        return partial(self._tell, "instance-restarted", instance, requested=True)

    def _begin_stop(self, key: Key) -> Instance:
        instance = self.state.instances.get(key)
        if instance is None or instance.busy == "stop":
            # Another stop was faster.
            raise LxdError(400, "The instance is already stopped")
        instance = instances.begin(instance, "stop")
        self.state.put(instance)
        return instance

    async def _end_guest(self, instance: Instance, *, force: bool, limit_s: float | None) -> None:
        key = (instance.project, instance.name)
        if not force and not await self._shut_down_in_time(key, limit_s):
            self.state.put(replace(self.state.instance(*key), busy=""))
            raise LxdError(
                400,
                f'Failed shutting down instance, status is "{instance.status}": '
                "shutting down the container failed",
            )
        await asyncio.sleep(self.timing.stop_s)
        self.guests.kill(key)

    async def _shut_down_in_time(self, key: Key, limit_s: float | None) -> bool:
        if self.guests.heeds_shutdown(key):
            return True
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.guests.end_of(key), limit_s)
        return not self.guests.is_alive(key)

    async def _freeze(self, key: Key, status: str, _operation: Operation) -> Afterwards:
        instance = self.state.instance(*key)
        if instance.status == STOPPED:
            raise LxdError(400, "The container isn't running")
        self.state.put(replace(instance, status=status))
        action = "instance-paused" if status == FROZEN else "instance-resumed"
        return partial(self._tell, action, instance, requested=True)

    async def _delete(self, instance: Instance, _operation: Operation) -> Afterwards:
        key = (instance.project, instance.name)
        self.state.put(instances.begin(self.state.instance(*key), "delete"))
        await asyncio.sleep(self.timing.delete_s)
        self.state.instances.pop(key, None)
        return partial(self._tell, "instance-deleted", instance)

    async def _update(
        self, instance: Instance, body: Mapping[str, Any], _operation: Operation
    ) -> Afterwards:
        current = self.state.instance(instance.project, instance.name)
        self.state.put(instances.change(self.state, current, body, whole=True))
        self._tell("instance-updated", instance)
        return None

    async def _execute(
        self, instance: Instance, command: Command, operation: Operation
    ) -> Afterwards:
        try:
            await command.all_connected()
            self._tell("instance-exec", instance, context={"command": command.given.get("command")})
            output = await self.guests.answer((instance.project, instance.name))
            await command.write(output)
            operation.metadata = {**command.metadata(), "return": 0}
        finally:
            await command.close()
        return None

    def _boot(self, key: Key) -> None:
        instance = instances.started(self.state.instance(*key), now())
        self.state.put(instance)
        config, _ = instances.expanded(self.state, instance)
        self.guests.boot(key, config, first_start=instance.boots == 1)

    def _shut_down(self, instance: Instance) -> None:
        instance = instances.stopped(instance)
        self.state.put(instance)
        self._tell("instance-shutdown", instance)
        if instance.ephemeral:
            self._remove(instance)

    def _remove(self, instance: Instance) -> None:
        self.state.instances.pop((instance.project, instance.name), None)
        self._tell("instance-deleted", instance)

    def _operation(
        self,
        description: str,
        instance: Instance,
        work: Callable[[Operation], Awaitable[Afterwards]],
        *,
        containers: bool = False,
        command: Command | None = None,
    ) -> Operation:
        url = f"/1.0/instances/{instance.name}"
        containers = containers and instance.type == "container"
        return self._operations.start(
            description, [url], instance.project, work, containers=containers, command=command
        )

    def _tell(
        self,
        action: str,
        instance: Instance,
        *,
        context: Mapping[str, Any] | None = None,
        requested: bool = False,
    ) -> None:
        self._events.lifecycle(
            action,
            instances.url(instance),
            instance.project,
            context=context,
            requested=requested,
        )


def _limit(timeout: Any) -> float | None:
    """Read a state change's time limit: -1 and nothing at all mean none."""
    return float(timeout) if isinstance(timeout, (int, float)) and timeout >= 0 else None
