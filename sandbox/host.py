"""Make the machine ready for the sandbox, and leave it as it was found.

Everything the sandbox makes in LXD carries its prefix: a project with its images and instances in
it, a profile, a storage pool and a bridge. An LXD that was there is used and never reconfigured.
Between runs the project, the pool, the bridge and the image stay, as a cache, until `clean`.

Every step looks first and makes what is missing, so that a run which was killed half-way is
completed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, Protocol

from sandbox import guard, machine
from sandbox.image import build_image
from sandbox.lxd_choice import Answer, Choice, Source, choose
from sandbox.lxd_daemon import LxdDaemon, LxdDaemonError, free_subnet, remove_leftovers
from supervisor.gateways.lxd import Lxd, LxdEndpoint, LxdError
from supervisor.gateways.nftables import NftablesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREFIX = "ghrs-sandbox"
_DELETE_LIMIT_S = 30.0
_DELETIONS_AT_ONCE = 8
_SERVICE_LIMIT_S = 60.0


class HostError(Exception):
    """The machine can't be made ready; the message says what failed and what to do."""


class Progress(Protocol):
    """Told of each step twice: when it begins (``took_s`` is None), and when it has ended."""

    def __call__(self, step: str, took_s: float | None = None) -> None: ...  # noqa: D102


def _state_dir() -> Path:
    if machine.is_root():
        return Path("/var/lib/github-runner-supervisor-sandbox")
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(base) / "github-runner-supervisor-sandbox"


@dataclass(frozen=True)
class Place:
    """Where the sandbox keeps its things, and what it calls them in LXD.

    Attributes:
        prefix: The name of the project, profile, pool, bridge and image; at most 15 characters.
        state_dir: Everything it keeps on disk: the private LXD, built images, a lock.
        endpoint: Where the machine's own LXD would be.
    """

    prefix: str = PREFIX
    state_dir: Path = field(default_factory=_state_dir)
    endpoint: LxdEndpoint = field(default_factory=LxdEndpoint)

    @property
    def lxd_dir(self) -> Path:
        """The private LXD's directory."""
        return self.state_dir / "lxd"

    @property
    def cache_dir(self) -> Path:
        """What can be made again."""
        return self.state_dir / "cache"


@dataclass(frozen=True)
class Host:
    """The machine, ready.

    Attributes:
        kind: Whether there is an LXD, or the emulator has to do.
        reason: Why it is this one.
        socket: Of LXD; None with the emulator.
        project: These five are names in LXD.
        pool: See above.
        network: See above.
        profile: See above.
        image: The image's alias.
        bridge_address: The host's address that guests reach; a loopback one with the emulator.
        instance_type: What the image is for.
        stop: Removes all instances, ends a private LXD, and lets another sandbox begin. May be
            called twice.
    """

    kind: Literal["lxd", "emulator"]
    reason: str
    socket: Path | None
    project: str
    pool: str
    network: str
    profile: str
    image: str
    bridge_address: str
    instance_type: Literal["container"]
    stop: Callable[[], None] = field(repr=False)


def prepare(
    progress: Progress,
    *,
    application: Path | None = None,
    use_emulator: bool | None = None,
    place: Place | None = None,
) -> Host:
    """Make the machine ready.

    Where it takes root and sudo is there, this process is replaced by one of root's.

    Args:
        progress: Told of each step.
        application: The runner application's tarball, put into the image; guests fetch it if None.
        use_emulator: True wants the emulator, False never does, None decides by the machine.
        place: Other names and directories than the usual ones.

    Raises:
        HostError: It can't be done, and the emulator isn't the answer to it.
        ImageError: The image can't be built on this machine.
    """
    place = place or Place()
    with contextlib.ExitStack() as undo:
        undo.callback(_lock(place.state_dir).close)
        socket, reason = _obtain_lxd(progress, place, undo, use_emulator=use_emulator)
        if socket is None:
            address = "127.0.0.1"
        else:
            address = _make_resources(progress, place, socket, application)
            # Registered last, so done first: instances end before a private LXD does.
            undo.callback(_remove_instances, place, socket)
        kept = undo.pop_all()
    return Host(
        kind="emulator" if socket is None else "lxd",
        reason=reason,
        socket=socket,
        project=place.prefix,
        pool=place.prefix,
        network=place.prefix,
        profile=place.prefix,
        image=place.prefix,
        bridge_address=address,
        instance_type="container",
        stop=kept.close,
    )


