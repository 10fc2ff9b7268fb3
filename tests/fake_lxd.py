"""An LXD of dictionaries, in the place of its gateway."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from ipaddress import IPv4Interface
from queue import SimpleQueue
from typing import Any

from fake_github import PLACE
from under_way import Gate, held_while, progress
from waiting import LIMIT_S

from supervisor.gateways.lxd import (
    Instance,
    LifecycleEvent,
    LxdUnavailable,
    NotFound,
    Output,
    ServerInfo,
)
from supervisor.runners.marks import PREFIX

_STARTED = {"volatile.last_state.power": "RUNNING"}
_STOPPED = {"volatile.last_state.power": "STOPPED"}
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


class FakeStream:
    """An event stream that a test feeds."""

    def __init__(self) -> None:
        self._events: SimpleQueue[LifecycleEvent | Exception | None] = SimpleQueue()
        self._fed = 0
        self._heard = 0
        self.closed = threading.Event()

    def feed(self, action: str, name: str) -> None:
        self._put(LifecycleEvent(action, name, "default", NOW))

    def break_off(self, error: Exception | None = None) -> None:
        self._put(error or LxdUnavailable("LXD is gone"))

    def _put(self, event: LifecycleEvent | Exception | None) -> None:
        progress.another()
        self._fed += 1
        self._events.put(event)

    def __iter__(self) -> FakeStream:
        return self

    def __next__(self) -> LifecycleEvent:
        with held_while(lambda: self._fed == self._heard):
            event = self._events.get()
        self._heard += 1
        if event is None:
            raise StopIteration
        if isinstance(event, Exception):
            raise event
        return event

    def close(self) -> None:
        self.closed.set()
        self._put(None)


class FakeLxd:
    """LXD's gateway over a dictionary, with faults on order and a count of all calls."""

    def __init__(self) -> None:
        self.there: dict[str, Instance] = {}
        self.requests: dict[str, Mapping[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.faults: dict[str, list[Exception]] = {}
        self.gates: dict[str, Gate] = {}
        self.streams: list[FakeStream] = []
        self.diagnostics: dict[str, tuple[str, ...]] = {}
        self.consoles: dict[str, str] = {}
        self.outputs: dict[str, Output] = {}
        self.address = "127.0.0.1"
        self.most_there = 0
        self._lock = threading.Lock()

    def fail(self, call: str, *errors: Exception) -> None:
        """Have the next calls fail with these errors, one each."""
        with self._lock:
            self.faults.setdefault(call, []).extend(errors)

    def hold(self, call: str) -> Gate:
        """Have calls hang until the returned gate is opened."""
        return self.gates.setdefault(call, Gate())

    def count(self, call: str) -> int:
        with self._lock:
            return sum(1 for made, _ in self.calls if made == call)

    def put(self, name: str, status: str = "Running", **marks: str) -> None:
        """Put an instance there, as an earlier daemon left it: if stopped, then as LXD saw."""
        marks = {"place": PLACE, **marks}
        config = {f"{PREFIX}{key.replace('_', '-')}": value for key, value in marks.items()}
        config |= _STOPPED if status == "Stopped" else _STARTED
        with self._lock:
            self.there[name] = _instance(name, status, config)

    def _enter(self, call: str, name: str = "") -> None:
        with self._lock:
            self.calls.append((call, name))
            gate = self.gates.get(call)
            faults = self.faults.get(call)
            error = faults.pop(0) if faults else None
        if gate is not None:
            assert gate.wait(LIMIT_S)
        if error is not None:
            raise error

    def instances(self) -> list[Instance]:
        self._enter("instances")
        with self._lock:
            return list(self.there.values())

    def instance(self, name: str, *, limit_s: float | None = None) -> Instance:
        self._enter("instance", name)
        with self._lock:
            if name not in self.there:
                raise NotFound(f"there is no instance {name}")
            return self.there[name]

    def create(self, request: Mapping[str, Any], *, limit_s: float) -> None:
        name = request["name"]
        self._enter("create", name)
        with self._lock:
            assert name not in self.there
            self.requests[name] = request
            self.there[name] = _instance(name, "Stopped", request["config"])
            self.most_there = max(self.most_there, len(self.there))

    def start(self, name: str, *, limit_s: float) -> None:
        self._enter("start", name)
        with self._lock:
            config = {**self.there[name].config, **_STARTED}
            self.there[name] = _instance(name, "Running", config)

    def update_config(self, name: str, changes: Mapping[str, str]) -> None:
        self._enter("update_config", name)
        with self._lock:
            if name not in self.there:
                raise NotFound(f"there is no instance {name}")
            found = self.there[name]
            # As LXD does: a key with an empty value is none.
            config = {key: value for key, value in {**found.config, **changes}.items() if value}
            self.there[name] = _instance(name, found.status, config)

    def delete(self, name: str, *, limit_s: float) -> bool:
        self._enter("delete", name)
        with self._lock:
            return self.there.pop(name, None) is not None

    def console_log(self, name: str, *, most_bytes: int, limit_s: float) -> str:
        self._enter("console_log", name)
        return self.consoles.get(name, "")

    def output_of(
        self, name: str, command: Sequence[str], *, most_bytes: int, limit_s: float
    ) -> Output:
        self._enter("output_of", name)
        if list(command) == ["ls", "-1", "/opt/actions-runner/_diag"]:
            return Output("".join(f"{log}\n" for log in self.diagnostics.get(name, ())).encode())
        return self.outputs.get(name, Output(b""))

    def bridge_address(self, network: str) -> IPv4Interface:
        self._enter("bridge_address", network)
        return IPv4Interface(f"{self.address}/24")

    def server(self) -> ServerInfo:
        self._enter("server")
        return ServerInfo(
            version="5.21.3",
            api_extensions=frozenset(),
            containers=True,
            virtual_machines=True,
            pid=1,
            clustered=False,
            firewall="nftables",
            storage_drivers=(),
        )

    restart_command = "systemctl reload-or-restart lxd"

    def bridge_addresses(self, network: str) -> tuple[IPv4Interface, ...]:
        self._enter("bridge_addresses", network)
        return (IPv4Interface(f"{self.address}/24"),)

    def events(self) -> FakeStream:
        self._enter("events")
        stream = FakeStream()
        self.streams.append(stream)
        return stream

    def lose_power(self) -> None:
        """Let the host lose its power and come back: nobody has noted that all has stopped."""
        with self._lock:
            for name, found in self.there.items():
                self.there[name] = _instance(name, "Stopped", found.config)

    def power_off(self, name: str) -> None:
        """Let an ephemeral instance stop: LXD deletes it, and says so."""
        with self._lock:
            self.there.pop(name, None)
        for action in ("instance-shutdown", "instance-deleted"):
            for stream in self.streams:
                stream.feed(action, name)


def _instance(name: str, status: str, config: Mapping[str, str]) -> Instance:
    return Instance(name, status, "container", ephemeral=True, created_at=NOW, config=dict(config))
