"""LXDs to measure against: a real one of our own, and the emulator in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from daemon import Place
from watch import client

from sandbox.application import build_application
from sandbox.github import SandboxGitHub
from sandbox.image import build_image
from sandbox.private_lxd import private_lxd
from supervisor.gateways.lxd import Lxd, LxdEndpoint, LxdError

_IMAGE = "runner"
_DELETIONS_AT_ONCE = 8
_UP_LIMIT_S = 15.0


@contextmanager
def real(directory: Path) -> Iterator[Place]:
    """Start a real LXD in memory, with the tiny image and the stand-in application in it."""
    with private_lxd(timeout_s=60, memory="6G") as made:
        lxd = Lxd(made.endpoint)
        image = build_image(directory / "image", build_application(directory).path)
        lxd.import_image(image.path, alias=_IMAGE)
        address = str(lxd.bridge_address(made.network).ip)
        socket = made.endpoint.find_socket()
        environment = client(socket, made.project).host_info["environment"]
        yield Place(
            socket=socket,
            project=made.project,
            pool=made.pool,
            network=made.network,
            profile=made.profile,
            image=_IMAGE,
            address=address,
            version=f"{environment['server_version']} ({environment['storage']} pool in memory)",
        )


@contextmanager
def emulated(directory: Path) -> Iterator[Place]:
    """Start the emulator: LXD and guests take no time of their own."""
    socket = directory / "lxd.socket"
    command = [sys.executable, "-m", "sandbox.lxd_emulator", "--instant", "--socket", str(socket)]
    with subprocess.Popen([*command, "--image", _IMAGE], stdout=subprocess.DEVNULL) as process:
        try:
            _wait_until_it_answers(socket)
            yield Place(
                socket=socket,
                project="default",
                pool="default",
                network="lxdbr0",
                profile="default",
                image=_IMAGE,
                address="127.0.0.1",
                version="emulator",
            )
        finally:
            process.send_signal(signal.SIGTERM)


@contextmanager
def github(place: Place, directory: Path) -> Iterator[SandboxGitHub]:
    """Start a GitHub that knows nobody yet, where the place's guests can reach it."""
    tarball = build_application(directory).path
    with SandboxGitHub(host=place.address, tarball=tarball) as server:
        yield server


def empty(place: Place) -> None:
    """Delete all instances."""
    lxd = Lxd(LxdEndpoint(place.socket, place.project, 60))
    names = [instance.name for instance in lxd.instances()]
    with ThreadPoolExecutor(_DELETIONS_AT_ONCE) as threads:
        for _ in threads.map(lambda name: lxd.delete(name, limit_s=60), names):
            pass


@contextmanager
def workshop() -> Iterator[Path]:
    """Make a directory for the time of a benchmark."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as directory:
        yield Path(directory)


def _wait_until_it_answers(socket: Path) -> None:
    lxd = Lxd(LxdEndpoint(socket))
    deadline = time.monotonic() + _UP_LIMIT_S
    while True:
        try:
            lxd.instances()
        except LxdError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