def clean(progress: Progress, *, place: Place | None = None) -> None:
    """Remove all that the sandbox ever made here; what was installed stays installed.

    Raises:
        HostError: Another sandbox runs, or something can't be removed.
    """
    place = place or Place()
    answer = machine.ask(place.endpoint)
    if answer is Answer.DENIED and choose(machine.look(place.endpoint)).source is Source.SUDO:
        _go_on_as_root()
    with contextlib.closing(_lock(place.state_dir)):
        if place.lxd_dir.exists():
            with _step(progress, f"removing the private LXD in {place.lxd_dir}"):
                LxdDaemon(place.lxd_dir).destroy()
        if machine.is_root() and machine.has_program("nft"):
            with _step(progress, f"removing the firewall of {place.prefix}"):
                _remove_firewall(place.prefix)
        if answer in {Answer.READY, Answer.UNABLE}:
            with _step(progress, f"removing what is called {place.prefix} from LXD"):
                _remove_resources(place, place.endpoint.find_socket())
        with _step(progress, f"removing {place.state_dir}"):
            shutil.rmtree(place.state_dir)


def _obtain_lxd(
    progress: Progress,
    place: Place,
    undo: contextlib.ExitStack,
    *,
    use_emulator: bool | None,
) -> tuple[Path | None, str]:
    """Return LXD's socket, or None for the emulator; and the reason."""
    with _step(progress, "looking for LXD"):
        choice = choose(machine.look(place.endpoint), use_emulator=use_emulator)
    if choice.source is Source.SUDO:
        progress(f"going on as root, because {choice.reason}")
        _go_on_as_root()
    if choice.source is Source.EMULATOR:
        if use_emulator is False:
            raise HostError(f"LXD can't be had: {choice.reason}")
        return None, choice.reason
    try:
        return _start(progress, place, choice, undo), choice.reason
    except (HostError, machine.InstallError, LxdDaemonError) as error:
        if use_emulator is False:
            raise HostError(f"LXD can't be had: {error}") from error
        return None, str(error)


def _go_on_as_root() -> NoReturn:
    try:
        machine.go_on_as_root()
    except machine.InstallError as error:
        raise HostError(str(error)) from error


def _start(progress: Progress, place: Place, choice: Choice, undo: contextlib.ExitStack) -> Path:
    """Install and start what the choice says, and return LXD's socket."""
    if choice.packages:
        with _step(progress, f"installing {', '.join(choice.packages)}"):
            machine.install_packages(choice.packages)
    if choice.snap:
        with _step(progress, "installing the snap lxd"):
            machine.as_root("snap", "install", "lxd")
    if choice.source is Source.PRIVATE:
        with _step(progress, f"starting a private LXD in {place.lxd_dir}"):
            return _start_private(place.lxd_dir, undo)
    if choice.source is Source.SERVICE:
        with _step(progress, "starting LXD"):
            _start_service(place.endpoint, snap=choice.snap)
    return place.endpoint.find_socket()


def _start_service(endpoint: LxdEndpoint, *, snap: bool) -> None:
    if not snap:  # snapd starts what it installs
        machine.as_root("systemctl", "start", "lxd")
    deadline = time.monotonic() + _SERVICE_LIMIT_S
    while machine.ask(endpoint) is not Answer.READY:
        if time.monotonic() > deadline:
            raise HostError(f"LXD does not answer at {endpoint.find_socket()} after its start")
        time.sleep(0.2)


