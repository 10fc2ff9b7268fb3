"""The real service under real gunicorn, and a GitHub of the test's own that can fail."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from policy_world import World, body, page_of
from ports import free_port
from requests.adapters import HTTPAdapter
from waiting import eventually

from supervisor.policy.tokens import issue

SECRET = b"0123456789abcdef0123456789abcdef"
CHARM = "charm-token-of-the-tests"
GITHUB_TOKEN = "ghp_tokenofthetests"
Fault = Callable[["Handler"], bool]
"""Answers a request in a way of its own, or tells by False that it has not."""


class Handler(BaseHTTPRequestHandler):
    """Answers as GitHub does, unless a fault is set."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        github = self.server.github
        with github.lock:
            github.asked.append(self.path)
            github.at_once += 1
            github.most_at_once = max(github.most_at_once, github.at_once)
        try:
            fault = github.fault
            if not (fault and fault(self)):
                self.answer()
        except OSError:  # the service waits no longer
            self.close_connection = True
        finally:
            with github.lock:
                github.at_once -= 1

    def answer(self) -> None:
        github = self.server.github
        if self.headers["Authorization"] not in github.authorized:
            self.send(401, {"message": "Bad credentials"})
            return
        if self.path == "/rate_limit":
            self.send(200, {"resources": {}})
            return
        status, data = github.world.answer(self.path)
        headers = {}
        if isinstance(data, list):
            data, more = page_of(self.path, data)
            headers = {"Link": '<https://next>; rel="next"'} if more else {}
        etag = f'"{hash(json.dumps(data))}"'
        if status == 200 and self.headers["If-None-Match"] == etag:
            self.send(304, None, ETag=etag, **headers)
        else:
            self.send(status, data, ETag=etag, **headers)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.github.asked.append(self.path)
        self.server.github.signed_with = self.headers["Authorization"]
        self.send(*self.server.github.installation)

    def send(self, status: int, data: Any, **headers: str) -> None:
        text = b"" if data is None else json.dumps(data).encode()
        self.send_raw(status, text, **headers)
        self.server.github.answered.append(status)

    def send_raw(self, status: int, text: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 200
    github: GitHub

    def handle_error(self, *_: Any) -> None:
        """Say nothing: services that are killed cut their connections."""


@dataclass
class GitHub:
    """What answers in GitHub's place."""

    world: World = field(default_factory=World)
    fault: Fault | None = None
    authorized: set[str] = field(default_factory=lambda: {f"Bearer {GITHUB_TOKEN}"})
    installation: tuple[int, Any] = (404, {"message": "Not Found"})
    signed_with: str = ""
    asked: list[str] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def reset(self) -> None:
        """Have everything in order again."""
        self.world, self.fault = World(), None
        self.authorized = {f"Bearer {GITHUB_TOKEN}"}
        self.installation = (404, {"message": "Not Found"})
        self.released = threading.Event()
        self.asked.clear()
        self.answered.clear()
        self.most_at_once = 0

    def hang(self, _handler: Handler) -> bool:
        """Keep whoever asks waiting, until the test is over."""
        self.released.wait(60)
        return False


class _From(HTTPAdapter):
    """Connects from an address of this machine's."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, source_address=(self._address, 0), **kwargs)


@dataclass
class Service:
    """The service, as the daemon would have started it."""

    process: subprocess.Popen[bytes]
    base: str
    directory: Path

    def token(self, address: str = "127.0.0.1", runner: str = "runner-1", **how: Any) -> str:
        lifetime = how.get("lifetime", timedelta(hours=1))
        secret = how.get("secret", SECRET)
        return issue(secret, runner, address, datetime.now(timezone.utc), lifetime)

    def call(self, method: str, path: str, token: str | None, **more: Any) -> requests.Response:
        """Send a request, through a connection of its own, as guests do."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        headers |= more.pop("headers", {})
        with requests.Session() as session:
            session.mount("http://", _From(more.pop("address", "127.0.0.1")))
            options = {"timeout": 40, "allow_redirects": False}
            return session.request(method, self.base + path, headers=headers, **options, **more)

    def check(self, event: str = "pull_request", **more: Any) -> requests.Response:
        """Ask whether a job may run, with a fresh token of the guest at `address`."""
        asked = more.pop("json", body())
        token = self.token(more.get("address", "127.0.0.1"))
        return self.call("POST", f"/{event}/check-run", token, json=asked, **more)

    @property
    def workers(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def decisions(self) -> list[dict[str, Any]]:
        text = (self.directory / "decisions.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]


def settings_for(api_url: str, directory: Path, **changes: Any) -> dict[str, Any]:
    github = {"api_url": api_url, "credential": {"token": GITHUB_TOKEN}}
    return {
        "github": github | changes.pop("github", {}),
        "charm_token": CHARM,
        "token_secrets": [base64.b64encode(SECRET).decode()],
        "state_directory": str(directory / "state"),
        "policy": None,
        "decisions": str(directory / "decisions.jsonl"),
        **changes,
    }


@contextmanager
def serving_github() -> Iterator[GitHub]:
    server = Server(("127.0.0.1", 0), Handler)
    server.github = GitHub(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.github
    finally:
        server.github.released.set()
        server.shutdown()
        server.server_close()


def start(settings: dict[str, Any], bind: str, *options: str, **more: Any) -> Any:
    """Start the service's process, with its settings in a pipe."""
    reader, writer = os.pipe()
    program = [sys.executable, "-m", "supervisor.policy_service", "--settings-fd", str(reader)]
    try:
        process = subprocess.Popen(
            [*program, "--bind", bind, *options], pass_fds=(reader,), start_new_session=True, **more
        )
        os.write(writer, json.dumps(settings).encode())
    finally:
        os.close(reader)
        os.close(writer)
    return process


@contextmanager
def running(settings: dict[str, Any], directory: Path, *options: str) -> Iterator[Service]:
    bind = f"127.0.0.1:{free_port()}"
    with (directory / "service.log").open("ab") as log:
        process = start(settings, bind, *options, stdout=log, stderr=log)
    service = Service(process, f"http://{bind}", directory)

    def is_up() -> bool:
        assert process.poll() is None, (directory / "service.log").read_text()
        with suppress(requests.ConnectionError):
            return service.call("GET", "/auth-health", None).status_code == 401
        return False

    try:
        eventually(is_up)
        yield service
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
