"""The LXD emulator in the place of a host's LXD."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sandbox.host import Host
from sandbox.lxd_emulator import LxdEmulator
from supervisor.gateways.lxd import Lxd, LxdEndpoint


@contextmanager
def emulated(host: Host, directory: Path) -> Iterator[Host]:
    """Give the host an emulated LXD, set up as a real one would be.

    Args:
        host: one whose `kind` is `emulator`.
        directory: where the emulator's socket is made.
    """
    socket = directory / "lxd.socket"
    with LxdEmulator(socket=socket):
        everywhere = Lxd(LxdEndpoint(socket))
        everywhere.ensure_project(host.project)
        everywhere.ensure_pool(host.pool)
        everywhere.ensure_network(host.network, {"ipv4.address": "127.0.0.1/8"})
        lxd = Lxd(LxdEndpoint(socket, host.project))
        lxd.ensure_profile(host.profile)
        image = directory / "image.tar.gz"
        image.write_bytes(b"emulated")
        lxd.import_image(image, alias=host.image)
        yield replace(host, socket=socket)
