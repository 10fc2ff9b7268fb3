"""Guests on a real LXD, and their host as they see it."""

import contextlib
import gzip
import hashlib
import http.server
import io
import itertools
import json
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cloud_image import build_cloud_image
from pylxd import Client
from waiting import eventually

from sandbox.image import build_image
from sandbox.private_lxd import PrivateLxd
from supervisor.gateways.lxd import Lxd, LxdEndpoint, OperationFailed
from supervisor.guest import GuestParameters, user_data
from supervisor.runners.instances import InstanceTemplate, instance_request

JIT_CONFIG = "and0LWNvbmZpZ3VyYXRpb24tb2YtdGhlLXRlc3Q="
TOKEN = "signal-token-of-the-test"
GONE_LIMIT_S = 45.0
CLOUD_IMAGE = "cloud-init"
POLICY_IMAGE = "tiny-with-policy-tools"

_numbers = itertools.count(1)


class Inbox(http.server.ThreadingHTTPServer):
    """The host as guests see it: takes signals and what jobs tell, and has the application.

    As many signals as are `not_heard_yet` are answered by 503, but for `ready`, which has answers
    of its own.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: str, port: int = 0) -> None:
        super().__init__((address, port), _Handler)
        self.signals: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.told: list[str] = []
        self.leaks: list[bytes] = []
        self.secrets = [JIT_CONFIG, TOKEN]
        self.files: dict[str, bytes] = {}
        self.admissions = [(204, b"")]
        self.not_heard_yet = 0
        self.verdict = (204, b"")
        self.asked: list[tuple[str, str, Any]] = []
        self.base = f"http://{address}:{self.server_port}"

    def look_for_leaks(self) -> None:
        """Look at the arguments of all processes, guests' too: their host sees them."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                arguments = path.read_bytes()
                if any(secret.encode() in arguments for secret in self.secrets):
                    self.leaks.append(arguments)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.look_for_leaks()
        status, answer = 204, b""
        if self.path.startswith("/policy/"):
            self.server.asked.append((self.path, self.headers["Authorization"], json.loads(body)))
            status, answer = self.server.verdict
        elif self.path == "/told":
            self.server.told.append(body)
        elif self.headers["Authorization"] == f"Bearer {TOKEN}":
            pairs = (line.partition("=") for line in body.splitlines())
            signal = {key: value for key, _, value in pairs}
            if signal["signal"] == "ready":
                first, *later = self.server.admissions
                self.server.admissions = later or [first]
                status, answer = first
            elif self.server.not_heard_yet:
                self.server.not_heard_yet -= 1
                status = 503
            if status < HTTPStatus.MULTIPLE_CHOICES:
                self.server.signals.append(signal)
        else:
            self.server.refused.append(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        content = self.server.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def start_host(real_lxd: PrivateLxd) -> Iterator[Callable[..., Inbox]]:
    """Give what starts a host at the bridge's address; those that are left end with the test."""
    address = str(Lxd(real_lxd.endpoint).bridge_address(real_lxd.network).ip)
    with contextlib.ExitStack() as stack:

        def start(port: int = 0, not_heard_yet: int = 0) -> Inbox:
            server = stack.enter_context(Inbox(address, port))
            server.not_heard_yet = not_heard_yet
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(server.shutdown)
            return server

        yield start


@pytest.fixture
def inbox(start_host: Callable[..., Inbox]) -> Inbox:
    return start_host()


@pytest.fixture(scope="session")
def cloud_image(real_lxd: PrivateLxd) -> str:
    """Return the alias of an image with cloud-init, imported into the real LXD."""
    if shutil.which("mmdebstrap") is None or shutil.which("mksquashfs") is None:
        pytest.fail("mmdebstrap or squashfs-tools is not installed")
    metadata, rootfs = build_cloud_image()
    Lxd(LxdEndpoint(real_lxd.endpoint.socket, real_lxd.project)).import_image(
        metadata, rootfs, alias=CLOUD_IMAGE
    )
    return CLOUD_IMAGE


@pytest.fixture(scope="session")
def policy_image(real_lxd: PrivateLxd, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the alias of the tiny image with all that it takes to ask a policy."""
    built = build_image(tmp_path_factory.mktemp("policy-image"), policy_tools=True)
    Lxd(LxdEndpoint(real_lxd.endpoint.socket, real_lxd.project)).import_image(
        built.path, alias=POLICY_IMAGE
    )
    return POLICY_IMAGE


@dataclass
class Guests:
    """Makes guests and waits for their end."""

    lxd: Lxd
    inbox: Inbox
    template: InstanceTemplate

    def run(self, script: str, *, limit_s: float = GONE_LIMIT_S, **changes: Any) -> list[Any]:
        """Run one guest to its end and return what it said; one that failed is removed."""
        name = self.start(script, **changes)
        self._wait(name, lambda status: status is None or self.has_failed(), limit_s)
        self.lxd.delete(name, limit_s=30)
        return self.inbox.signals

    def has_failed(self) -> bool:
        """Tell whether a guest has said so."""
        return any(signal["signal"] == "failed" for signal in self.inbox.signals)

    def start(
        self,
        script: str,
        *,
        image: str | None = None,
        ephemeral: bool = True,
        programs: Mapping[str, str] | None = None,
        policy_limit_s: int = 75,
        admission_limit_s: int = 120,
        begun_limit_s: int = 1800,
        linger_s: int = 20,
        unheard_limit_s: int = 15,
        **changes: Any,
    ) -> str:
        """Create and start a guest whose application is a run.sh with this script.

        Its image may get further programs: shell scripts by their paths. Its watch over the policy,
        its waits for its host and for being admitted and its stay after a failure may be made
        shorter.
        """
        name = f"guest-{next(_numbers)}"
        packed = pack_application(script)
        self.inbox.files["/application.tar.gz"] = packed
        given: dict[str, Any] = {
            "runner_name": name,
            "jit_config": JIT_CONFIG,
            "signal_url": f"{self.inbox.base}/v1/runners/{name}/signals",
            "signal_token": TOKEN,
            "application_url": f"{self.inbox.base}/application.tar.gz",
            "application_sha256": hashlib.sha256(packed).hexdigest(),
            **changes,
        }
        template = self.template
        if image:
            template = replace(template, image=str(self.lxd.image(image)))
        script = user_data(GuestParameters(**given))
        for usual, chosen in (
            ("POLICY_LIMIT_S=75", f"POLICY_LIMIT_S={policy_limit_s}"),
            ("ADMISSION_LIMIT_S=120", f"ADMISSION_LIMIT_S={admission_limit_s}"),
            ("LINGER_S=20", f"LINGER_S={linger_s}"),
            ("UNHEARD_LIMIT_S=15", f"UNHEARD_LIMIT_S={unheard_limit_s}"),
            ("BEGUN_LIMIT_S=1800", f"BEGUN_LIMIT_S={begun_limit_s}"),
            ("BEGUN_LOOK_S=15", "BEGUN_LOOK_S=1"),
        ):
            assert f"\n{usual}\n" in script
            script = script.replace(usual, chosen)
        request = instance_request(template, name=name, user_data=script, metadata={})
        request["ephemeral"] = ephemeral
        self.lxd.create(request, limit_s=60)
        if programs:
            endpoint = self.lxd.endpoint
            socket = quote(str(endpoint.find_socket()), safe="")
            client = Client(endpoint=f"http+unix://{socket}", project=endpoint.project)
            instance = client.instances.get(name)
            for path, text in programs.items():
                instance.files.put(path, text.encode(), mode="0755")
        self.lxd.start(name, limit_s=60)
        return name

    def start_again(self, name: str) -> None:
        """Start an instance that has stopped; LXD says so before it is done with stopping it."""

        def starts() -> bool:
            try:
                self.lxd.start(name, limit_s=30)
            except OperationFailed as error:
                if "busy" not in str(error):
                    raise
                return False
            return True

        eventually(starts, f"{name} starts again", limit_s=GONE_LIMIT_S)

    def wait_until_gone(self, name: str, limit_s: float = GONE_LIMIT_S) -> None:
        """Wait until LXD knows it no more."""
        self._wait(name, lambda status: status is None, limit_s)

    def wait_until_failed(self, name: str, limit_s: float = GONE_LIMIT_S) -> None:
        """Wait until a guest has said that it failed; it is there still."""
        self._wait(name, lambda status: status == "Running" and self.has_failed(), limit_s)

    def wait_until_stopped(self, name: str, limit_s: float = GONE_LIMIT_S) -> None:
        """Wait until LXD has stopped it."""
        self._wait(name, lambda status: status == "Stopped", limit_s)

    def _wait(self, name: str, met: Callable[[str | None], bool], limit_s: float) -> None:
        def status() -> str | None:
            return {found.name: found.status for found in self.lxd.instances()}.get(name)

        def picture() -> str:
            console = self.lxd.console_log(name)
            return f"{name} is {status()}; it said {self.inbox.signals}; its console: {console}"

        eventually(lambda: met(status()), limit_s=limit_s, picture=picture)


@pytest.fixture
def guests(lxd: Lxd, real_lxd: PrivateLxd, inbox: Inbox) -> Guests:
    return Guests(lxd, inbox, real_lxd.template(memory="512MiB", disk="4GiB"))


def pack_application(script: str) -> bytes:
    """Pack a runner application that consists of a run.sh."""
    content = f"#!/bin/sh\n{script}\n".encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("./run.sh")
        member.size = len(content)
        member.mode = 0o755
        archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)
