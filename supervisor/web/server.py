"""A small HTTP server in a thread: Flask's application, waitress's patience with bad clients."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server
from waitress.task import ThreadedTaskDispatcher

from supervisor.observation.speaker import for_speaker
from supervisor.web.strangers import Bounds, StrangersServer


class ServerLost:
    """The server's loop has ended by itself: for an actor to tell itself by `lost`."""


class WebServer:
    """Serves an application until it is closed.

    Args:
        app: what answers.
        name: of the thread that waits for connections.
        lost: called in that thread if it ends without `close`: nobody answers any more.
        threads: how many answer.
        bounds: what clients may take that are not trusted; None for those that are.
        options: where and how, in waitress's words.

    Raises:
        OSError: the address can't be had.
    """

    def __init__(
        self,
        app: Flask,
        name: str,
        *,
        lost: Callable[[], object],
        threads: int = 4,
        bounds: Bounds | None = None,
        **options: Any,
    ) -> None:
        self._sockets: dict[int, Any] = {}
        # What is logged while it answers is its actor's.
        app.wsgi_app = for_speaker(app.wsgi_app)  # type: ignore[method-assign]
        answering = ThreadedTaskDispatcher()
        # poll, as select knows no descriptor above 1023: a flood of connections would end the loop.
        # Connections that do nothing are closed after two minutes: to look each second is no use.
        often = {"asyncore_use_poll": True, "asyncore_loop_timeout": 30}
        options = {"ident": None, **often, **options}
        try:
            if bounds:
                self._server = StrangersServer(bounds, app, self._sockets, answering, **options)
            else:
                self._server = create_server(app, self._sockets, _dispatcher=answering, **options)
        except BaseException:
            wasyncore.close_all(self._sockets)  # or each try at a taken address would leave some
            raise
        answering.set_thread_count(threads)
        self._file = Path(options["unix_socket"]) if "unix_socket" in options else None
        self._lost = lost
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let go of the address, and of who is still connected; a socket's file is removed."""
        self._closing = True
        # First those that answer: they wake the loop through a descriptor that is closed after.
        self._server.task_dispatcher.shutdown(timeout=1)
        # The sockets are the loop's: it is the loop that closes them, and ends when none is left.
        self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._sockets))
        self._thread.join(timeout=1)
        if self._file:
            self._file.unlink(missing_ok=True)

    def _run(self) -> None:
        try:
            self._server.run()
        finally:
            if not self._closing:
                self._lost()
