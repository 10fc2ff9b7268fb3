"""An emulated LXD, a place for guests' signals, and a GitHub."""

from __future__ import annotations

import json
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import requests
from pylxd import Client
from ws4py.client import WebSocketBaseClient

from sandbox.github import SandboxGitHub
from sandbox.lxd_emulator import GuestBehaviour, LxdEmulator, Timing
from supervisor.guest import GuestParameters, user_data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_S = 10
FAST = GuestBehaviour(boot_s=0, poweroff_s=0, linger_s=0)


class EventStream(WebSocketBaseClient):  # type: ignore[misc]
    """All events of the default project, as pylxd's own stream gets them."""

    def handshake_ok(self) -> None:
        self.arrived: queue.Queue[dict[str, Any]] = queue.Queue()
        self.ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):  # it may have been about to answer a ping when it was cut
            self.run()
        self.ended.set()

    def received_message(self, message: Any) -> None:
        self.arrived.put(json.loads(message.data))

    def actions(self, count: int) -> list[str]:
        """Wait for so many events and return what they tell."""
        return [self.arrived.get(timeout=LIMIT_S)["metadata"]["action"] for _ in range(count)]


@dataclass
class Host:
    """A host of guests: what they tell it, and what they are given.

    Attributes:
        url: Where guests signal.
        token: The token they must have.
        status: What signals are answered with.
        told: Each signal's fields, by runner.
    """

    url: str
    token: str = "made-up-signal-token"
    status: int = 204
    told: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def signals(self, name: str) -> list[str]:
        return [fields.get("signal", "") for runner, fields in list(self.told) if runner == name]

    def script(self, github: SandboxGitHub, name: str) -> str:
        """Register a runner and return what its guest is given."""
        answer = requests.post(
            f"{github.url}/orgs/{github.org}/actions/runners/generate-jitconfig",
            json={"name": name, "runner_group_id": 1, "labels": ["self-hosted"]},
            headers={"Authorization": f"Bearer {github.token}"},
            timeout=LIMIT_S,
        )
        return user_data(
            GuestParameters(
                runner_name=name,
                jit_config=answer.json()["encoded_jit_config"],
                signal_url=f"{self.url}/v1/runners/{name}/signals",
                signal_token=self.token,
                application_url="http://127.0.0.1/none.tar.gz",
                application_sha256="0" * 64,
            )
        )


@pytest.fixture
def host() -> Iterator[Host]:
    class Signals(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fields = dict(line.split("=", 1) for line in body.splitlines() if "=" in line)
            known = self.headers["Authorization"] == f"Bearer {made.token}"
            made.told.append((self.path.split("/")[3], fields))
            self.send_response(made.status if known else 401)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Signals)
    made = Host(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def github() -> Iterator[SandboxGitHub]:
    with SandboxGitHub(token="made-up-token") as made:
        yield made


@pytest.fixture
def lxd(tmp_path: Path) -> Iterator[LxdEmulator]:
    with LxdEmulator(
        tmp_path / "lxd.socket", guest=FAST, timing=Timing.none(), images={"tiny": "container"}
    ) as made:
        yield made


@pytest.fixture
def client(lxd: LxdEmulator) -> Client:
    return Client(endpoint=lxd.endpoint, timeout=LIMIT_S)


@pytest.fixture
def events(lxd: LxdEmulator) -> Iterator[EventStream]:
    stream = EventStream(f"ws+unix://{lxd.socket}", exclude_headers=["origin"])
    stream.resource = "/1.0/events?type=lifecycle"
    stream.connect()
    yield stream
    stream.close()