def _start_private(directory: Path, undo: contextlib.ExitStack) -> Path:
    # We hold the lock, so what runs there is left from a sandbox that was killed.
    remove_leftovers(directory)
    daemon = LxdDaemon(directory)
    undo.callback(_end_private, daemon)
    daemon.start()
    return daemon.socket


def _end_private(daemon: LxdDaemon) -> None:
    try:
        daemon.shut_down()
    except LxdDaemonError:
        daemon.kill()
    remove_leftovers(daemon.directory)


def _make_resources(
    progress: Progress, place: Place, socket: Path, application: Path | None
) -> str:
    """Make what is missing and return the host's address on the bridge."""
    name = place.prefix
    try:
        with _step(progress, f"preparing LXD's project, pool, bridge and profile {name}"):
            everywhere = Lxd(LxdEndpoint(socket))
            everywhere.ensure_project(name)
            everywhere.ensure_pool(name)
            if not any(found.name == name for found in everywhere.resources("networks")):
                with free_subnet() as subnet:
                    addresses = {"ipv4.address": subnet, "ipv4.nat": "false"}
                    everywhere.ensure_network(name, {**addresses, "ipv6.address": "none"})
            lxd = Lxd(LxdEndpoint(socket, name))
            root = {"type": "disk", "path": "/", "pool": name}
            nic = {"type": "nic", "network": name, "name": "eth0"}
            lxd.ensure_profile(name, devices={"root": root, "eth0": nic})
        _remove_instances(place, socket)  # those of a sandbox that was killed
        with _step(progress, "building the runner image"):
            image = build_image(place.cache_dir, application, policy_tools=True)
        present = lxd.image(name)
        if present != image.fingerprint:
            with _step(progress, "importing the runner image"):
                lxd.import_image(image.path, alias=name)
                if present is not None:
                    lxd.delete_image(present)
        return str(everywhere.bridge_address(name).ip)
    except (LxdError, LxdDaemonError) as error:
        raise HostError(str(error)) from error


def _remove_instances(place: Place, socket: Path) -> None:
    lxd = Lxd(LxdEndpoint(socket, place.prefix))
    try:
        names = [instance.name for instance in lxd.instances()]
        with ThreadPoolExecutor(_DELETIONS_AT_ONCE, thread_name_prefix="delete") as threads:
            for _ in threads.map(lambda name: lxd.delete(name, limit_s=_DELETE_LIMIT_S), names):
                pass
    except LxdError as error:
        raise HostError(f"the sandbox's instances can't be removed: {error}") from error


def _remove_resources(place: Place, socket: Path) -> None:
    name = place.prefix
    everywhere = Lxd(LxdEndpoint(socket))
    try:
        if any(project.name == name for project in everywhere.resources("projects")):
            lxd = Lxd(LxdEndpoint(socket, name))
            _remove_instances(place, socket)
            for fingerprint in lxd.images():
                lxd.delete_image(fingerprint)
            lxd.delete_profile(name)
            everywhere.delete_project(name)
        everywhere.delete_network(name)
        everywhere.delete_pool(name)
    except LxdError as error:
        raise HostError(str(error)) from error


def _remove_firewall(bridge: str) -> None:
    """Delete what a daemon has left that was killed with its sandbox."""
    try:
        guard.remove(bridge)
    except NftablesError as error:
        raise HostError(str(error)) from error


@contextlib.contextmanager
def _step(progress: Progress, text: str) -> Iterator[None]:
    progress(text)
    began = time.monotonic()
    yield
    progress(text, time.monotonic() - began)


class _Lock:
    """Held while a sandbox runs; the kernel lets go of it when the process ends in any way."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise HostError(
                f"another sandbox is running on this machine (it holds {path}); end it first"
            ) from None

    def close(self) -> None:
        os.close(self._descriptor)


def _lock(state_dir: Path) -> _Lock:
    return _Lock(state_dir / "lock")
