"""The watchdog is fed only while what keeps the fleet goes on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from pykka import ActorRef

from supervisor import watchdog
from supervisor.config import load
from supervisor.daemon import Daemon
from supervisor.supervision import (
    Actor,
    Backoff,
    ChildSpec,
    Crash,
    Restart,
    StartChild,
    Supervisor,
    SupervisorSpec,
    System,
    handles,
)

LIMIT_S = 10.0


@dataclass(frozen=True)
class Hang:
    """Block until the event is set."""

    until: threading.Event


class Fleet(Actor):
    """Does what it is told."""

    @handles(Hang)
    def _hang(self, message: Hang) -> None:
        message.until.wait()


class PatientFleet(Fleet):
    """Has messages that are meant to take long."""

    stuck_limit = 3600.0


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


class Tree:
    """A root, a core and a fleet: real ones, that take a tenth of a second for long."""

    def __init__(self, fleet: type[Fleet] = Fleet) -> None:
        self.released = threading.Event()
        self.system = System(stuck_limit=0.1, sweep_every=0.02)
        spec = ChildSpec("fleet", partial(fleet.start, self.system), shutdown=0.1)
        backoff = Backoff(minimum=30, maximum=30)
        core = SupervisorSpec(children=[spec], backoff=backoff)
        start = partial(Supervisor.start, self.system, core)
        self.root: ActorRef[Supervisor] = self.system.run_root(
            SupervisorSpec(children=[ChildSpec("core", start)])
        )

    def hang(self, name: str = "fleet") -> None:
        self.system.directory.tell(name, Hang(self.released))

    def wedged(self) -> list[str]:
        return watchdog.wedged(self.system, self.root)


@pytest.fixture
def grown() -> Iterator[Callable[..., Tree]]:
    trees: list[Tree] = []

    def grow(fleet: type[Fleet] = Fleet) -> Tree:
        trees.append(Tree(fleet))
        return trees[-1]

    yield grow
    for tree in trees:
        tree.released.set()
        tree.system.stop(LIMIT_S)


def test_a_tree_that_goes_on_is_not_wedged(grown: Callable[..., Tree]) -> None:
    assert grown().wedged() == []


def test_a_fleet_that_hangs_is_wedged_until_it_goes_on(grown: Callable[..., Tree]) -> None:
    tree = grown()
    tree.hang()
    wait_until(lambda: tree.wedged() == ["fleet is stuck in Hang"])
    tree.released.set()
    wait_until(lambda: tree.wedged() == [])


def test_a_message_that_is_meant_to_take_long_is_not_wedged(grown: Callable[..., Tree]) -> None:
    tree, other = grown(PatientFleet), grown()
    tree.hang()
    other.hang()
    wait_until(other.wedged)
    assert tree.wedged() == []


def test_a_fleet_that_waits_to_be_started_again_is_not_wedged(grown: Callable[..., Tree]) -> None:
    tree = grown()
    tree.system.directory.tell("fleet", Crash("by a test"))
    wait_until(lambda: not tree.system.directory.alive("fleet"))
    assert tree.wedged() == []


def slow_child(until: threading.Event) -> StartChild:
    """Make whoever is told so hang: a child is made in its supervisor's own thread."""

    def start() -> ActorRef[Actor]:
        until.wait()
        raise RuntimeError("too late")

    return StartChild(ChildSpec("slow", start, restart=Restart.TEMPORARY))


def test_a_root_that_hangs_is_wedged(
    grown: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "_ANSWER_LIMIT_S", 0.05)
    tree = grown()
    tree.root.tell(slow_child(tree.released))
    (found,) = tree.wedged()
    assert found.startswith("the root does not answer")
    wait_until(lambda: "root is stuck in StartChild" in tree.wedged())


def test_a_core_that_hangs_is_wedged(grown: Callable[..., Tree]) -> None:
    tree = grown()
    tree.system.directory.tell("core", slow_child(tree.released))
    wait_until(lambda: tree.wedged() == ["core is stuck in StartChild"])


def test_timers_that_hang_are_told_as_nothing_else_would_be_noticed(
    grown: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "_LATEST_S", 0.05)
    tree = grown()
    tree.system.timers.schedule(0, tree.released.wait)
    wait_until(lambda: tree.wedged() == ["timers are more than 0 s late"])


class TestTheDaemon:
    """Tells systemd what the watchdog finds."""

    @pytest.fixture
    def systemd(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
            heard.bind(str(tmp_path / "notify"))
            heard.settimeout(0)
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            yield heard

    def test_a_wedged_fleet_gives_no_sign_of_life_and_one_that_goes_on_does(
        self, grown: Callable[..., Tree], systemd: socket.socket, tmp_path: Path
    ) -> None:
        path = tmp_path / "c.yaml"
        path.touch(mode=0o600)
        path.write_text("name: fleet\npath: acme\ntoken: secret\nvirtual-machines: 1\n")
        tree, daemon = grown(), Daemon(path, load(path))
        daemon._system = tree.system

        daemon._give_sign_of_life(tree.root)
        assert systemd.recv(1000).startswith(b"WATCHDOG=1\nSTATUS=0 of 1 runners are there")

        tree.hang()
        wait_until(tree.wedged)
        daemon._give_sign_of_life(tree.root)
        with pytest.raises(BlockingIOError):
            systemd.recv(1000)

        tree.released.set()
        wait_until(lambda: not tree.wedged())
        daemon._give_sign_of_life(tree.root)
        assert systemd.recv(1000).startswith(b"WATCHDOG=1")
