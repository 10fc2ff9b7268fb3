"""Background operations: what LXD has promised to do, and how it came out."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.lxd_emulator.clock import now
from sandbox.lxd_emulator.errors import LxdError, not_found

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from sandbox.lxd_emulator.commands import Command
    from sandbox.lxd_emulator.events import EventHub
    from sandbox.lxd_emulator.faults import Faults, OperationFault

PENDING = 105
RUNNING = 103
SUCCESS = 200
FAILURE = 400
_WORDS = {PENDING: "Pending", RUNNING: "Running", SUCCESS: "Success", FAILURE: "Failure"}
_KEPT_S = 5.0


@dataclass(eq=False)
class Operation:
    """One operation; `done` is set when it has come to an end, for better or worse."""

    description: str
    resources: Mapping[str, list[str]]
    project: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: str = field(default_factory=now)
    updated_at: str = ""
    status_code: int = PENDING
    metadata: Mapping[str, Any] | None = None
    error: str = ""
    command: Command | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Its address in the API."""
        return f"/1.0/operations/{self.id}"

    def document(self) -> dict[str, Any]:
        """Return it as LXD describes it."""
        return {
            "id": self.id,
            "class": "websocket" if self.command else "task",
            "description": self.description,
            "created_at": self.created_at,
            "updated_at": self.updated_at or self.created_at,
            "status": _WORDS[self.status_code],
            "status_code": self.status_code,
            "resources": self.resources or None,
            "metadata": self.metadata,
            "may_cancel": False,
            "err": self.error,
            "location": "none",
        }


class Operations:
    """All operations that LXD still knows of. Belongs to the emulator's event loop."""

    def __init__(self, events: EventHub, faults: Faults) -> None:
        self._events = events
        self._faults = faults
        self._known: dict[str, Operation] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self,
        description: str,
        urls: Iterable[str],
        project: str,
        work: Callable[[Operation], Awaitable[Callable[[], None] | None]],
        *,
        containers: bool = False,
        command: Command | None = None,
    ) -> Operation:
        """Begin an operation and return at once.

        Args:
            description: LXD's words for it.
            urls: What it is about; all of one kind.
            project: Where its events go.
            work: Does it. What it returns, if anything, is called after the success is told: LXD
                tells of some changes before and of some after that.
            containers: LXD also names the instances under their old address.
            command: What is executed, if that is it.
        """
        urls = list(urls)
        kind = urls[0].split("/")[2]
        resources = {kind: urls}
        if containers:
            old = [url.replace("/instances/", "/containers/") for url in urls]
            resources = {"containers": old, **resources}
        operation = Operation(description, resources, project, command=command)
        if command is not None:
            operation.metadata = command.metadata()
        self._known[operation.id] = operation
        self._tell(operation)
        operation.status_code = RUNNING
        self._tell(operation)
        task = asyncio.get_running_loop().create_task(self._run(operation, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return operation

    def progress(self, operation: Operation, metadata: Mapping[str, Any]) -> None:
        """Note how far an operation has come."""
        operation.metadata = metadata
        operation.updated_at = now()
        self._tell(operation)

    def get(self, operation_id: str) -> Operation:
        """Return an operation; LXD forgets it 5 s after its end.

        Raises:
            LxdError: It isn't known.
        """
        found = self._known.get(operation_id)
        if found is None:
            raise not_found("Operation")
        return found

    async def wait(self, operation_id: str, timeout_s: float | None) -> Operation:
        """Return an operation when it has ended, or as it is after the limit.

        Raises:
            LxdError: It isn't known.
        """
        operation = self.get(operation_id)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(operation.done.wait(), timeout_s)
        return operation

    def cancel(self, operation_id: str) -> None:
        """Refuse to cancel an operation: none of LXD's that are emulated can be.

        Raises:
            LxdError: Always.
        """
        if self.get(operation_id).done.is_set():
            raise LxdError(400, "Only running operations can be cancelled")
        raise LxdError(400, "This operation can't be cancelled")

    def listing(self) -> dict[str, list[Operation]]:
        """Return all known operations by the word for their status."""
        result: dict[str, list[Operation]] = {}
        for operation in self._known.values():
            result.setdefault(_WORDS[operation.status_code].lower(), []).append(operation)
        return result

    async def abandon_all(self) -> None:
        """Stop and forget everything, as a daemon that dies does."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._known.clear()

    async def _run(
        self,
        operation: Operation,
        work: Callable[[Operation], Awaitable[Callable[[], None] | None]],
    ) -> None:
        afterwards = None
        try:
            fault = self._fault_of(operation)
            await _misbehave(fault)
            afterwards = await work(operation)
            _pretend(fault)
            operation.status_code = SUCCESS
        except LxdError as error:
            operation.status_code, operation.error = FAILURE, error.text
        self._tell(operation)
        operation.done.set()
        asyncio.get_running_loop().call_later(_KEPT_S, self._known.pop, operation.id, None)
        if afterwards is not None:
            afterwards()

    def _fault_of(self, operation: Operation) -> OperationFault | None:
        first = next(iter(operation.resources.values()))[0]
        name = first.partition("?")[0].rpartition("/")[2]
        return self._faults.operation(operation.description, name)

    def _tell(self, operation: Operation) -> None:
        self._events.operation(operation.document(), operation.project)


async def _misbehave(fault: OperationFault | None) -> None:
    """Do what a fault asks for before anything is done."""
    if fault is None or fault.way == "pretend":
        return
    if fault.way == "stall":
        await asyncio.Event().wait()
    raise LxdError(400, fault.text)


def _pretend(fault: OperationFault | None) -> None:
    """Say of what has been done that it has failed, if that is wanted."""
    if fault is not None:
        raise LxdError(400, fault.text)
