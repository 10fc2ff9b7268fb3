"""How much sooner a runner takes a job when its image holds the runner application.

The clock runs from the order to create an instance until its guest has started the application:
once it fetches that from this host, once it has it. Both are of the same stock system. What the
packages of the image would take that a job needs is not counted: they are stand-ins here.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import statistics
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import places
from table import render, spread

from sandbox.private_lxd import PrivateLxd, private_lxd
from supervisor.gateways.lxd import Lxd
from supervisor.guest import GuestParameters, user_data
from supervisor.images.base import BaseImage
from supervisor.images.choice import Wish
from supervisor.images.settings import ImageSettings
from supervisor.runners.instances import InstanceTemplate, instance_request
from supervisor.upgrades.application import Application
from supervisor.work.image import ImageReady, ImageWork

sys.path.append(str(Path(__file__).parent.parent / "tests"))
# The stock system of the tests, and what stands in for its archive.
from cloud_image import build_cloud_image
from image_servers import Packages, serving

_BASE = "stock"
_LIMIT_S = 120.0
_RUN = '#!/bin/sh\n. ./.env\nsh "$ACTIONS_RUNNER_HOOK_JOB_STARTED"\n'


class _Host(http.server.ThreadingHTTPServer):
    """The host as guests see it."""

    daemon_threads = True

    def __init__(self, address: str, packed: bytes) -> None:
        super().__init__((address, 0), _Handler)
        self.packed = packed
        self.begun = threading.Event()
        self.base = f"http://{address}:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Host

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"signal=job-started" in body:
            self.server.begun.set()
        self._answer(204, b"")

    def do_GET(self) -> None:
        self._answer(200, self.server.packed)

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        pass


class _Untried:
    """Takes an image as it is: what is measured are the runners."""

    def parameters(self, name: str) -> str:
        return f"#!/bin/sh\n# {name}\n"

    def wait(self, _name: str, _limit_s: float) -> str:
        return ""

    def forget(self, _name: str) -> None:
        pass


def run(*, rounds: int = 3, application_mib: int = 200) -> dict[str, Any]:
    """Measure.

    Args:
        rounds: how often both take turns.
        application_mib: the size of the application's archive; the real one has about so many.
    """
    packed = _packed(application_mib)
    found: dict[tuple[str, str], list[float]] = {}
    with places.workshop() as directory, private_lxd(timeout_s=60, memory="10G") as made:
        lxd = Lxd(made.endpoint)
        lxd.ensure_pool("btrfs", "btrfs", {"size": "4GiB"})
        address = str(lxd.bridge_address(made.network).ip)
        with _host(address, packed) as host, _packages(directory, address) as sources:
            template = _template(made)
            images = {"stock": _base(lxd, made, sources)}
            images["built"] = _built(lxd, template, packed, directory)
            for pool in ("btrfs", made.pool):
                for image in images.values():  # a pool may unpack an image at its first use
                    _first_job_s(lxd, replace(template, pool=pool, image=image), host)
                for _ in range(rounds):
                    for name, image in images.items():
                        took_s = _first_job_s(lxd, replace(template, pool=pool, image=image), host)
                        found.setdefault((pool, name), []).append(took_s)
    rows = []
    for pool in ("btrfs", made.pool):
        stock, built = found[pool, "stock"], found[pool, "built"]
        ratio = statistics.median(built) / statistics.median(stock)
        rows.append(
            ("btrfs" if pool == "btrfs" else "dir", spread(stock), spread(built), f"{ratio:.2f}")
        )
    heading = ("pool", "stock image, s", "built image, s", "ratio")
    seconds = {" ".join(key): values for key, values in found.items()}
    return {"seconds": seconds, "table": render(heading, rows)}


def _first_job_s(lxd: Lxd, template: InstanceTemplate, host: _Host) -> float:
    script = user_data(
        GuestParameters(
            runner_name="runner",
            jit_config="bm9uZQ==",
            signal_url=f"{host.base}/v1/runners/runner/signals",
            signal_token="none",  # noqa: S106 - nobody looks at it
            application_url=f"{host.base}/application.tar.gz",
            application_sha256=hashlib.sha256(host.packed).hexdigest(),
        )
    )
    request = instance_request(template, name="runner", user_data=script, metadata={})
    host.begun.clear()
    began = time.monotonic()
    lxd.create(request, limit_s=_LIMIT_S)
    lxd.start("runner", limit_s=_LIMIT_S)
    assert host.begun.wait(_LIMIT_S), lxd.console_log("runner")
    took_s = time.monotonic() - began
    lxd.delete("runner", limit_s=_LIMIT_S)
    return took_s


def _built(lxd: Lxd, template: InstanceTemplate, packed: bytes, directory: Path) -> str:
    archive = directory / "application.tar.gz"
    archive.write_bytes(packed)
    base, key = BaseImage.parse(_BASE), directory / "image-key"
    settings = ImageSettings("bench", base, template, key, "x64")
    application = Application("", hashlib.sha256(packed).hexdigest(), archive.name)
    said: list[str] = []
    ready = ImageWork(lxd, settings).ensure(application, archive, _Untried(), said.append, Wish())
    assert isinstance(ready, ImageReady), (ready, said)
    return ready.image.fingerprint


def _base(lxd: Lxd, made: PrivateLxd, sources: bytes) -> str:
    """Make the stock system one whose packages are had from this host."""
    stock = lxd.import_image(*build_cloud_image(), alias="unchanged")
    request = {
        "name": "base",
        "source": {"type": "image", "fingerprint": stock},
        "profiles": [made.profile],
        "devices": {"root": {"type": "disk", "path": "/", "pool": made.pool}},
    }
    lxd.create(request, limit_s=_LIMIT_S)
    lxd.push_file("base", "/etc/apt/sources.list", sources, mode=0o644, limit_s=_LIMIT_S)
    fingerprint = lxd.publish("base", {}, limit_s=_LIMIT_S)
    lxd.name_image(_BASE, fingerprint)
    lxd.delete("base", limit_s=_LIMIT_S)
    return fingerprint


def _template(made: PrivateLxd) -> InstanceTemplate:
    return InstanceTemplate(
        type="container",
        image="",
        pool=made.pool,
        network=made.network,
        profiles=(made.profile,),
        cpu=2,
        memory="2GiB",
        disk="8GiB",
    )


@contextmanager
def _host(address: str, packed: bytes) -> Iterator[_Host]:
    with _Host(address, packed) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield host
        host.shutdown()


@contextmanager
def _packages(directory: Path, address: str) -> Iterator[bytes]:
    packages = Packages(directory / "packages")
    packages.directory.mkdir()
    packages.add_those_of_images()
    with serving(packages.directory, address) as url:
        yield f"deb [trusted=yes] {url} ./\n".encode()


def _packed(mib: int) -> bytes:
    """Pack an application of that size that can't be compressed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in (("./run.sh", _RUN.encode()), ("./bin/rest", os.urandom(mib << 20))):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)
