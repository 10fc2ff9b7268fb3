"""Instances: list, create, start, change, delete."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from supervisor.gateways.lxd._connection import Connection, left
from supervisor.gateways.lxd._errors import (
    AlreadyExists,
    LxdError,
    NotFound,
    OperationFailed,
    Refused,
    TimedOut,
    unreachable,
)
from supervisor.gateways.lxd._moments import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import requests

# These hold what a guest gets at its creation: a just-in-time configuration and tokens.
_SECRET_KEYS = ("cloud-init.", "user.user-data", "user.vendor-data", "user.network-config")
_CONSOLE_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
# Another operation has the instance; or it has started or stopped since it was looked at; or LXD
# shows it as running before it is, and then it is "not running" for the order to stop it.
_PASSES = re.compile(r"busy|is (already |not )running|is already stopped", re.IGNORECASE)
_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True)
class Instance:
    """An instance as LXD described it when it was asked.

    Attributes:
        name: Unique within the project.
        status: LXD's word: Running, Stopped, Frozen, Error and some between.
        type: `container` or `virtual-machine`.
        ephemeral: LXD deletes it when it stops.
        created_at: When, in UTC.
        config: Its own configuration, without that of profiles.
        devices: With those of profiles.
    """

    name: str
    status: str
    type: str
    ephemeral: bool
    created_at: datetime
    config: Mapping[str, str]
    devices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Instances(Connection):
    """The calls about instances; all block, any thread may make them."""

    def instances(self) -> list[Instance]:
        """List all instances of the project in one call.

        Raises:
            LxdError: The list can't be had.
        """
        aim = "list the instances"
        answer = self._call(aim, "get", "instances", params={"recursion": 1})
        if not isinstance(answer.metadata, list):
            raise LxdError(f"could not {aim}: LXD describes them in an unknown way")
        return [_instance(entry) for entry in answer.metadata]

    def instance(self, name: str, *, limit_s: float | None = None) -> Instance:
        """Describe one instance.

        Args:
            name: its name.
            limit_s: how long LXD may take, if not as long as for every call.

        Raises:
            NotFound: There is none of this name.
            LxdError: It can't be asked for.
        """
        aim, timeout_s = f"look at instance {name}", self._timeout_s(limit_s)
        return _instance(self._call(aim, "get", "instances", name, timeout=timeout_s).metadata)

    def create(self, request: Mapping[str, Any], *, limit_s: float) -> None:
        """Create an instance and return when it is there; it is not started.

        Args:
            request: The body of LXD's `POST /1.0/instances`.
            limit_s: How long LXD may take, the unpacking of the image included.

        Raises:
            AlreadyExists: The name is taken.
            NotFound: The image, or something else the request names, is not there.
            Refused: The request is wrong.
            TimedOut: LXD goes on; look for the instance later.
            LxdError: Anything else.
        """
        aim = f"create instance {request.get('name', '')}"
        secrets = _secrets(request.get("config", {}))
        answer = self._call(aim, "post", "instances", json=dict(request), secrets=secrets)
        try:
            self._finish(aim, answer, limit_s=limit_s, secrets=secrets)
        except OperationFailed as error:
            if 'busy running a "create"' in str(error):  # another creation of this name
                raise AlreadyExists(str(error), error.cause) from error
            raise

    def start(self, name: str, *, limit_s: float) -> None:
        """Start an instance; one that runs is started.

        Raises:
            NotFound: There is none of this name.
            TimedOut: LXD goes on with it.
            LxdError: It does not start.
        """
        try:
            self._change_state(f"start instance {name}", name, {"action": "start"}, limit_s)
        except Refused:
            if self.instance(name).status != "Running":
                raise

    def stop(self, name: str, *, limit_s: float, force: bool = False) -> None:
        """Have an instance shut down; one that has stopped is stopped.

        Args:
            name: its name.
            limit_s: how long it may take.
            force: not to shut down, but to end.

        Raises:
            NotFound: There is none of this name, or no more, as it is ephemeral.
            OperationFailed: Its guest does not shut down within the limit.
            LxdError: Anything else.
        """
        order = {"action": "stop", "timeout": max(1, round(limit_s)), "force": force}
        try:
            # LXD itself gives up at the limit, and says so then.
            limit_s += self.endpoint.timeout_s
            self._change_state(f"stop instance {name}", name, order, limit_s)
        except (Refused, OperationFailed):
            if self.instance(name).status != "Stopped":
                raise

    def update_config(self, name: str, changes: Mapping[str, str]) -> None:
        """Set configuration keys of an instance; other keys keep their values.

        Raises:
            NotFound: There is none of this name.
            Stopping: It stops now.
            Refused: A key or value is wrong.
            LxdError: Anything else.
        """
        aim = f"change the configuration of instance {name}"
        body = {"config": dict(changes)}
        secrets = _secrets(changes)
        answer = self._call(aim, "patch", "instances", name, json=body, secrets=secrets)
        self._finish(aim, answer, limit_s=self.endpoint.timeout_s, secrets=secrets)

    def delete(self, name: str, *, limit_s: float) -> bool:
        """Stop an instance by force and delete it, whatever state it is in.

        One that is still being created or started is deleted as soon as LXD lets go of it.

        Returns:
            Whether there was one; it is gone in either case.

        Raises:
            TimedOut: It isn't gone within the limit.
            LxdError: LXD can't be reached or refuses.
        """
        aim = f"delete instance {name}"
        deadline = time.monotonic() + limit_s
        existed, pause_s = False, _PAUSE_S
        while True:
            try:
                status = self.instance(name).status
                existed = True
                self._delete_once(aim, name, status, deadline)
            except NotFound:
                return existed
            except (Refused, OperationFailed) as error:
                if not _PASSES.search(str(error)):
                    raise
                if time.monotonic() + pause_s >= deadline:
                    raise TimedOut(f"{error} (tried for {limit_s:g} s)", error.cause) from error
            else:
                return True
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def console_log(
        self, name: str, *, most_bytes: int = _CONSOLE_BYTES, limit_s: float | None = None
    ) -> str:
        """Return the end of what the guest wrote on its console, for a person to read.

        LXD 5.0 shows what a running container writes once: a second call returns what is new.
        Where LXD keeps no console log of virtual machines, it is the log of their emulator. A
        guest that is gone has left none.

        Args:
            name: the instance's.
            most_bytes: of the end.
            limit_s: for all of it, if not as long as for every call.

        Raises:
            NotFound: There is no such instance.
            LxdError: LXD can't be reached, or does not come to the end.
        """
        aim = f"read the console of instance {name}"
        deadline = time.monotonic() + self._timeout_s(limit_s)
        try:
            return self._tail(aim, most_bytes, deadline, "instances", name, "console")
        except (Refused, OperationFailed, NotFound):
            # That there is nothing to show looks like any other failure.
            if self.instance(name, limit_s=left(deadline)).type == "container":
                return ""
        try:
            return self._tail(aim, most_bytes, deadline, "instances", name, "logs", "qemu.log")
        except (Refused, OperationFailed, NotFound):
            return ""

    def _delete_once(self, aim: str, name: str, status: str, deadline: float) -> None:
        if status != "Stopped":
            order = {"action": "stop", "force": True}
            self._change_state(aim, name, order, deadline - time.monotonic())
        # LXD has deleted an ephemeral one by now, and says so.
        answer = self._call(aim, "delete", "instances", name)
        self._finish(aim, answer, limit_s=deadline - time.monotonic())

    def _change_state(self, aim: str, name: str, order: Mapping[str, Any], limit_s: float) -> None:
        body = {"timeout": -1, **order}
        answer = self._call(aim, "put", "instances", name, "state", json=body)
        self._finish(aim, answer, limit_s=limit_s)

    def _timeout_s(self, limit_s: float | None) -> float:
        return min(limit_s or math.inf, self.endpoint.timeout_s)

    def _tail(self, aim: str, most_bytes: int, deadline: float, *path: str) -> str:
        """Read a log of any size and keep its end."""
        limit_s, tail = left(deadline), b""
        arguments = {"is_api": False, "stream": True, "timeout": limit_s}
        with self._send(aim, "get", path, (), arguments) as response:
            try:
                for chunk in _chunks(response, deadline):
                    tail = (tail + chunk)[-most_bytes:]
            except (HTTPError, TimeoutError) as error:
                where = str(self.endpoint.find_socket())
                raise unreachable(error, aim, where, limit_s) from error
        return tail.decode(errors="replace")


def _chunks(response: requests.Response, deadline: float) -> Iterator[bytes]:
    """Give what comes as it comes: a time limit of requests is for each piece, not for all.

    Raises:
        TimeoutError: not all has come in time.
        HTTPError: the connection broke, or was silent until then.
    """
    connection = response.raw.connection
    # None if the other side closes it after this answer, which LXD does not: the pieces that come
    # then have only the limit that the call began with.
    sock = connection.sock if connection else None
    while time.monotonic() < deadline:
        if sock:
            sock.settimeout(left(deadline))
        chunk = response.raw.read1(_CHUNK_BYTES, decode_content=True)
        if not chunk:
            return
        yield chunk
    raise TimeoutError


def _instance(entry: Mapping[str, Any]) -> Instance:
    try:
        return Instance(
            name=entry["name"],
            status=entry["status"],
            type=entry["type"],
            ephemeral=entry["ephemeral"],
            created_at=moment(entry["created_at"]),
            config=dict(entry["config"] or {}),
            devices={
                name: dict(device) for name, device in (entry.get("expanded_devices") or {}).items()
            },
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LxdError("LXD describes an instance in an unknown way") from error


def _secrets(config: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(value for key, value in config.items() if key.startswith(_SECRET_KEYS))
