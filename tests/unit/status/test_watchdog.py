"""The watchdog is fed only while what keeps the fleet goes on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pykka import ActorRef
from pykka._envelope import Envelope
from waiting import LIMIT_S, eventually

from supervisor.config import load
from supervisor.daemon import Daemon
from supervisor.status import watchdog
from supervisor.status.part_reports import node_of
from supervisor.supervision import (
    Actor,
    Backoff,
    ChildSpec,
    Crash,
    FakeClock,
    Restart,
    StartChild,
    Supervisor,
    SupervisorSpec,
    System,
    SystemClock,
    handles,
)
from supervisor.supervision import tree as tree_of
from supervisor.supervision.mailbox import Mailbox

STUCK_S = 60.0
SWEEP_S = 5.0
LET_ALL = 100


@dataclass(frozen=True)
class Hang:
    """Block until the event is set, and say when that has begun."""

    until: threading.Event
    begun: threading.Event = field(default_factory=threading.Event)


class Fleet(Actor):
    """Does what it is told."""

    @handles(Hang)
    def _hang(self, message: Hang) -> None:
        message.begun.set()
        message.until.wait()


class PatientFleet(Fleet):
    """Has messages that are meant to take long."""

    stuck_limit = 3600.0


class DeafMailbox(Mailbox):
    """Gives its actor no more messages than the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.visits = 0
        self.lets = threading.Semaphore(0)

    def get(self) -> Envelope[Any]:
        self.visits += 1
        self.lets.acquire()
        return super().get()


class DeafFleet(Fleet):
    """Hangs, but in no message."""

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return DeafMailbox()


class ForwardClock(SystemClock):
    """Goes by itself, and is ahead by as much as the test says."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


class Tree:
    """A root, a core and a fleet: real ones, in a time that is moved by hand."""

    def __init__(self, fleet: type[Fleet] = Fleet, system: System | None = None) -> None:
        self.released = threading.Event()
        self.hung: set[str] = set()
        self._clock = FakeClock()
        self.system = system or System(self._clock, stuck_limit=STUCK_S, sweep_every=SWEEP_S)
        spec = ChildSpec("fleet", partial(fleet.start, self.system))
        backoff = Backoff(minimum=30, maximum=30)
        core = SupervisorSpec(children=[spec], backoff=backoff)
        start = partial(Supervisor.start, self.system, core)
        self.root: ActorRef[Supervisor] = self.system.run_root(
            SupervisorSpec(children=[ChildSpec("core", start)])
        )

    def hang(self, name: str, message: Hang | StartChild, begun: threading.Event) -> None:
        """Have an actor begin what it does not end."""
        self.hung.add(name)
        self.system.directory.tell(name, message)
        assert begun.wait(LIMIT_S)

    def fleets_mailbox(self) -> Mailbox:
        (fleet,) = (cell for cell in self.system.cells() if cell.id == "fleet")
        return fleet.mailbox

    def hang_fleet(self) -> None:
        order = Hang(self.released)
        self.hang("fleet", order, order.begun)

    def hang_supervisor(self, name: str) -> None:
        """Have it make a child, which it does in its own thread."""
        begun = threading.Event()

        def start() -> ActorRef[Actor]:
            begun.set()
            self.released.wait()
            raise RuntimeError("too late")

        child = ChildSpec("slow", start, restart=Restart.TEMPORARY)
        self.hang(name, StartChild(child), begun)

    def pass_time(self, seconds: float) -> None:
        """Move the clock when all who do not hang are at rest: it would pass for them, too."""
        eventually(lambda: all(not c.handling or c.id in self.hung for c in self.system.cells()))
        self._clock.advance(seconds)

    def handling(self) -> str | None:
        """Say what people are told that the fleet is in."""
        node = node_of("fleet", tree_of(self.system))
        return node.handling.type if node and node.handling else None

    def wedged(self) -> list[str]:
        return watchdog.wedged(self.system, self.root)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a root that goes on have all the time that this machine may take."""
    monkeypatch.setattr(watchdog, "_ANSWER_LIMIT_S", LIMIT_S)


@pytest.fixture
def grown() -> Iterator[Callable[..., Tree]]:
    trees: list[Tree] = []

    def grow(*options: Any) -> Tree:
        trees.append(Tree(*options))
        return trees[-1]

    yield grow
    for tree in trees:
        tree.released.set()
        tree.system.stop(LIMIT_S)


def test_a_tree_that_goes_on_is_not_wedged(grown: Callable[..., Tree]) -> None:
    tree = grown()
    assert tree.wedged() == []
    tree.pass_time(STUCK_S + SWEEP_S)
    assert tree.wedged() == []


