"""The one way to talk to LXD: a call with a time limit, and the wait for what it set going.

pylxd's models are not used: they block without limit while an operation runs, hide how it ended
if they don't wait, and lose their client when an instance is gone. Its client and the raw nodes
beneath (`client.api`) do what is needed, and what is handed out is data.
"""

from __future__ import annotations

import math
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from pylxd import Client
from pylxd import exceptions as pylxd_errors
from pylxd.client import get_session_for_url

from supervisor.gateways.lxd._errors import (
    LxdError,
    LxdUnavailable,
    NotFound,
    Refused,
    TimedOut,
    of_answer,
    of_operation,
    redacted,
    unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_SNAP = Path("/var/snap/lxd/common/lxd/unix.socket")
_PACKAGE = Path("/var/lib/lxd/unix.socket")
_SUCCESS = 200


@dataclass(frozen=True)
class LxdEndpoint:
    """Where LXD is.

    Attributes:
        socket: Its unix socket; None finds it as the `lxc` command does.
        project: The project all calls are about.
        timeout_s: How long LXD may take for the answer to one call. Operations have limits of
            their own, but a LXD that doesn't answer is noticed within this time.
    """

    socket: Path | None = None
    project: str = "default"
    timeout_s: float = 30

    def find_socket(self) -> Path:
        """Return the configured socket, or where LXD's own client would look."""
        if self.socket is not None:
            return self.socket
        if named := os.environ.get("LXD_SOCKET"):
            return Path(named)
        if directory := os.environ.get("LXD_DIR"):
            return Path(directory) / "unix.socket"
        return _SNAP if _SNAP.exists() else _PACKAGE


def left(deadline: float) -> float:
    """Say how many seconds are left until a moment of the monotonic clock, for a socket.

    Never 0: it would take that for "do not wait at all", and say something else.
    """
    return max(0.05, deadline - time.monotonic())


@dataclass(frozen=True)
class Answer:
    """What LXD answered: data, and the operation it started, if it did."""

    metadata: Any
    operation: str | None


class Connection:
    """Calls to one LXD, from any thread; each thread has a pylxd client of its own.

    A client shared by many threads fails: its pool of connections drops one that is in use. A
    client costs a call when it is made, so it is kept as long as its thread.
    It survives a restart of LXD, because each call connects anew if it must.
    """

    def __init__(self, endpoint: LxdEndpoint) -> None:
        self._endpoint = endpoint
        self._local = threading.local()

    @property
    def endpoint(self) -> LxdEndpoint:
        """Where this one's LXD is."""
        return self._endpoint

    @property
    def restart_command(self) -> str:
        """What restarts it, for the operator; instances run on meanwhile."""
        snap = self._endpoint.find_socket() == _SNAP
        return f"systemctl reload-or-restart {'snap.lxd.daemon' if snap else 'lxd'}"

    def _client(self, aim: str) -> Client:
        """Return this thread's client, made at its first call."""
        client: Client | None = getattr(self._local, "client", None)
        if client is not None:
            return client
        socket = self._endpoint.find_socket()
        address = f"http+unix://{quote(str(socket), safe='')}"
        session = get_session_for_url(address)
        # pylxd's own adapter keeps a connection to each of the last 25 addresses, and hardly any
        # address is asked for twice: that many files would be open for each thread.
        adapter: Any = type(session.get_adapter(address))
        session.mount(address, adapter(pool_connections=1))
        # Proxies and ~/.netrc have no say about a unix socket, and reading them costs each call.
        session.trust_env = False
        timeout_s = self._endpoint.timeout_s
        try:
            client = Client(
                endpoint=address,
                timeout=timeout_s,
                project=self._endpoint.project,
                session=session,
            )
        except (requests.RequestException, pylxd_errors.ClientConnectionFailed) as error:
            raise unreachable(error, aim, str(socket), timeout_s) from error
        except pylxd_errors.LXDAPIException as error:
            raise of_answer(error, aim, ()) from error
        except (KeyError, TypeError, ValueError) as error:
            raise LxdUnavailable(f"could not {aim}: what answers at {socket} isn't LXD") from error
        self._local.client = client
        return client

    def _call(
        self,
        aim: str,
        verb: str,
        *path: str,
        secrets: Sequence[str] = (),
        **arguments: Any,
    ) -> Answer:
        """Do one call.

        Args:
            aim: Completes the sentence "could not …" in an error.
            verb: get, post, put, patch or delete.
            path: The address below `/1.0`, segment by segment.
            secrets: Values of the request that no error text may show.
            arguments: More for requests: json, params, data, headers, timeout.

        Raises:
            LxdError: One of its kinds.
        """
        response = self._send(aim, verb, path, secrets, arguments)
        try:
            body = response.json()
            if body["type"] == "async":
                # An id of another kind fails here, and not where an address is made of it.
                return Answer(body["metadata"], "" + body["metadata"]["id"])
            return Answer(body["metadata"], None)
        except (KeyError, TypeError, ValueError) as error:
            raise LxdUnavailable(
                f"could not {aim}: what answers at {self._endpoint.find_socket()} isn't LXD"
            ) from error

    def _send(
        self,
        aim: str,
        verb: str,
        path: Sequence[str],
        secrets: Sequence[str],
        arguments: dict[str, Any],
    ) -> requests.Response:
        node = self._client(aim).api
        for segment in path:
            if segment in {"", ".", ".."}:
                # The address would be another one: that of the whole listing, for example.
                raise Refused(f"could not {aim}: {segment!r} is no name")
            node = node[quote(segment, safe="")]
        try:
            response: requests.Response = getattr(node, verb)(**arguments)
        except pylxd_errors.LXDAPIException as error:
            translated = of_answer(error, aim, secrets)
            hidden = redacted(str(error), secrets) != str(error)
            raise translated from (None if hidden else error)
        except (requests.RequestException, OSError) as error:
            limit_s = arguments.get("timeout", self._endpoint.timeout_s)
            socket = self._endpoint.find_socket()
            raise unreachable(error, aim, str(socket), limit_s) from error
        except (AttributeError, KeyError, TypeError) as error:
            # pylxd takes for granted that an answer is an object with a type.
            raise LxdUnavailable(
                f"could not {aim}: what answers at {self._endpoint.find_socket()} isn't LXD"
            ) from error
        return response

    def _finish(
        self, aim: str, answer: Answer, *, limit_s: float, secrets: Sequence[str] = ()
    ) -> Any:
        """Wait until an operation has succeeded and return what it says of itself.

        It is asked for in slices that are shorter than the limit of a call, so that a long
        operation and a LXD that hangs are told apart.

        Args:
            aim: Completes the sentence "could not …".
            answer: That of the call; one without operation is finished already.
            limit_s: For the whole wait; LXD counts in full seconds, so it may end up to one late.
            secrets: Values that no error text may show.

        Raises:
            TimedOut: It isn't finished; LXD goes on with it.
            LxdUnavailable: LXD doesn't answer, or was restarted and knows nothing of it.
            LxdError: The operation failed.
        """
        if answer.operation is None:
            return answer.metadata
        deadline = time.monotonic() + limit_s
        longest = max(1, int(self._endpoint.timeout_s // 2))
        while True:
            slice_s = min(longest, max(0, math.ceil(deadline - time.monotonic())))
            state = self._await(aim, answer.operation, slice_s)
            if state["status_code"] == _SUCCESS:
                return state
            if state["status_code"] > _SUCCESS:
                words = state.get("err") or state.get("status", "")
                raise of_operation(words, aim, secrets)
            if time.monotonic() >= deadline:
                raise TimedOut(
                    f"could not {aim} within {round(limit_s, 1):g} s; LXD goes on with it "
                    f"(lxc operation show {answer.operation})"
                )

    def _await(self, aim: str, operation: str, slice_s: int) -> dict[str, Any]:
        try:
            answer = self._call(
                aim,
                "get",
                "operations",
                operation,
                "wait",
                params={"timeout": slice_s},
                timeout=slice_s + self._endpoint.timeout_s / 2,
            )
        except NotFound as error:
            # LXD keeps operations in memory, and a finished one for seconds only.
            raise LxdUnavailable(
                f"could not see how it ended to {aim}: LXD no longer knows the operation, most "
                "likely because it was restarted meanwhile"
            ) from error
        state = answer.metadata
        if not isinstance(state, dict) or not isinstance(state.get("status_code"), int):
            raise LxdError(f"could not {aim}: LXD describes its operation in an unknown way")
        return state
