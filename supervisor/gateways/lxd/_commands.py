"""Commands in guests, of which nothing is believed: they may hang, and never stop to write.

What a command writes comes through LXD as a stream, and is kept nowhere on the way. LXD's other
ways are not safe with a hostile guest. What LXD records of a command fills the host's disk; and a
file of the guest's that turns out to be a named pipe keeps LXD 5.0 waiting for a writer, for ever,
and the instance from being stopped and deleted.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from ws4py.exc import WebSocketException

from supervisor.gateways.lxd._connection import Answer, Connection, left
from supervisor.gateways.lxd._errors import LxdError, OperationFailed, TimedOut, unreachable
from supervisor.gateways.lxd._websocket import Websocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_STDIN, _STDOUT, _STDERR = "0", "1", "2"
_LONGEST_LINE = 64 * 1024
_MOST_BYTES = 64 * 2**20
_MOST_LINES = 10**6
_END_LIMIT_S = 30.0
# LXD takes two exit codes for its own failures: those of a shell that finds no program.
_CODES = {"Command not executable": 126, "Command not found": 127}
# One stream for both, in their order; and an input that has ended already.
_AS_ONE = 'exec "$@" 2>&1 </dev/null'


@dataclass(frozen=True)
class Output:
    """What a command wrote.

    Attributes:
        data: as it came.
        cut: why there may be more; empty if the command came to its end.
    """

    data: bytes
    cut: str = ""


class Commands(Connection):
    """The calls that run a command in a guest; they block, any thread may make them."""

    def output_of(
        self, name: str, command: Sequence[str], *, most_bytes: int, limit_s: float
    ) -> Output:
        """Run a command in a running instance, as root, and return what it writes.

        It is not ended when a limit has passed: it goes with its instance.

        Args:
            name: the instance's.
            command: the program and its arguments, which every user of the guest may see.
            most_bytes: of its standard output; nobody reads its standard error.
            limit_s: for all of it.

        Raises:
            NotFound: There is no such instance.
            Refused: The instance doesn't run.
            LxdError: LXD can't be reached, or can't run it.
        """
        aim = f"run a command in instance {name}"
        deadline = time.monotonic() + limit_s
        answer = self._begin(aim, name, command, deadline)
        with self._output(aim, answer, deadline) as output:
            return _read(output, most_bytes, deadline, limit_s)

    def run(
        self,
        name: str,
        command: Sequence[str],
        *,
        take: Callable[[str], object],
        limit_s: float,
        most_bytes: int = _MOST_BYTES,
    ) -> int:
        """Run a command in a running instance, as root, to its end.

        It is not ended when a limit has passed: it goes with its instance.

        Args:
            name: the instance's.
            command: the program and its arguments, which every user of the guest may see.
            take: gets each line that it writes, as soon as it is there; in this thread.
            limit_s: for all of it.
            most_bytes: that it may write; no more than a million lines in any case.

        Returns:
            Its exit code.

        Raises:
            NotFound: There is no such instance.
            TimedOut: It goes on.
            LxdUnavailable: LXD was lost meanwhile, and with it the command's end.
            OperationFailed: It writes too much, or the instance has ended meanwhile.
            LxdError: LXD can't be reached, or can't run it.
        """
        aim = f"run {command[0]} in instance {name}"
        deadline = time.monotonic() + limit_s
        answer = self._begin(aim, name, ("/bin/sh", "-c", _AS_ONE, "sh", *command), deadline)
        with self._output(aim, answer, deadline) as output:
            lines = _Lines(take)
            for message in output.messages(deadline):
                lines.add(message)
                if lines.size > most_bytes or lines.count > _MOST_LINES:
                    much = f"{most_bytes} bytes or {_MOST_LINES} lines"
                    raise OperationFailed(f"could not {aim} to its end: it writes over {much}")
            lines.end()
        if time.monotonic() >= deadline:
            raise TimedOut(f"could not {aim} to its end within {limit_s:g} s")
        try:
            state = self._finish(aim, answer, limit_s=min(left(deadline), _END_LIMIT_S))
        except LxdError as error:
            code = next((code for words, code in _CODES.items() if words in str(error)), None)
            if code is None:
                raise
            return code
        code = (state.get("metadata") or {}).get("return")
        if not isinstance(code, int):
            raise OperationFailed(f"could not {aim} to its end: LXD knows no exit code")
        return code

    def _begin(self, aim: str, name: str, command: Sequence[str], deadline: float) -> Answer:
        body = {"command": list(command), "wait-for-websocket": True, "interactive": False}
        timeout_s = min(left(deadline), self.endpoint.timeout_s)
        return self._call(aim, "post", "instances", name, "exec", json=body, timeout=timeout_s)

    @contextlib.contextmanager
    def _output(self, aim: str, answer: Answer, deadline: float) -> Iterator[_Stream]:
        secrets = _secrets(answer, aim)
        with contextlib.ExitStack() as stack:
            # LXD begins when all three are there. Nothing is written to the first.
            streams = {
                number: stack.enter_context(
                    contextlib.closing(self._stream(aim, answer, secrets[number], deadline))
                )
                for number in (_STDIN, _STDERR, _STDOUT)
            }
            yield streams[_STDOUT]

    def _stream(self, aim: str, answer: Answer, secret: str, deadline: float) -> _Stream:
        socket = str(self.endpoint.find_socket())
        websocket = Websocket(f"ws+unix://{socket}")
        operation = quote(answer.operation or "", safe="")
        query = urlencode({"secret": secret})
        websocket.resource = f"/1.0/operations/{operation}/websocket?{query}"
        stream = _Stream(websocket)
        left_s = left(deadline)
        websocket.sock.settimeout(left_s)
        try:
            websocket.connect()  # type: ignore[no-untyped-call]
        except (WebSocketException, OSError, ValueError, AttributeError) as error:
            stream.close()
            raise unreachable(error, aim, socket, left_s) from error
        return stream


class _Stream:
    """One of a command's three streams."""

    def __init__(self, websocket: Websocket) -> None:
        self.websocket = websocket
        self._socket = websocket.sock

    def close(self) -> None:
        """Close it, without a word: LXD then ends its own side."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def messages(self, deadline: float) -> Iterator[bytes]:
        """Give what comes as it comes; ends at its end, at the deadline, and when it breaks."""
        while True:
            while self.websocket.arrived:
                message = self.websocket.arrived.popleft()
                if not message:  # LXD's mark of the end
                    return
                yield message
            if time.monotonic() >= deadline:
                return
            self.websocket.sock.settimeout(left(deadline))
            if not self.websocket.receive() and not self.websocket.arrived:
                return


class _Lines:
    """Makes lines of pieces; one without end is cut, so that it takes no memory without end.

    Attributes:
        size: of all that has come, in bytes.
        count: of the lines that were taken.
    """

    def __init__(self, take: Callable[[str], object]) -> None:
        self.size = self.count = 0
        self._take = take
        self._rest = b""

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self.count += len(lines)
        for line in lines:
            self._take(line.decode(errors="replace"))
        self._rest = self._rest[:_LONGEST_LINE]

    def end(self) -> None:
        if self._rest:
            self._take(self._rest.decode(errors="replace"))


def _read(stream: _Stream, most_bytes: int, deadline: float, limit_s: float) -> Output:
    websocket, data = stream.websocket, bytearray()
    while True:
        while websocket.arrived:
            message = websocket.arrived.popleft()
            if not message:  # LXD's mark of the end
                return Output(bytes(data))
            data += message
            if len(data) > most_bytes:
                return Output(bytes(data[:most_bytes]), f"is cut at {most_bytes} bytes")
        if time.monotonic() >= deadline:
            return Output(bytes(data), f"is cut off after {limit_s:.3g} s")
        websocket.sock.settimeout(left(deadline))
        if not websocket.receive() and not websocket.arrived:
            timed_out = isinstance(websocket.failure, TimeoutError)
            why = f"after {limit_s:.3g} s" if timed_out else "by LXD, or the instance's end"
            return Output(bytes(data), f"is cut off {why}")


def _secrets(answer: Answer, aim: str) -> Mapping[str, str]:
    try:
        fds = answer.metadata["metadata"]["fds"]
        return {number: str(fds[number]) for number in (_STDIN, _STDOUT, _STDERR)}
    except (KeyError, TypeError) as error:
        raise LxdError(f"could not {aim}: LXD describes its operation in an unknown way") from error
