"""An installation comes to a LXD that others use, and leaves it as it was."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from ports import free_port

from sandbox.github import SandboxGitHub
from sandbox.image import build_image
from supervisor.gateways.lxd import Lxd, LxdEndpoint
from supervisor.gateways.nftables import Nftables
from supervisor.runners.instances import instance_request
from tests.e2e.conftest import TOKEN, configuration, leave
from tests.e2e.daemon_process import CODE, DaemonProcess, run_cli
from tests.e2e.waits import wait_until
from tests.e2e.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sandbox.private_lxd import PrivateLxd

_IMAGE = "of-somebody-else"


@pytest.fixture(scope="module")
def image(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_image(tmp_path_factory.mktemp("image"), tarball).path


@dataclass
class Settled:
    """A world whose LXD was made ready by the command that does so."""

    world: World
    before: Mapping[str, list[str]]
    said: str

    @property
    def lxd(self) -> Lxd:
        """The gateway, with the project that was made."""
        return Lxd(self.world.lxd.endpoint)

    def uninstall(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_cli("uninstall", *self.config, *arguments, limit_s=120)

    @property
    def config(self) -> tuple[str, str]:
        return "--config", str(self.world.daemon.config_path)


def everything(lxd: PrivateLxd) -> dict[str, list[str]]:
    """Name all that LXD, the kernel's filter and its mounts have."""
    gateway = Lxd(LxdEndpoint(lxd.daemon.socket))
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "projects": sorted(one.name for one in gateway.resources("projects")),
        "pools": sorted(one.name for one in gateway.resources("storage-pools")),
        "networks": sorted(one.name for one in gateway.resources("networks") if one.config),
        "tables": sorted(
            name for name in Nftables().tables() if name.startswith("github-runners.ours")
        ),
        "mounts": sorted(
            line.split()[4] for line in mounts if f"{lxd.daemon.directory}/ours" in line
        ),
    }


@pytest.fixture
def settle(real_lxd: PrivateLxd, image: Path, tarball: Path) -> Callable[..., Any]:
    """Prepare LXD for an installation and start nothing: `with settle() as settled: …`."""

    @contextmanager
    def make(**settings: Any) -> Iterator[Settled]:
        before = everything(real_lxd)
        # Below LXD's directory: what cleans up after a killed run unmounts what is there, too.
        directory = Path(tempfile.mkdtemp(dir=real_lxd.daemon.directory, prefix="ours-"))
        ours = f"ours{secrets.token_hex(3)}"
        names = {"project": ours, "pool": ours, "network": ours, "profile": ours, "image": _IMAGE}
        lxd = replace(real_lxd, endpoint=replace(real_lxd.endpoint, project=ours), **names)
        wanted = {name.replace("_", "-"): value for name, value in settings.items()}
        given = {"name": ours, "path": "acme", "token": TOKEN, **wanted}
        given["lxd"] = {**names, "socket": str(lxd.daemon.socket)}
        file = directory / "first.yaml"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(given))
        prepared = run_cli("prepare-lxd", "--config", str(file))
        assert prepared.returncode == 0, prepared.stderr
        gateway = Lxd(lxd.endpoint)
        gateway.import_image(image, alias=_IMAGE)
        address = str(gateway.bridge_address(ours).ip)
        github = SandboxGitHub(
            address,
            free_port(address),
            token=TOKEN,
            tarball=tarball,
            offline_after=timedelta(seconds=3),  # one whose instance is gone is busy for so long
        )
        with github:
            config = configuration(lxd, github, directory, address)
            config["lxd"]["image"] = _IMAGE
            world = World(lxd, github, DaemonProcess(directory, {**config, **wanted}), address)
            world.daemon.configure(name=ours)
            try:
                yield Settled(world, before, prepared.stdout)
            finally:
                leave(world)
        assert everything(real_lxd) == before
        shutil.rmtree(directory)

    return make


def clean(settled: Settled) -> None:
    """Take away what is not the installation's, and have the rest removed."""
    for fingerprint in settled.lxd.images():
        settled.lxd.delete_image(fingerprint)
    again = settled.uninstall("--json")
    assert again.returncode == 0, again.stdout
    assert everything(settled.world.lxd) == settled.before


def test_all_that_it_has_is_removed_and_nothing_else(settle: Callable[..., Any]) -> None:
    with settle(runner_storage="memory", vm_disk="96MiB") as settled:
        world = settled.world
        made = [line.split()[1] for line in settled.said.splitlines()]
        assert made == ["project", "bridge", "profile"]
        assert run_cli("prepare-lxd", *settled.config).stdout == ""
        world.start()
        gate = world.gate()
        busy = world.wait_started(world.queue(gate.script))
        names = world.names()
        refused = settled.uninstall()
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
        assert "the daemon is running" in refused.stderr
        assert world.names() == names
        template = replace(world.lxd.template(), pool="runners", profiles=("default",))
        theirs = instance_request(template, name="theirs", user_data="", metadata={})
        settled.lxd.create(theirs, limit_s=30)
        world.daemon.kill()

        done = settled.uninstall("--json")
        answer = json.loads(done.stdout)
        assert done.returncode == 0
        assert {f"instance {name}" for name in names} <= set(answer["removed"])
        # That of the busy one may be gone with it.
        registrations = {f"registration of {name} at acme" for name in names - {busy}}
        assert registrations <= set(answer["removed"])
        assert [one.name for one in settled.lxd.instances()] == ["theirs"]
        assert answer["left"] == []
        kept = {one["what"]: one["why"] for one in answer["kept"]}
        assert kept.keys() == {f"{what} {world.installation}" for what in ("project", "bridge")}
        assert all("/1.0/instances/theirs" in why for why in kept.values())
        assert world.registrations() == {}
        assert list(Path(world.daemon.config["state-directory"]).iterdir()) == []
        assert everything(world.lxd)["pools"] == settled.before["pools"]
        assert everything(world.lxd)["tables"] == settled.before["tables"]
        settled.lxd.delete("theirs", limit_s=30)
        clean(settled)


def test_a_removal_that_is_killed_is_completed_by_the_next(settle: Callable[..., Any]) -> None:
    with settle(vm_disk="96MiB") as settled:
        world = settled.world
        world.start()
        world.daemon.stop()
        command = [sys.executable, "-m", "supervisor", "uninstall", *settled.config]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CODE) as removing:
            assert removing.stdout
            assert removing.stdout.readline().startswith("removed registration")
            removing.send_signal(signal.SIGKILL)
        wait_until(lambda: removing.poll() == -signal.SIGKILL, "it is killed")
        clean(settled)
