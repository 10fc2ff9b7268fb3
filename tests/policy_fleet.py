"""The policy's actor with the real service under gunicorn, and a GitHub that it can ask."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fake_actors import Inbox
from fake_world import World
from waiting import eventually

from supervisor.actors.policy import PolicyActor
from supervisor.messages.configuration import ConfigChanged
from supervisor.supervision import ChildSpec, SystemClock

HOST = "127.0.0.1"
LIMIT_S = 30.0
END_LIMIT_S = 60.0


class WrongClock(SystemClock):
    """The machine's clocks, but for the time of day, which may be set wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


def wait_for_end(pid: int) -> None:
    """Wait until a process that was told to end is gone.

    When all is answered its interpreter clears up, which takes long where others have the
    processors; after half a minute the daemon kills it.
    """
    eventually(lambda: not exists(pid), limit_s=END_LIMIT_S)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        github = self.server.github
        github.asked.append((self.path, self.headers["Authorization"]))
        github.open.wait(LIMIT_S)
        status = github.status if self.headers["Authorization"] in github.known else 401
        text = b"[]" if "/collaborators" in self.path else b"{}"
        with suppress(OSError):  # whoever asked may be gone
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    github: GitHub


class GitHub:
    """Answers anything with `status`, while it is open, to those it knows."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[tuple[str, str]] = []
        self.known = {"Bearer secret"}
        self.status = 200
        self.open = threading.Event()
        self.open.set()


@contextmanager
def github() -> Iterator[GitHub]:
    with _Server((HOST, 0), _Handler) as server:
        server.github = GitHub(f"http://{HOST}:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.github
        finally:
            server.github.open.set()
            server.shutdown()


class PolicyFleet:
    """The actor, what its fleet is told, and what guests can ask."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told: list[Any] = []
        self.given = 0
        config = world.parts.settings.config
        self.base = f"http://{HOST}:{config.policy.port}"
        self._run(world)

    def _run(self, world: World) -> None:
        world.run(
            ChildSpec("fleet", partial(Inbox.start, world.system, self.told)),
            ChildSpec("policy", partial(PolicyActor.start, world.system, world.parts), shutdown=1),
        )

    # What there is of it

    @property
    def pid(self) -> int:
        """The service's first process."""
        process = self.world.parts.policy.process
        assert process
        return process.pid

    @property
    def workers(self) -> list[int]:
        """Those that answer."""
        return children(self.pid)

    @property
    def healthy(self) -> bool:
        """What the fleet knows."""
        return bool(self.told) and self.told[-1].healthy

    @property
    def reason(self) -> str:
        """Why no runner is made."""
        return self.told[-1].reason if self.told else ""

    def was_in_trouble(self, why: str, since: int = 0) -> bool:
        """Tell whether the fleet was told so, be it all well again: after so many messages."""
        return any(not one.healthy and why in one.reason for one in self.told[since:])

    # What happens

    def reload(self, **changes: Any) -> None:
        """Change the configuration."""
        self.world.reconfigure(**changes)
        self.world.tell("policy", ConfigChanged(self.world.parts.settings.config))

    # What guests do

    def token(self, address: str = HOST) -> str:
        """Give a guest its token, as the web service that guests report to does."""
        self.given += 1  # each to another runner
        mark, now = f"guest {self.given}", self.world.clock.now()
        token = self.world.parts.tokens.token("fleet-a", mark, address, now)
        assert token
        return token

    def ask(self, token: str | None = None, address: str = HOST) -> int:
        """Ask from an address whether a push may run; by a token of its own, if none is given."""
        connection = http.client.HTTPConnection(
            HOST,
            self.world.parts.settings.config.policy.port,
            timeout=LIMIT_S,
            source_address=(address, 0),
        )
        headers = {
            "Authorization": f"Bearer {token or self.token(address)}",
            "Content-Type": "application/json",
        }
        body = json.dumps({"repository_name": "acme/demo"})
        try:
            connection.request("POST", "/push/check-run", body, headers)
            return connection.getresponse().status
        finally:
            connection.close()


def children(pid: int) -> list[int]:
    """Give the processes that another has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def exists(pid: int) -> bool:
    """Tell whether a process is there, be it dead and not yet waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
