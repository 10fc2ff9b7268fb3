"""The world of a chaos test: what can be done to it, what was done, and what is known for sure."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.github.hub import utc_now
from sandbox.lxd_daemon import LxdDaemonError
from supervisor.cli.client import ControlError
from supervisor.config import load
from supervisor.gateways import bridge_netfilter
from supervisor.gateways.lxd import Lxd
from supervisor.runners.blueprints import architecture, blueprint_of
from tests.e2e.chaos.relay import Relay
from tests.e2e.chaos.roll_call import RollCall
from tests.e2e.chaos.schedule import PLACES
from tests.e2e.chaos.verdicts import Setting
from tests.e2e.waits import wait_until
from tests.e2e.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.github import Fault

_, REPOSITORY = PLACES
"""Whose jobs are queued: runners of its organisation run them, and its own."""

LXD_LIMIT_S = 40.0
"""It starts in 3 s on an idle machine; this one may be shared."""

_LXD_ATTEMPTS = 3

_UP_LIMIT_S = 40.0


@dataclass
class Scene:
    """A world, what stands between its parts, and a diary.

    Attributes:
        world: the installation.
        relay: the daemon's way to LXD.
        roll: where the jobs report.
        image: the fingerprint of what runners start from.
        victims: the guests that we have killed, and how; noted before it is done.
        jobs: the tags of the jobs queued, by GitHub's number.
        faults: those of GitHub's in force, by the number that the schedule gave.
        settings: the configurations written, the last one last.
        diary: what was done, for a failed test's message.
        daemon_is_wanted: whether the daemon should be running.
        daemon_is_paused: whether it can't hear an order now: it would obey when it is over.
        is_drained: whether the fleet has been ordered away, for sure, and not back since.
    """

    world: World
    relay: Relay
    roll: RollCall
    image: str
    victims: dict[str, str] = field(default_factory=dict)
    jobs: dict[int, str] = field(default_factory=dict)
    faults: dict[int, Fault] = field(default_factory=dict)
    settings: list[Setting] = field(default_factory=list)
    diary: list[str] = field(default_factory=list)
    daemon_is_wanted: bool = False
    daemon_is_paused: bool = False
    is_drained: bool = False
    began: float = field(default_factory=time.monotonic)
    _answered: int = 0

    def write(self, text: str) -> None:
        """Write into the diary."""
        self.diary.append(f"{time.monotonic() - self.began:7.2f} s  {text}")

    # LXD

    def start_lxd(self) -> None:
        """Start LXD, unless it runs.

        Now and then one that was killed while it had much to do does not become ready: then it is
        killed and started once more, as systemd would after its time limit.
        """
        for attempt in range(1, _LXD_ATTEMPTS + 1):
            try:
                self.world.lxd.daemon.start(limit_s=LXD_LIMIT_S)
            except LxdDaemonError as error:
                self.write(f"LXD did not start: {str(error).splitlines()[0]}")
                if attempt == _LXD_ATTEMPTS:
                    raise
            else:
                return

    # The daemon

    def launch(self) -> None:
        """Start the daemon, unless it runs."""
        daemon = self.world.daemon
        if not self.daemon_is_wanted:
            self._note_setting()
            daemon.launch()
            self.daemon_is_wanted = True

    def daemon_obeys(self) -> bool:
        """Wait until signals do to the daemon what they should; tell whether it runs at all.

        A signal that comes before the daemon has said what to do with it would end it. systemd
        sends none before that either.
        """
        daemon = self.world.daemon
        if not self.daemon_is_wanted:
            return False
        if self._answered != daemon.pid:
            wait_until(
                lambda: daemon.answers() or daemon.exit_code() is not None,
                "the daemon answers",
                limit_s=_UP_LIMIT_S,
            )
            self._answered = daemon.pid
        return daemon.exit_code() is None

    def daemon_listens(self) -> bool:
        """Tell whether an order is answered, if nothing but the actor that answers crashes."""
        return not self.daemon_is_paused and self.daemon_obeys()

    def stages(self) -> dict[str, str]:
        """Return each runner's stage, as the daemon shows it.

        Raises:
            ControlError: nobody answers now.
        """
        shown = self.world.daemon.control.get("/v1/runners")
        return {runner["name"]: runner["stage"] for runner in shown}

    def order(self, path: str) -> str:
        """Order something on the control socket; return why it was in vain, if it was."""
        if not self.daemon_listens():
            return "in vain"
        try:
            self.world.daemon.control.post(path)
        except ControlError as error:
            return f"in vain: {error}"
        return ""

    def drain(self) -> str:
        """Order the fleet away; return why it was in vain, if it was."""
        failure = self.order("/v1/drain")
        if not failure:
            self.is_drained = True
            self._note_setting()
        return failure

    def resume(self) -> str:
        """Order the fleet back; return why it was in vain, if it was."""
        # The drain is noted once it is in force and its end before: at no moment may more be there
        # than is noted.
        self.is_drained = False
        self._note_setting()
        return self.order("/v1/resume")

    def daemon_is_up(self) -> bool:
        """Wait until the whole tree has started; tell whether it has.

        A fixed actor that crashes before that ends the daemon, as it should.
        """
        if not self.daemon_listens():
            return False
        daemon = self.world.daemon
        wait_until(
            lambda: self._root_runs() or daemon.exit_code() is not None,
            "the tree is up",
            limit_s=_UP_LIMIT_S,
        )
        return daemon.exit_code() is None

    def _root_runs(self) -> bool:
        try:
            return bool(self.world.daemon.control.get("/v1/tree")["state"] == "running")
        except ControlError:
            return False

    def configure(self, **changes: Any) -> str:
        """Change the configuration, and have it read again if there is a daemon."""
        daemon = self.world.daemon
        daemon.configure(**changes)
        self._note_setting()
        if not self.daemon_obeys():
            return "for the next daemon"
        daemon.send(signal.SIGHUP)
        return ""

    def _note_setting(self) -> None:
        config = load(self.world.daemon.config_path)
        filtering = bridge_netfilter.sees_ipv6()
        release = self.world.github.offered(architecture())
        assert release
        generation = blueprint_of(
            config, ipv6_filtering=filtering, application=release.sha256, image=self.image
        ).generation
        wanted = 0 if self.is_drained else config.virtual_machines
        self.settings.append(Setting(time.monotonic(), wanted, generation))

    def taken(self, what: str) -> int:
        """Count the daemon's threads (`task`) or open files (`fd`)."""
        return len(list(Path(f"/proc/{self.world.daemon.pid}/{what}").iterdir()))

    # Guests

    def guests(self) -> dict[str, int]:
        """Find the guests that run, and their first processes, without asking LXD."""
        lxd = self.world.lxd
        prefix = f"[lxc monitor] {lxd.daemon.directory.resolve()}/containers {lxd.project}_"
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                title = (process / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
                if not title.startswith(prefix):
                    continue
                children = (process / "task" / process.name / "children").read_text().split()
            except OSError:  # it has ended
                continue
            if children:
                found[title.removeprefix(prefix).strip()] = int(children[0])
        return found

    # The end

    def calm(self) -> None:
        """End all that was wrong; the daemon, LXD and GitHub run and reach each other."""
        world = self.world
        world.github.faults.clear()
        self.relay.release()
        world.lxd.daemon.resume()
        self.start_lxd()
        if self.daemon_is_wanted:
            world.daemon.send(signal.SIGCONT)
        self.daemon_is_paused = False
        self.launch()
        wait_until(lambda: not self.resume(), "the fleet is ordered back", limit_s=_UP_LIMIT_S)


@contextmanager
def open_scene(world: World) -> Iterator[Scene]:
    """Put the relay between daemon and LXD, open the roll, start the daemon."""
    socket = world.daemon.config_path.parent / "lxd.sock"
    lxd = world.lxd.daemon.socket
    with Relay(socket, lxd) as relay, RollCall(world.address) as roll:
        world.daemon.config["lxd"].update({"socket": str(socket), "timeout": "5s"})
        world.crashes_are_meant = True  # judged here, more closely
        world.github.add_repository(REPOSITORY)
        alias = world.daemon.config["lxd"]["image"]
        # Asked now: later LXD may be dead.
        scene = Scene(world, relay, roll, str(Lxd(world.lxd.endpoint).image(alias)))
        try:
            world.daemon.configure()
            scene.write(f"the daemon is started at {utc_now():%H:%M:%S.%f}")
            scene.launch()
            yield scene
        finally:
            scene.daemon_is_wanted = False
            world.daemon.kill()
