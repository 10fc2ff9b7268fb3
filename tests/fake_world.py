"""A world for actors that is all in memory: a clock moved by hand, an LXD of dictionaries."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from ipaddress import IPv4Interface
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar

import pytest
from loguru import logger
from under_way import (
    CountedMailbox,
    CountedWorkers,
    Gate,
    Patience,
    held_while,
    is_at_rest,
    is_held,
    progress,
)

from supervisor import lifecycle, log
from supervisor.config import Config, parse
from supervisor.feed import Feed, Record
from supervisor.firewall.intent import intent_of
from supervisor.gateways.application_store import ApplicationStore
from supervisor.gateways.drain_mark import DrainMark
from supervisor.gateways.environments import PackageEnvironments
from supervisor.gateways.log_store import LogStore
from supervisor.gateways.lxd import (
    Instance,
    LifecycleEvent,
    LxdUnavailable,
    NotFound,
    Output,
    ServerInfo,
)
from supervisor.gateways.names import Names
from supervisor.gateways.place_notes import PlaceNotes
from supervisor.gateways.policy_service import PolicyService
from supervisor.journal_inbox import JournalInbox
from supervisor.lanes import Lanes
from supervisor.last_failure import LastFailure
from supervisor.marks import PREFIX
from supervisor.messages import (
    AnnounceApplication,
    AnnounceFirewall,
    AnnounceGitHub,
    AnnounceImage,
    AnnounceStorage,
    Application,
    ApplicationChanged,
    CheckFirewall,
    CheckUpgrades,
    DeleteRegistration,
    FirewallChanged,
    ForgetAhead,
    GitHubChanged,
    Happened,
    ImageChanged,
    InquireJob,
    JitConfigFailed,
    JitConfigMade,
    ListRegistrations,
    RegisterAhead,
    RegistrationsListed,
    RequestJitConfig,
    StorageChanged,
)
from supervisor.metrics.counters import Counters
from supervisor.parts import Parts, Settings, make_journal_writer
from supervisor.planning import Registration
from supervisor.policy_settings import decisions_in, directory_of
from supervisor.roster import Roster
from supervisor.supervision import Actor, ChildSpec, FakeClock, SupervisorSpec, System, handles
from supervisor.token_desk import TokenDesk
from supervisor.tracing import Tracing
from supervisor.trials import Trials
from supervisor.upgrades.host import AppArmor
from supervisor.upgrades.reboot import KernelSeen
from supervisor.verdicts import Verdicts
from supervisor.visitors import Visitors

LIMIT_S = 10.0
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
PLACE = "https://github.com/acme"
IMAGE = "1a" * 32
FILENAME = "actions-runner-linux-x64-2.300.0.tar.gz"
APPLICATION = Application(f"https://github.example/{FILENAME}", "0" * 64, FILENAME)


_worlds: list[World] = []
"""Those of the test at hand."""


def eventually(holds: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    """Wait until something holds; fail if it doesn't in time.

    In a world that is all in memory it is looked at when nothing is under way: so it holds in the
    next line, too, and so does whatever else has come of what was done before. What is to be seen
    half-way is held there, at a `Gate`. How long that takes does not count, as long as it gets on.
    """
    patience, deadline = Patience(limit_s), time.monotonic() + limit_s
    while (busy := _who_is_busy()) or not holds():
        if busy:
            assert not patience.is_over, f"still under way, and nothing gets on: {busy}"
            deadline = time.monotonic() + limit_s
        else:
            assert time.monotonic() < deadline, "it did not come to hold in time"
        time.sleep(0.002)


def _who_is_busy() -> str:
    return ", ".join(filter(None, [world.busy() for world in _worlds if world.is_all_in_memory]))


class FakeStream:
    """An event stream that a test feeds."""

    def __init__(self) -> None:
        self._events: SimpleQueue[LifecycleEvent | Exception | None] = SimpleQueue()
        self._fed = 0
        self._heard = 0
        self.closed = threading.Event()

    def feed(self, action: str, name: str) -> None:
        self._put(LifecycleEvent(action, name, "default", NOW))

    def break_off(self, error: Exception | None = None) -> None:
        self._put(error or LxdUnavailable("LXD is gone"))

    def _put(self, event: LifecycleEvent | Exception | None) -> None:
        progress.another()
        self._fed += 1
        self._events.put(event)

    def __iter__(self) -> FakeStream:
        return self

    def __next__(self) -> LifecycleEvent:
        with held_while(lambda: self._fed == self._heard):
            event = self._events.get()
        self._heard += 1
        if event is None:
            raise StopIteration
        if isinstance(event, Exception):
            raise event
        return event

    def close(self) -> None:
        self.closed.set()
        self._put(None)


class FakeLxd:
    """LXD's gateway over a dictionary, with faults on order and a count of all calls."""

    def __init__(self) -> None:
        self.there: dict[str, Instance] = {}
        self.requests: dict[str, Mapping[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.faults: dict[str, list[Exception]] = {}
        self.gates: dict[str, Gate] = {}
        self.streams: list[FakeStream] = []
        self.diagnostics: dict[str, tuple[str, ...]] = {}
        self.consoles: dict[str, str] = {}
        self.outputs: dict[str, Output] = {}
        self.address = "127.0.0.1"
        self.most_there = 0
        self._lock = threading.Lock()

    def fail(self, call: str, *errors: Exception) -> None:
        """Have the next calls fail with these errors, one each."""
        with self._lock:
            self.faults.setdefault(call, []).extend(errors)

    def hold(self, call: str) -> Gate:
        """Have calls hang until the returned gate is opened."""
        return self.gates.setdefault(call, Gate())

    def count(self, call: str) -> int:
        with self._lock:
            return sum(1 for made, _ in self.calls if made == call)

    def put(self, name: str, status: str = "Running", **marks: str) -> None:
        """Put an instance there, as an earlier daemon left it."""
        marks = {"place": PLACE, **marks}
        config = {f"{PREFIX}{key.replace('_', '-')}": value for key, value in marks.items()}
        with self._lock:
            self.there[name] = _instance(name, status, config)

    def _enter(self, call: str, name: str = "") -> None:
        with self._lock:
            self.calls.append((call, name))
            gate = self.gates.get(call)
            faults = self.faults.get(call)
            error = faults.pop(0) if faults else None
        if gate is not None:
            assert gate.wait(LIMIT_S)
        if error is not None:
            raise error

    def instances(self) -> list[Instance]:
        self._enter("instances")
        with self._lock:
            return list(self.there.values())

    def instance(self, name: str, *, limit_s: float | None = None) -> Instance:
        self._enter("instance", name)
        with self._lock:
            if name not in self.there:
                raise NotFound(f"there is no instance {name}")
            return self.there[name]

    def create(self, request: Mapping[str, Any], *, limit_s: float) -> None:
        name = request["name"]
        self._enter("create", name)
        with self._lock:
            assert name not in self.there
            self.requests[name] = request
            self.there[name] = _instance(name, "Stopped", request["config"])
            self.most_there = max(self.most_there, len(self.there))

    def start(self, name: str, *, limit_s: float) -> None:
        self._enter("start", name)
        with self._lock:
            self.there[name] = _instance(name, "Running", self.there[name].config)

    def update_config(self, name: str, changes: Mapping[str, str]) -> None:
        self._enter("update_config", name)
        with self._lock:
            if name not in self.there:
                raise NotFound(f"there is no instance {name}")
            found = self.there[name]
            # As LXD does: a key with an empty value is none.
            config = {key: value for key, value in {**found.config, **changes}.items() if value}
            self.there[name] = _instance(name, found.status, config)

    def delete(self, name: str, *, limit_s: float) -> bool:
        self._enter("delete", name)
        with self._lock:
            return self.there.pop(name, None) is not None

    def console_log(self, name: str, *, most_bytes: int, limit_s: float) -> str:
        self._enter("console_log", name)
        return self.consoles.get(name, "")

    def output_of(
        self, name: str, command: Sequence[str], *, most_bytes: int, limit_s: float
    ) -> Output:
        self._enter("output_of", name)
        if list(command) == ["ls", "-1", "/opt/actions-runner/_diag"]:
            return Output("".join(f"{log}\n" for log in self.diagnostics.get(name, ())).encode())
        return self.outputs.get(name, Output(b""))

    def bridge_address(self, network: str) -> IPv4Interface:
        self._enter("bridge_address", network)
        return IPv4Interface(f"{self.address}/24")

    def server(self) -> ServerInfo:
        self._enter("server")
        return ServerInfo(
            version="5.21.3",
            api_extensions=frozenset(),
            containers=True,
            virtual_machines=True,
            pid=1,
            clustered=False,
            firewall="nftables",
            storage_drivers=(),
        )

    restart_command = "systemctl reload-or-restart lxd"

    def bridge_addresses(self, network: str) -> tuple[IPv4Interface, ...]:
        self._enter("bridge_addresses", network)
        return (IPv4Interface(f"{self.address}/24"),)

    def events(self) -> FakeStream:
        self._enter("events")
        stream = FakeStream()
        self.streams.append(stream)
        return stream

    def power_off(self, name: str) -> None:
        """Let an ephemeral instance stop: LXD deletes it, and says so."""
        with self._lock:
            self.there.pop(name, None)
        for action in ("instance-shutdown", "instance-deleted"):
            for stream in self.streams:
                stream.feed(action, name)


def _instance(name: str, status: str, config: Mapping[str, str]) -> Instance:
    return Instance(name, status, "container", ephemeral=True, created_at=NOW, config=dict(config))


class FakeTokens(Actor):
    """Answers for GitHub from a dictionary; what it is told is kept."""

    def __init__(self, system: System, github: FakeGitHub) -> None:
        super().__init__(system)
        self._github = github

    @handles(RequestJitConfig)
    def _register(self, message: RequestJitConfig) -> None:
        github = self._github
        github.asked.append(message.name)
        if github.silent:
            return
        answer: JitConfigMade | JitConfigFailed
        if github.refuses:
            answer = JitConfigFailed(github.refuses)
            closed = GitHubChanged(open=False, proven=False, reason=github.refuses)
            self.system.directory.tell("fleet", closed)
        else:
            answer = JitConfigMade(
                github.add(message.name, message.place), "c2VjcmV0", message.place
            )
        self.system.directory.tell(message.name, answer)

    @handles(AnnounceGitHub)
    def _announce(self, _message: AnnounceGitHub) -> None:
        self.system.directory.tell("fleet", GitHubChanged(open=True))

    @handles(RegisterAhead)
    def _register_ahead(self, message: RegisterAhead) -> None:
        self._github.ahead.append(message.name)

    @handles(ForgetAhead)
    def _forget_ahead(self, _message: ForgetAhead) -> None:
        self._github.ahead.clear()

    @handles(DeleteRegistration)
    def _delete(self, message: DeleteRegistration) -> None:
        github = self._github
        github.deleted.append(message.name)
        github.deleted_at.append(message.place)
        event: lifecycle.Event
        if message.name in github.busy:
            event = lifecycle.UnregistrationRefused(busy=True)
        elif github.keeps:
            event = lifecycle.UnregistrationRefused(busy=False, reason=github.keeps)
        else:
            github.registered.pop(message.runner_id, None)
            event = lifecycle.Unregistered()
        self.system.directory.tell(message.name, Happened(event))

    @handles(InquireJob)
    def _inquire(self, message: InquireJob) -> None:
        self._github.inquiries.append(message)

    @handles(ListRegistrations)
    def _list(self, message: ListRegistrations) -> None:
        github = self._github
        github.tickets.append(message.ticket)
        if not github.silent:
            listed = () if github.down else tuple(github.registered.values())
            places = frozenset() if github.down else github.places
            answer = RegistrationsListed(message.ticket, listed, github.down, places)
            self.system.directory.tell("fleet", answer)


class FakeStorage(Actor):
    """Says of the pool what it is told to."""

    def __init__(self, system: System, says: StorageChanged) -> None:
        super().__init__(system)
        self._says = says

    @handles(AnnounceStorage)
    def _announce(self, _message: AnnounceStorage) -> None:
        self.system.directory.tell("fleet", self._says)


class FakeFirewall(Actor):
    """Says of the firewall what it is told to, and counts how often it was to look at it."""

    def __init__(self, system: System, says: FirewallChanged, looks: list[CheckFirewall]) -> None:
        super().__init__(system)
        self._says = says
        self._looks = looks

    @handles(AnnounceFirewall)
    def _announce(self, _message: AnnounceFirewall) -> None:
        self.system.directory.tell("fleet", self._says)

    @handles(CheckFirewall)
    def _check(self, message: CheckFirewall) -> None:
        self._looks.append(message)


class FakeUpgrades(Actor):
    """Says which runner application is verified, and counts how often it was to look."""

    def __init__(
        self, system: System, says: ApplicationChanged, looks: list[CheckUpgrades]
    ) -> None:
        super().__init__(system)
        self._says = says
        self._looks = looks

    @handles(AnnounceApplication)
    def _announce(self, _message: AnnounceApplication) -> None:
        self.system.directory.tell("fleet", self._says)

    @handles(CheckUpgrades)
    def _check(self, message: CheckUpgrades) -> None:
        self._looks.append(message)


class FakeImage(Actor):
    """Says of the image that runners start from what it is told to."""

    def __init__(self, system: System, says: ImageChanged) -> None:
        super().__init__(system)
        self._says = says

    @handles(AnnounceImage)
    def _announce(self, _message: AnnounceImage) -> None:
        self.system.directory.tell("fleet", self._says)


class FakeHost:
    """A host on which all is as it should be."""

    def __init__(self) -> None:
        self.there = KernelSeen("6.8.0-31-generic")
        self.has_kvm = True
        self.has_apparmor: AppArmor = "on"

    def nft(self) -> str:
        return "1.0.9"

    def gunicorn(self) -> str:
        return "25.1"

    def lxd_from(self) -> str:
        return "snap"

    def debian_packages(self, names: tuple[str, ...]) -> frozenset[str]:
        return frozenset(names)

    def kvm(self) -> bool:
        return self.has_kvm

    def apparmor(self) -> AppArmor:
        return self.has_apparmor

    def kernel(self) -> KernelSeen:
        return self.there


class FakeMonitor:
    """Hears of changes when a test says so."""

    def __init__(self, changed: Callable[[], object]) -> None:
        self.changed = changed
        self.closed = False

    def close(self) -> None:
        self.closed = True


class FakeNftables:
    """The kernel's packet filter, as far as the actor itself asks it."""

    def __init__(self) -> None:
        self.monitors: list[FakeMonitor] = []

    def monitor(self, changed: Callable[[], object], about: str) -> FakeMonitor:
        self.monitors.append(FakeMonitor(changed))
        return self.monitors[-1]


def guarded(config: Config, *, filters_ipv6: bool = True) -> FirewallChanged:
    """Say that all is in place that a configuration wants of the firewall."""
    return FirewallChanged(
        in_place=True,
        intent=intent_of(config),
        filters_ipv6=filters_ipv6,
        servers={(one.host, one.port): "" for one in config.ssh_debug},
    )


def image_of(fingerprint: str, instance_type: str = "virtual-machine") -> ImageChanged:
    """Say that runners start from this image."""
    return ImageChanged(fingerprint, instance_type=instance_type)


class FakeGitHub:
    """What GitHub holds, and how it behaves."""

    def __init__(self) -> None:
        self.registered: dict[int, Registration] = {}
        self.asked: list[str] = []
        self.deleted: list[str] = []
        self.deleted_at: list[str] = []
        self.places = frozenset({PLACE})
        self.ahead: list[str] = []
        self.busy: set[str] = set()
        self.refuses = ""
        self.down = ""
        self.keeps = ""
        self.silent = False
        self.tickets: list[int] = []
        self.inquiries: list[InquireJob] = []

    @property
    def listings(self) -> int:
        """How often the list was asked for."""
        return len(self.tickets)

    def add(
        self, name: str, place: str = PLACE, *, online: bool = False, busy: bool = False
    ) -> int:
        number = len(self.asked) + len(self.registered) + 1000
        self.registered[number] = Registration(number, name, online, busy, place=place)
        return number


class SettlingClock(FakeClock):
    """A clock that moves only when nothing is under way, and until nothing is."""

    def __init__(self, settle: Callable[[], None]) -> None:
        super().__init__()
        self._settle = settle

    def advance(self, seconds: float) -> None:
        self._settle()
        super().advance(seconds)
        self._settle()


class World:
    """A system with its clock, parts, and what surrounds them.

    What it tells of its actors, and what it does with their clock, waits until nothing is under
    way.
    """

    is_all_in_memory: ClassVar[bool] = False
    """Whether nothing outside, of which nothing is known here, has to do with it."""

    def __init__(self, state: Path, clock: Any = None, **config: Any) -> None:
        self.state = state
        self.clock = clock or SettlingClock(self.settle)
        self.system = System(self.clock, random=lambda: 0.5)
        self.lxd = FakeLxd()
        self.github = FakeGitHub()
        self.nftables = FakeNftables()
        self.host = FakeHost()
        self.filters_ipv6 = True
        self.firewall_looks: list[CheckFirewall] = []
        self.upgrade_looks: list[CheckUpgrades] = []
        self.is_guarded = False
        """Whether what a changed configuration wants of the firewall is in place at once."""
        self.logged: list[str] = []
        self.base = {"name": "fleet", "path": "acme", "token": "secret", "denylist": ""}
        self.base |= {"state-directory": str(state), "policy": {"mode": "off"}, **config}
        self.base["lxd"] = {"image": "github-runner", **config.get("lxd", {})}
        config_in_force = parse(self.base, "test")
        self.feed = Feed()
        self.told: list[Record] = []
        """Each record that the feed was told."""
        self.feed.watch(self.told.append)
        settings = Settings(config_in_force)
        journal = JournalInbox(self.state / "journal" / "journal.sqlite")
        self.parts = Parts(
            feed=self.feed,
            counters=Counters(self.feed),
            last_failure=LastFailure(),
            tracing=Tracing(self.feed),
            journal=journal,
            journal_writer=make_journal_writer(journal, settings, self.clock.now),
            settings=settings,
            lxd=self.lxd,  # type: ignore[arg-type]
            roster=Roster(),
            trials=Trials(4),
            logs=LogStore(self.state / "logs"),
            drain=DrainMark(self.state / "drained"),
            places=PlaceNotes(self.state / "places"),
            lanes=Lanes(),
            creating=CountedWorkers("creating", 4),
            tending=CountedWorkers("tending", 4),
            listing=CountedWorkers("listing", 1),
            storage=CountedWorkers("storage", 1),
            nftables=self.nftables,  # type: ignore[arg-type]
            names=Names(),
            sees_ipv6=lambda: self.filters_ipv6,
            asking=CountedWorkers("asking", 1),
            firewall=CountedWorkers("firewall", 1),
            closing=CountedWorkers("closing", 1),
            applications=ApplicationStore(self.state / "applications"),
            upgrading=CountedWorkers("upgrading", 1),
            policy=PolicyService(),
            tokens=TokenDesk(),
            verdicts=Verdicts(decisions_in(directory_of(config_in_force)), self.feed),
            packages=PackageEnvironments(self.state / "policy-package"),
            installing=CountedWorkers("installing", 1),
            host=self.host,  # type: ignore[arg-type]
            inspecting=CountedWorkers("inspecting", 1),
            serving=CountedWorkers("serving", 1),
            examining=CountedWorkers("examining", 1),
            building=CountedWorkers("building", 1),
            build_logs=LogStore(self.state / "image-logs"),
            visitors=Visitors(),
        )

    def reconfigure(self, **changes: Any) -> None:
        given = {key.replace("_", "-"): value for key, value in changes.items()}
        given["lxd"] = {**self.base["lxd"], **given.get("lxd", {})}
        config = parse({**self.base, **given}, "test")
        self.parts.settings.accept(config)
        if self.is_guarded:
            self.system.directory.tell("fleet", guarded(config))

    def run(self, *children: ChildSpec, **options: Any) -> None:
        spec = SupervisorSpec(children=children, intensity=100, period=1, **options)
        self.system.run_root(spec)

    def tokens(self) -> ChildSpec:
        return ChildSpec("tokens", lambda: FakeTokens.start(self.system, self.github))

    def storage(self, says: StorageChanged) -> ChildSpec:
        return ChildSpec("storage", lambda: FakeStorage.start(self.system, says))

    def firewall(self, says: FirewallChanged) -> ChildSpec:
        return ChildSpec(
            "firewall", lambda: FakeFirewall.start(self.system, says, self.firewall_looks)
        )

    def upgrades(self, says: ApplicationChanged | None = None) -> ChildSpec:
        says = says or ApplicationChanged(APPLICATION)
        return ChildSpec(
            "upgrades", lambda: FakeUpgrades.start(self.system, says, self.upgrade_looks)
        )

    def image(self, says: ImageChanged | None = None) -> ChildSpec:
        kind = self.parts.settings.config.lxd.instance_type
        says = says or image_of(IMAGE, kind)
        return ChildSpec("image", lambda: FakeImage.start(self.system, says))

    def tell(self, name: str, message: object) -> None:
        assert self.system.directory.tell(name, message), f"nobody is called {name}"

    def settle(self) -> None:
        """Wait until all that was told and done so far has had all its consequences.

        Where time passes by itself there is always something under way: nothing is waited for.
        """
        if not isinstance(self.clock, SettlingClock):
            return
        patience = Patience(LIMIT_S)
        while busy := self.busy():
            assert not patience.is_over, f"still under way, and nothing gets on: {busy}"
            time.sleep(0.001)

    def busy(self) -> str:
        """Say who has yet to do something, or nothing if nobody has."""
        before = progress.count
        pools = [each for each in vars(self.parts).values() if isinstance(each, CountedWorkers)]
        busy = [cell.path for cell in self.system.cells() if not is_at_rest(cell)]
        busy += [pool.name for pool in pools if not pool.is_at_rest]
        busy += [
            thread.name
            for thread in threading.enumerate()
            if thread.name == "events" and not is_held(thread.ident)
        ]
        # Somebody who had been looked at may have been given something by one who was not yet.
        return ", ".join(busy) or ("messages" if progress.count != before else "")

    def stages(self) -> Counter[str]:
        self.settle()
        return Counter(str(entry.life.stage) for entry in self.parts.roster.all())

    def names(self) -> list[str]:
        self.settle()
        return sorted(entry.name for entry in self.parts.roster.all())

    def shown(self, name: str) -> tuple[str, str]:
        """Return state and reason that an actor has published."""
        self.settle()
        for cell in self.system.cells():
            if cell.id == name:
                return cell.snapshot.state, cell.snapshot.reason
        return "", ""

    def waiting(self, name: str) -> int:
        """Return how many messages wait for an actor, the one it is in included."""
        cell = next(cell for cell in self.system.cells() if cell.id == name)
        mailbox = cell.mailbox

        def count() -> int:
            return mailbox.depth() + (cell.handling is not None)

        if not count():
            # One that has just been taken out stands in neither. It has been handled when what is
            # put there after it is taken out, too.
            mailbox.wake_up()
            eventually(lambda: not mailbox.depth() or cell.handling or cell.ended)
        return 0 if cell.ended else count()

    def details(self, name: str) -> Mapping[str, Any]:
        """Return the details that an actor has published."""
        self.settle()
        return next(cell.snapshot.details for cell in self.system.cells() if cell.id == name)


@pytest.fixture(autouse=True)
def all_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it known that worlds have nothing outside; for all tests beside where this is named."""
    monkeypatch.setattr(World, "is_all_in_memory", True)


class Inbox(Actor):
    """Keeps all it is told, in the place of another actor."""

    def __init__(self, system: System, got: list[object], answer: object = None) -> None:
        super().__init__(system)
        self._got = got
        self._answer = answer

    def on_receive(self, message: Any) -> Any:
        self._got.append(message)
        return self._answer


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    monkeypatch.setattr(Actor, "_create_actor_inbox", staticmethod(CountedMailbox))
    worlds: list[World] = []
    logged: list[str] = []
    monkeypatch.setattr(log, "_gate", log._Gate())  # so that all come by loguru
    sink = logger.add(logged.append, level="DEBUG", format="{message}")

    def make(**config: Any) -> World:
        given = {key.replace("_", "-"): value for key, value in config.items()}
        worlds.append(World(tmp_path / f"state-{len(worlds)}", **given))
        worlds[-1].logged = logged
        _worlds.append(worlds[-1])
        return worlds[-1]

    yield make
    _worlds.clear()
    for world in worlds:
        for gate in world.lxd.gates.values():
            gate.set()
        world.system.stop(LIMIT_S)
        world.parts.journal_writer.stop(LIMIT_S)
        world.parts.policy.close()
        for stream in world.lxd.streams:
            stream.close()
    logger.remove(sink)