def test_a_fleet_that_hangs_is_wedged_until_it_goes_on(grown: Callable[..., Tree]) -> None:
    tree = grown()
    tree.hang_fleet()
    tree.pass_time(STUCK_S - SWEEP_S)
    assert tree.wedged() == []
    tree.pass_time(2 * SWEEP_S)
    assert tree.wedged() == ["fleet is stuck in Hang"]
    tree.released.set()
    eventually(lambda: tree.wedged() == [])


def test_a_message_that_is_meant_to_take_long_is_not_wedged(grown: Callable[..., Tree]) -> None:
    tree = grown(PatientFleet)
    tree.hang_fleet()
    tree.pass_time(PatientFleet.stuck_limit - SWEEP_S)
    assert tree.wedged() == []
    tree.pass_time(2 * SWEEP_S)
    assert tree.wedged() == ["fleet is stuck in Hang"]


def test_a_fleet_that_does_not_come_to_its_messages_is_wedged(grown: Callable[..., Tree]) -> None:
    tree = grown(DeafFleet)
    tree.pass_time(2 * STUCK_S)
    assert tree.wedged() == []  # nobody has told it anything
    mailbox = tree.fleets_mailbox()
    assert isinstance(mailbox, DeafMailbox)
    passes = Hang(threading.Event())
    passes.until.set()
    for _ in range(3):
        tree.system.directory.tell("fleet", passes)
    tree.pass_time(STUCK_S - SWEEP_S)
    assert tree.wedged() == []
    assert tree.handling() is None  # nobody is told of it before it is too long
    mailbox.lets.release()
    eventually(lambda: mailbox.visits == 2)
    tree.pass_time(STUCK_S)
    assert tree.wedged() == []  # it comes to them, if slowly
    tree.pass_time(SWEEP_S)
    assert tree.wedged() == ["fleet is stuck in its mailbox"]
    assert tree.handling() == "its mailbox"
    mailbox.lets.release()
    eventually(lambda: mailbox.visits == 3)
    assert tree.wedged() == []
    mailbox.lets.release(LET_ALL)


def test_a_fleet_that_waits_to_be_started_again_is_not_wedged(grown: Callable[..., Tree]) -> None:
    tree = grown()
    tree.system.directory.tell("fleet", Crash("by a test"))
    eventually(lambda: not tree.system.directory.alive("fleet"))
    tree.pass_time(2 * SWEEP_S)
    assert not tree.system.directory.alive("fleet")
    assert tree.wedged() == []


def test_a_root_that_hangs_is_wedged(
    grown: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "_ANSWER_LIMIT_S", 0.05)
    tree = grown()
    tree.hang_supervisor("root")
    (found,) = tree.wedged()
    assert found.startswith("the root does not answer")
    tree.pass_time(STUCK_S + SWEEP_S)
    assert tree.wedged() == ["root is stuck in StartChild", found]


def test_a_core_that_hangs_is_wedged(grown: Callable[..., Tree]) -> None:
    tree = grown()
    tree.hang_supervisor("core")
    tree.pass_time(STUCK_S + SWEEP_S)
    assert tree.wedged() == ["core is stuck in StartChild"]


def test_timers_that_hang_are_told_as_nothing_else_would_be_noticed(
    grown: Callable[..., Tree],
) -> None:
    clock = ForwardClock()
    tree = grown(Fleet, System(clock, sweep_every=SWEEP_S))
    hangs = threading.Event()

    def hang() -> None:
        hangs.set()
        tree.released.wait()

    tree.system.timers.schedule(0, hang)
    assert hangs.wait(LIMIT_S)
    clock.ahead_s = 60.0  # by which the next look is late by 60 s less those before it was due
    assert tree.wedged() == []
    clock.ahead_s = 60.0 + SWEEP_S + 1
    assert tree.wedged() == ["timers are more than 60 s late"]


def test_a_root_that_is_dead_is_wedged(grown: Callable[..., Tree]) -> None:
    tree = grown()
    tree.system.stop(LIMIT_S)
    (found,) = tree.wedged()
    assert found.startswith("the root does not answer")


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

        tree.hang_fleet()
        tree.pass_time(STUCK_S + SWEEP_S)
        daemon._give_sign_of_life(tree.root)
        with pytest.raises(BlockingIOError):
            systemd.recv(1000)

        tree.released.set()
        eventually(lambda: not tree.wedged())
        daemon._give_sign_of_life(tree.root)
        assert systemd.recv(1000).startswith(b"WATCHDOG=1")
