"""The emulator for tests: a server in a thread of its own, to be used from any thread."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from sandbox.lxd_emulator.server import Server, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from sandbox.lxd_emulator.faults import Fault
    from sandbox.lxd_emulator.guests import GuestBehaviour
    from sandbox.lxd_emulator.machines import Timing
    from sandbox.lxd_emulator.model import Instance

_START_LIMIT_S = 10.0
_Result = TypeVar("_Result")


class LxdEmulator:
    """An emulated LXD: a context manager that serves while it is entered.

    Its public methods may be called from any thread but its own.

    Args:
        socket: Its unix socket.
        guest: How guests behave; None for the usual.
        timing: How long LXD takes; None for the usual.
        state_file: Where the state survives the process; None keeps it in memory.
        images: Images that are there from the beginning: type by alias.
        furnished: A pool, a bridge and a default profile are there from the beginning.

    Example:
        >>> with LxdEmulator(Path("/tmp/lxd.socket"), images={"tiny": "container"}) as lxd:
        ...     lxd.want(CallFault(way="fail", method="POST", path="/1.0/instances"))
        ...     client = pylxd.Client(endpoint=lxd.endpoint)
    """

    def __init__(
        self,
        socket: Path,
        *,
        guest: GuestBehaviour | None = None,
        timing: Timing | None = None,
        state_file: Path | None = None,
        images: dict[str, str] | None = None,
        furnished: bool = True,
    ) -> None:
        given: dict[str, Any] = {"guest": guest, "timing": timing, "images": images}
        self.settings = Settings(
            socket=socket,
            state_file=state_file,
            furnished=furnished,
            **{key: value for key, value in given.items() if value is not None},
        )
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._stop: asyncio.Event | None = None

    # Life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Serve; returns when the first call can come.

        Raises:
            OSError: The socket can't be had.
            RuntimeError: It serves already, or did not come up in 10 s.
        """
        if self._thread is not None:
            raise RuntimeError("the LXD emulator serves already")
        came_up: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(came_up,), name="lxd-emulator", daemon=True
        )
        self._thread.start()
        try:
            came_up.result(_START_LIMIT_S)
        except BaseException:
            self._thread = None
            raise

    def stop(self) -> None:
        """End server, guests and thread."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    # Addresses

    @property
    def socket(self) -> Path:
        """The unix socket."""
        return self.settings.socket

    @property
    def endpoint(self) -> str:
        """What pylxd's client takes as its endpoint."""
        return f"http+unix://{quote(str(self.socket), safe='')}"

    # Misbehaviour

    def want(self, *faults: Fault) -> None:
        """Want faults, each once per its `times`, in this order."""

        def add(server: Server) -> None:
            for fault in faults:
                server.context.faults.add(fault)

        self._call(add)

    def want_nothing(self) -> None:
        """Want no faults any more; those that have begun go on."""
        self._call(lambda server: server.context.faults.clear())

    def close_event_streams(self) -> None:
        """Break all event streams; clients may connect anew."""
        self._call(lambda server: server.context.events.close_all())

    def crash_guest(self, name: str, project: str = "default") -> bool:
        """Let a guest die at once; returns whether it lived."""
        return self._call(lambda server: server.context.guests.crash((project, name)))

    def go_down(self) -> None:
        """Kill the daemon's part; guests live on."""
        self._await(lambda server: server.go_down())

    def come_up(self) -> None:
        """Start the daemon's part again; it starts guests that died meanwhile.

        Raises:
            OSError: The socket can't be had.
        """
        self._await(lambda server: server.come_up())

    def restart(self) -> None:
        """Kill the daemon's part and start it again."""
        self.go_down()
        self.come_up()

    # A look inside

    def instances(self, project: str | None = None) -> tuple[Instance, ...]:
        """Return a project's instances by name; all projects' if it is None."""
        return self._call(lambda server: tuple(server.context.state.instances_of(project)))

    def guests(self) -> dict[str, str]:
        """Return what each living guest is doing, by `PROJECT/NAME`."""
        return self._call(lambda server: server.context.guests.stages())

    def event_streams(self) -> int:
        """Return how many event streams are open."""
        return self._call(lambda server: server.context.events.listeners)

    def wait_for(self, predicate: Callable[[], bool], limit_s: float = 10.0) -> bool:
        """Ask a predicate some fifty times a second until it holds; returns whether it did."""
        deadline = time.monotonic() + limit_s
        while not predicate():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        return True

    # The thread

    def _call(self, ask: Callable[[Server], _Result]) -> _Result:
        async def answer(server: Server) -> _Result:
            return ask(server)

        return self._await(answer)

    def _await(self, ask: Callable[[Server], Coroutine[Any, Any, _Result]]) -> _Result:
        if self._thread is None or self._loop is None or self._server is None:
            raise RuntimeError("the LXD emulator doesn't serve")
        return asyncio.run_coroutine_threadsafe(ask(self._server), self._loop).result()

    def _run(self, came_up: Future[None]) -> None:
        try:
            asyncio.run(self._serve(came_up))
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits in start()
            if not came_up.done():
                came_up.set_exception(error)

    async def _serve(self, came_up: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._server = Server(self.settings)
        try:
            await self._server.start()
            came_up.set_result(None)
            await self._stop.wait()
        finally:
            await self._server.stop()
