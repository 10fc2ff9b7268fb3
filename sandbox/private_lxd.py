"""A private LXD with all that instances need, which is gone without a trace when it is left.

For tests and measurements. Everything lives in memory, and a guardian process removes it even if
this process is killed. Tables of packet filters stay, empty, as LXD leaves them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.image import build_image
from sandbox.lxd_daemon import LxdDaemon, free_subnet, remove_directory
from supervisor.gateways.lxd import Lxd, LxdEndpoint
from supervisor.runners.instances import InstanceTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_POOL = "runners"
_PROFILE = "runner"
_IMAGE = "tiny"
_FURNISHING_LIMIT_S = 30.0


@dataclass(frozen=True)
class PrivateLxd:
    """What was made, by name.

    Attributes:
        daemon: The daemon; a test may kill or pause it, and start or resume it again.
        endpoint: Where it is, with the project.
        project: A project of its own.
        pool: A `dir` pool, in memory.
        network: A bridge with DHCP, which leaves the addresses from .251 on to tests; its name is
            not used by any other LXD of the machine.
        profile: An empty profile.
        image: The alias of the tiny runner image, without the runner application.
    """

    daemon: LxdDaemon
    endpoint: LxdEndpoint
    project: str
    pool: str
    network: str
    profile: str
    image: str

    def template(self, *, memory: str = "128MiB", disk: str = "64MiB") -> InstanceTemplate:
        """Return what a container here is made from."""
        return InstanceTemplate(
            type="container",
            image=str(Lxd(self.endpoint).image(self.image)),
            pool=self.pool,
            network=self.network,
            profiles=(self.profile,),
            cpu=1,
            memory=memory,
            disk=disk,
        )


@contextmanager
def private_lxd(
    *,
    timeout_s: float = 10,
    memory: str = "4G",
    path_entry: Path | None = None,
    project: str | None = None,
) -> Iterator[PrivateLxd]:
    """Start a LXD of one's own; takes 1.5 s, of which the daemon takes 0.6.

    Args:
        timeout_s: The endpoint's.
        memory: The most it may take for all images and instances.
        path_entry: A directory put first in the daemon's `PATH`.
        project: The project's name. Daemons name filters and control groups after project and
            instance, machine-wide, so by default it is one that no other daemon has.

    Raises:
        LxdDaemonError: There is no LXD, or it does not start; a test must fail then.
        LxdError: It doesn't do what it is asked.
    """
    with fresh_lxd(memory=memory, path_entry=path_entry) as daemon, free_subnet() as subnet:
        endpoint = LxdEndpoint(
            daemon.socket, project or f"runners-{secrets.token_hex(4)}", timeout_s
        )
        yield _furnish(daemon, endpoint, subnet)


@contextmanager
def fresh_lxd(*, memory: str = "4G", path_entry: Path | None = None) -> Iterator[LxdDaemon]:
    """Start a LXD in which nothing is made yet.

    Args:
        memory: The most it may take for all images and instances.
        path_entry: A directory put first in the daemon's `PATH`.

    Raises:
        LxdDaemonError: There is no LXD, or it does not start; a test must fail then.
    """
    directory = Path(tempfile.mkdtemp(prefix="private-lxd-", dir="/var/tmp"))
    with _guardian(directory):
        daemon = LxdDaemon(directory, memory=memory, path_entry=path_entry)
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.destroy()


def _furnish(daemon: LxdDaemon, endpoint: LxdEndpoint, subnet: str) -> PrivateLxd:
    network = f"sup{secrets.token_hex(4)}"
    lxd = Lxd(LxdEndpoint(daemon.socket, endpoint.project, _FURNISHING_LIMIT_S))
    lxd.ensure_project(endpoint.project)
    lxd.ensure_pool(_POOL)
    guests = IPv4Interface(subnet).network
    addresses = {
        "ipv4.address": subnet,
        "ipv4.dhcp.ranges": f"{guests[2]}-{guests[250]}",
        "ipv6.address": "none",
    }
    lxd.ensure_network(network, addresses)
    lxd.ensure_profile(_PROFILE)
    with tempfile.TemporaryDirectory() as cache:
        lxd.import_image(build_image(Path(cache)).path, alias=_IMAGE)
    return PrivateLxd(daemon, endpoint, endpoint.project, _POOL, network, _PROFILE, _IMAGE)


@contextmanager
def _guardian(directory: Path) -> Iterator[None]:
    """Have another process remove the directory's LXD when this one ends, in whatever way.

    It waits for the end of its input, which the kernel closes when this process is gone.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox.private_lxd", str(directory)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
        env=_environment(),
    ):  # leaving closes its input and waits for it
        yield


def _environment() -> Mapping[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


def _guard(directory: Path) -> None:
    sys.stdin.buffer.read()
    if directory.exists():
        remove_directory(directory)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
