"""Making the machine ready for the sandbox, with real LXD daemons."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.host import HostError, Place, clean, prepare
from sandbox.lxd_daemon import remove_directory
from sandbox.private_lxd import PrivateLxd
from supervisor.gateways.lxd import Kind, Lxd, LxdEndpoint

NOWHERE = LxdEndpoint(Path("/nonexistent/unix.socket"))


class Steps(list[str]):
    """The steps that were begun."""

    def __call__(self, step: str, took_s: float | None = None) -> None:
        if took_s is None:
            self.append(step)


@pytest.fixture
def place() -> Iterator[Place]:
    """Return a place where no LXD is, so that a private one is made."""
    # Not pytest's directory: the path of LXD's socket must be short.
    directory = Path(f"/var/tmp/ghrs-host-{os.getpid()}")
    yield Place(f"ghrsh{os.getpid()}", directory, NOWHERE)
    remove_directory(directory / "lxd")
    remove_directory(directory)


def names(socket: Path, prefix: str) -> set[str]:
    """Return the kinds of things of this name that LXD has."""
    lxd = Lxd(LxdEndpoint(socket))
    kinds: tuple[Kind, ...] = ("projects", "storage-pools", "networks")
    return {kind for kind in kinds for found in lxd.resources(kind) if found.name == prefix}


def test_a_private_lxd_is_made_once_ended_with_the_sandbox_and_cleaned_without_a_trace(
    place: Place,
) -> None:
    steps = Steps()
    first = prepare(steps, use_emulator=False, place=place)
    assert first.kind == "lxd"
    assert f"starting a private LXD in {place.lxd_dir}" in steps
    assert "importing the runner image" in steps
    first.stop()
    first.stop()
    assert not Path(f"/sys/class/net/{place.prefix}").exists()

    again = Steps()
    second = prepare(again, use_emulator=False, place=place)
    assert "importing the runner image" not in again
    assert second.bridge_address == first.bridge_address
    second.stop()

    clean(Steps(), place=place)
    assert not place.state_dir.exists()


def test_a_sandbox_that_was_killed_is_no_hindrance_to_the_next(place: Place) -> None:
    program = f"""
import os, signal, sys
from pathlib import Path
from sandbox.host import LxdEndpoint, Place, prepare
place = Place({place.prefix!r}, Path({str(place.state_dir)!r}), LxdEndpoint(Path("/nonexistent/s")))
host = prepare(lambda step, took_s=None: None, use_emulator=False, place=place)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False, timeout=50)
    assert killed.returncode == -signal.SIGKILL
    host = prepare(Steps(), use_emulator=False, place=place)
    assert host.socket is not None
    assert Lxd(LxdEndpoint(host.socket, host.project)).instances() == []
    host.stop()


def test_an_lxd_that_is_there_is_used_and_left_as_it_was(
    real_lxd: PrivateLxd, tmp_path: Path
) -> None:
    place = Place(f"ghrse{os.getpid()}", tmp_path / "state", LxdEndpoint(real_lxd.daemon.socket))
    host = prepare(Steps(), use_emulator=False, place=place)
    assert (host.socket, host.reason) == (real_lxd.daemon.socket, "it answers")
    assert len(names(real_lxd.daemon.socket, place.prefix)) == 3
    lxd = Lxd(LxdEndpoint(host.socket, host.project))
    lxd.create(
        {
            "name": "left-behind",
            "source": {"type": "image", "alias": host.image},
            "profiles": [host.profile],
        },
        limit_s=30,
    )
    host.stop()
    assert lxd.instances() == []
    assert real_lxd.daemon.pid is not None

    clean(Steps(), place=place)
    assert names(real_lxd.daemon.socket, place.prefix) == set()
    assert real_lxd.daemon.pid is not None
    clean(Steps(), place=place)  # nothing is left to remove, and that is fine


def test_two_sandboxes_at_once_are_refused(real_lxd: PrivateLxd, tmp_path: Path) -> None:
    place = Place(f"ghrsl{os.getpid()}", tmp_path / "state", LxdEndpoint(real_lxd.daemon.socket))
    host = prepare(Steps(), use_emulator=True, place=place)
    assert (host.kind, host.socket, host.reason) == ("emulator", None, "it was asked for")
    with pytest.raises(HostError, match="another sandbox is running"):
        prepare(Steps(), place=place)
    with pytest.raises(HostError, match="another sandbox is running"):
        clean(Steps(), place=place)
    host.stop()
    prepare(Steps(), use_emulator=True, place=place).stop()
