"""One LXD for the whole run; for each test an installation, a GitHub and a daemon of its own."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from ports import free_port

from sandbox.application import build_application
from sandbox.github import SandboxGitHub
from sandbox.image import build_image
from supervisor.gateways.lxd import Lxd
from supervisor.gateways.nftables import Nftables
from supervisor.work import firewall as firewall_work
from tests.e2e.daemon_process import DaemonProcess
from tests.e2e.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sandbox.private_lxd import PrivateLxd

    MakeWorld = Callable[..., AbstractContextManager[World]]

TEST_LIMIT_S = 300
TOKEN = "ghp_theTokenOfTheseTests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in item.path.parts and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_LIMIT_S))


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_application(tmp_path_factory.mktemp("application")).path


@pytest.fixture(scope="session")
def image(real_lxd: PrivateLxd, tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make an image with the application in it: busybox can't fetch it."""
    alias = "tiny-runner"
    built = build_image(tmp_path_factory.mktemp("image"), tarball)
    Lxd(real_lxd.endpoint).import_image(built.path, alias=alias)
    return alias


class Kept:
    """What several tests use one after another, until somebody wants another world.

    There is one at a time, as a bridge has one guard.
    """

    def __init__(self) -> None:
        self._key: object = None
        self._made: Any = None
        self._open = ExitStack()

    def get(self, key: object, make: Callable[[], AbstractContextManager[Any]]) -> Any:
        """Return what was made for a key, made now if it isn't there."""
        if key != self._key:
            self.close()
            with ExitStack() as opening:
                self._made = opening.enter_context(make())
                self._open, self._key = opening.pop_all(), key
        return self._made

    def close(self) -> None:
        """End it."""
        self._key = self._made = None
        self._open.close()


@pytest.fixture(scope="session")
def kept(real_lxd: PrivateLxd) -> Iterator[Kept]:  # it ends before the LXD does
    made = Kept()
    yield made
    made.close()


@pytest.fixture(scope="session")
def policy_image(
    real_lxd: PrivateLxd, tarball: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Make an image whose guests can ask a policy."""
    alias = "tiny-policy-runner"
    built = build_image(tmp_path_factory.mktemp("policy-image"), tarball, policy_tools=True)
    Lxd(real_lxd.endpoint).import_image(built.path, alias=alias)
    return alias


@pytest.fixture(scope="session")
def make_world(
    real_lxd: PrivateLxd,
    image: str,
    tarball: Path,
    tmp_path_factory: pytest.TempPathFactory,
    kept: Kept,
) -> MakeWorld:
    """Make worlds: with `make_world(virtual_machines=2) as world: …`."""

    @contextmanager
    def make(**settings: Any) -> Iterator[World]:
        kept.close()
        address = str(Lxd(real_lxd.endpoint).bridge_address(real_lxd.network).ip)
        directory = tmp_path_factory.mktemp("world")
        port = free_port(address)
        github = SandboxGitHub(
            host=address,
            port=port,
            org="acme",
            token=TOKEN,
            tarball=tarball,
            guest_url=f"http://{address}:{port}",  # whatever the daemon calls it
        )
        with github:
            config = configuration(real_lxd, github, directory, address)
            config["lxd"]["image"] = image
            config.update({name.replace("_", "-"): value for name, value in settings.items()})
            world = World(real_lxd, github, DaemonProcess(directory, config), address)
            world.secrets.known.add(TOKEN)
            with world.secrets.overheard():
                try:
                    yield world
                finally:
                    leave(world)

    return make


@pytest.fixture
def world(make_world: MakeWorld) -> Iterator[World]:
    """Two runners wanted; nothing is started yet."""
    with make_world() as made:
        yield made


@pytest.fixture
def open_shared(make_world: MakeWorld) -> Callable[[], AbstractContextManager[World]]:
    """How `running` is made, for files that want another."""
    return make_world


@pytest.fixture
def running(
    kept: Kept,
    open_shared: Callable[[], AbstractContextManager[World]],
    request: pytest.FixtureRequest,
) -> Iterator[World]:
    """Two runners, all well, by a daemon that a file's tests share: each leaves it to the next.

    A start costs seconds. Who changes what can't be changed back in no time, or leaves jobs or
    registrations behind, takes a `world` of its own; best after those that share one.
    """
    world: World = kept.get(request.path.name, open_shared)
    world.bring_back()
    yield world
    # Shown by pytest with a test that failed.
    print(f"The end of the daemon's log:\n{world.daemon.end_of_log()}")  # noqa: T201


def configuration(
    lxd: PrivateLxd, github: SandboxGitHub, directory: Path, address: str
) -> dict[str, Any]:
    return {
        "name": f"e2e-{secrets.token_hex(3)}",
        "path": "acme",
        "github-url": github.url,
        "token": TOKEN,
        "virtual-machines": 2,
        "vm-cpu": 1,
        "vm-memory": "256MiB",
        "vm-disk": "1GiB",
        # Where GitHub and the jobs' gates listen, whatever port they were given.
        "allowlist": f"{address}:1024-65535",
        # Long: what these tests wait for must not need it, unless they order it.
        "reconcile-interval": "10m",
        "lxd": {
            "socket": str(lxd.daemon.socket),
            "project": lxd.project,
            "pool": lxd.pool,
            "network": lxd.network,
            "profile": lxd.profile,
            "instance-type": "container",
            "timeout": "10s",
        },
        "signals": {"port": free_port(address)},
        "policy": {"mode": "off"},
        "control": {"socket": str(directory / "control.sock"), "debug": True},
        "metrics": {"port": free_port()},
        "state-directory": str(directory / "state"),
    }


def leave(world: World) -> None:
    """Leave nothing of an installation, and the LXD as the next test expects it."""
    # Shown by pytest with a test that failed.
    print(f"The end of the daemon's log:\n{world.daemon.end_of_log()}")  # noqa: T201
    world.daemon.kill()
    for gate in world.gates:
        gate.open()
    if world.lxd.daemon.pid is None:
        world.lxd.daemon.start()
    world.lxd.daemon.resume()
    lxd = Lxd(world.lxd.endpoint)
    leaks = world.leaks()
    with ExitStack() as last:
        # Whatever else fails: with its table left, no later installation may have the bridge.
        last.callback(firewall_work.remove, Nftables(), world.installation)
        with ThreadPoolExecutor(4) as deleting:
            list(deleting.map(partial(lxd.delete, limit_s=60), world.instances()))
        assert not world.instances()
    if not world.crashes_are_meant and world.daemon.log.exists():
        failures = [entry for entry in world.daemon.entries() if "exception" in entry]
        assert not failures, failures
    assert not leaks, leaks
