"""The process: configuration, tree, signals, readiness and watchdog, and an orderly end."""

import fcntl
import os
import queue
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from loguru import logger
from prometheus_client import disable_created_metrics
from pykka import ActorRef

from supervisor import credentials, log, records, sdnotify, watchdog
from supervisor.actors.control import ControlActor
from supervisor.actors.events import EventsActor
from supervisor.actors.filters import FiltersActor
from supervisor.actors.firewall import FirewallActor
from supervisor.actors.fleet import FleetActor
from supervisor.actors.image import ImageActor
from supervisor.actors.journal import JournalActor
from supervisor.actors.metrics import MetricsActor
from supervisor.actors.policy import PolicyActor
from supervisor.actors.signals import SignalsActor
from supervisor.actors.storage import StorageActor
from supervisor.actors.tokens import TokensActor
from supervisor.actors.upgrades import UpgradesActor
from supervisor.config import Config, ConfigError, load
from supervisor.feed import Feed
from supervisor.gateways import bridge_netfilter
from supervisor.gateways.application_store import ApplicationStore
from supervisor.gateways.drain_mark import DrainMark
from supervisor.gateways.environments import PackageEnvironments
from supervisor.gateways.host_packages import HostPackages
from supervisor.gateways.log_store import LogStore
from supervisor.gateways.lxd import Lxd, LxdEndpoint
from supervisor.gateways.names import Names
from supervisor.gateways.nftables import Nftables
from supervisor.gateways.place_notes import PlaceNotes
from supervisor.gateways.policy_service import PolicyService
from supervisor.gateways.private_file import ensure_directory
from supervisor.journal_inbox import JournalInbox
from supervisor.lanes import Lanes
from supervisor.last_failure import LastFailure
from supervisor.messages import ConfigChanged, Reconcile
from supervisor.metrics.counters import Counters
from supervisor.parts import Parts, Settings
from supervisor.policy_settings import decisions_in, directory_of
from supervisor.report import present, tree_lines
from supervisor.roster import Roster
from supervisor.supervision import (
    INFINITY,
    Backoff,
    Change,
    ChildSpec,
    ChildStartFailed,
    Reason,
    Strategy,
    Supervisor,
    SupervisorSpec,
    System,
    SystemClock,
    tree,
)
from supervisor.token_desk import TokenDesk
from supervisor.tracing import Tracing
from supervisor.trials import Trials
from supervisor.verdicts import Verdicts
from supervisor.visitors import Visitors
from supervisor.work import image_upkeep
from supervisor.work import policy as policy_work
from supervisor.work import storage as storage_work
from supervisor.workers import Workers

_STOP_LIMIT_S = 4.0
_ABANDON_LIMIT = timedelta(seconds=3)
_STATUS_INTERVAL_S = 5.0
_RUNNERS = "runners"
_BACKOFF = Backoff(minimum=0.2, maximum=30, factor=2, jitter=0.2, reset_after=60)

OK = 0
FAILED = 1
BAD_CONFIG = 2


class AlreadyRunning(Exception):
    """Another daemon has this control socket."""


class Daemon:
    """One daemon, from its configuration to its exit code.

    Args:
        config_path: the file, also read again on SIGHUP.
        config: what was read from it.
    """

    def __init__(self, config_path: Path, config: Config) -> None:
        self._config_path = config_path
        self._parts = make_parts(config)
        self._system = System(observer=self._observe)
        self._tracing = Tracing(self._parts.feed)
        self._wishes: queue.SimpleQueue[signal.Signals | None] = queue.SimpleQueue()

    def run(self) -> int:
        """Start, serve until told to stop, stop. In the main thread.

        Returns:
            The process's exit code: 0 after an order to stop, 1 when the tree has failed.
        """
        for number in (
            signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
        ):  # fmt: skip
            signal.signal(number, lambda received, _: self._wishes.put(signal.Signals(received)))
        self._tracing.use(self._parts.settings.config)
        try:
            root = self._system.run_root(root_spec(self._system, self._parts), on_end=self._ended)
        except ChildStartFailed as error:
            logger.error("could not start: {}", error)
            return FAILED
        try:
            sdnotify.notify("READY=1", "STATUS=keeping the fleet")
            logger.info("started, for {}", self._parts.settings.config.path)
            return self._serve(root)
        finally:
            sdnotify.notify("STOPPING=1", "STATUS=leaving the runners as they are")
            self._system.stop(_STOP_LIMIT_S)
            self._abandon_build()
            self._parts.policy.close()
            self._tracing.close()

    def _abandon_build(self) -> None:
        """Leave no builder running that nobody waits for."""
        parts = self._parts
        if parts.building.is_busy:
            name = parts.settings.config.name
            image_upkeep.abandon(parts.lxd.endpoint, name, _ABANDON_LIMIT)

    def _observe(self, change: Change) -> None:
        record = records.of_actor(change, runners=_RUNNERS)
        if record:
            self._parts.feed.tell(record)

    def _ended(self, _reason: Reason) -> None:
        self._wishes.put(None)

    def _serve(self, root: ActorRef[Supervisor]) -> int:
        interval = min(sdnotify.watchdog_interval_s() or _STATUS_INTERVAL_S, _STATUS_INTERVAL_S)
        due = time.monotonic() + interval
        while True:
            try:
                wish = self._wishes.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                self._give_sign_of_life(root)
                log.tell_repeated()
                due = time.monotonic() + interval
                continue
            if wish is None:
                logger.error("the tree has failed: {}", self._system.root_reason)
                return FAILED
            if wish in {signal.SIGTERM, signal.SIGINT}:
                logger.info("{}: stopping; the runners stay", wish.name)
                return OK
            self._obey(wish)

    def _obey(self, wish: signal.Signals) -> None:
        if wish is signal.SIGUSR1:
            self._system.directory.tell("fleet", Reconcile("SIGUSR1"))
            self._note_order("reconcile", "SIGUSR1")
        elif wish is signal.SIGHUP:
            self._reload()
        elif wish is signal.SIGUSR2:
            logger.info("the tree:\n{}", "\n".join(tree_lines(tree(self._system))))

    def _reload(self) -> None:
        settings = self._parts.settings
        try:
            config = load(self._config_path)
            credentials.read(config)
            fixed = settings.config.needs_restart(config)
            if not fixed:
                storage_work.check(config)
                policy_work.check(config)
                image_upkeep.check(config)
        except ConfigError as error:
            settings.refuse(str(error))
            logger.error("the configuration stays as it was: {}", error)
            return
        if fixed:
            settings.refuse(f"{', '.join(fixed)}: takes effect only after a restart of the daemon")
            logger.error("the configuration stays as it was: {}", settings.error)
            return
        before = settings.config
        settings.accept(config)
        if config.log_level != before.log_level:
            log.set_level(config.log_level)
        self._note_order("reload", "the configuration has been read again")
        logger.info("the configuration has been read again")
        for name in ("tokens", "storage", "firewall", "upgrades", "image", "policy", "fleet"):
            self._system.directory.tell(name, ConfigChanged(config))
        self._tracing.use(config)  # last: a collector of before may be sent to for a moment

    def _note_order(self, subject: str, reason: str) -> None:
        self._parts.feed.tell(records.of_order(subject, self._system.clock.now(), reason))

    def _give_sign_of_life(self, root: ActorRef[Supervisor]) -> None:
        """Tell systemd that all is well, only if nothing that keeps the fleet is wedged."""
        system, parts = self._system, self._parts
        wanted = parts.settings.config.virtual_machines
        status = f"STATUS={present(parts.roster.all())} of {wanted} runners are there"
        if found := watchdog.wedged(system, root):
            logger.error("no sign of life is given: {}", "; ".join(found))
        else:
            sdnotify.notify("WATCHDOG=1", status)


def make_parts(config: Config) -> Parts:
    """Make what the actors share."""
    lxd = config.lxd
    feed, last_failure = Feed(), LastFailure()
    feed.watch(last_failure.note)
    journal = JournalInbox(config.state_directory / "journal" / "journal.sqlite")
    feed.watch(journal.take)
    endpoint = LxdEndpoint(lxd.socket, lxd.project, lxd.timeout.total_seconds())
    return Parts(
        settings=Settings(config),
        feed=feed,
        counters=Counters(feed),
        last_failure=last_failure,
        journal=journal,
        lxd=Lxd(endpoint),
        roster=Roster(),
        trials=Trials(lxd.creations_at_once),
        logs=LogStore(config.state_directory / "logs"),
        drain=DrainMark(config.state_directory / "drained"),
        places=PlaceNotes(config.state_directory / "places"),
        lanes=Lanes(),
        creating=Workers("creating", lxd.creations_at_once),
        tending=Workers("tending", lxd.creations_at_once),
        listing=Workers("listing", 1),
        storage=Workers("storage", 1),
        nftables=Nftables(),
        names=Names(),
        sees_ipv6=bridge_netfilter.sees_ipv6,
        asking=Workers("asking", 1),
        firewall=Workers("firewall", 1),
        closing=Workers("closing", 1),
        applications=ApplicationStore(config.state_directory / "applications"),
        upgrading=Workers("upgrading", 1),
        policy=PolicyService(),
        tokens=TokenDesk(),
        verdicts=Verdicts(decisions_in(directory_of(config)), feed, SystemClock().now()),
        packages=PackageEnvironments(config.state_directory / "policy-package"),
        installing=Workers("installing", 1),
        host=HostPackages(),
        inspecting=Workers("inspecting", 1),
        serving=Workers("serving", 1),
        examining=Workers("examining", 1),
        building=Workers("building", 1),
        build_logs=LogStore(config.state_directory / "image-logs"),
        visitors=Visitors(),
    )


def root_spec(system: System, parts: Parts) -> SupervisorSpec:
    """Describe the tree: the core, which keeps the fleet, and beside it what shows it.

    The control socket, the page of metrics and the journal need nobody, and are most wanted when
    others fail.
    """
    core = core_spec(system, parts)
    return SupervisorSpec(
        strategy=Strategy.ONE_FOR_ONE,
        intensity=3,
        period=60,
        backoff=_BACKOFF,
        children=[
            ChildSpec("control", partial(ControlActor.start, system, parts), shutdown=2),
            ChildSpec("metrics", partial(MetricsActor.start, system, parts), shutdown=2),
            ChildSpec("journal", partial(JournalActor.start, system, parts), shutdown=2),
            ChildSpec("core", partial(Supervisor.start, system, core), shutdown=INFINITY),
        ],
    )


def core_spec(system: System, parts: Parts) -> SupervisorSpec:
    """Describe the core: a later child needs the earlier ones, so it restarts with them."""
    runners = SupervisorSpec(
        strategy=Strategy.ONE_FOR_ONE, dynamic=True, intensity=50, period=10, backoff=_BACKOFF
    )
    return SupervisorSpec(
        strategy=Strategy.REST_FOR_ONE,
        intensity=10,
        period=60,
        backoff=_BACKOFF,
        children=[
            ChildSpec("tokens", partial(TokensActor.start, system, parts), shutdown=1),
            ChildSpec(_RUNNERS, partial(Supervisor.start, system, runners), shutdown=INFINITY),
            ChildSpec("signals", partial(SignalsActor.start, system, parts), shutdown=2),
            ChildSpec("storage", partial(StorageActor.start, system, parts), shutdown=1),
            ChildSpec("firewall", partial(FirewallActor.start, system, parts), shutdown=1),
            ChildSpec("upgrades", partial(UpgradesActor.start, system, parts), shutdown=1),
            ChildSpec("image", partial(ImageActor.start, system, parts), shutdown=1),
            ChildSpec("policy", partial(PolicyActor.start, system, parts), shutdown=1),
            ChildSpec("fleet", partial(FleetActor.start, system, parts, _RUNNERS), shutdown=1),
            ChildSpec("events", partial(EventsActor.start, system, parts), shutdown=1),
            ChildSpec("filters", partial(FiltersActor.start, system, parts), shutdown=1),
        ],
    )


def run(config_path: Path, log_level: str | None = None) -> int:
    """Run the daemon.

    Args:
        config_path: its configuration.
        log_level: if given, it holds until another one is ordered, or the configured one changes.

    Raises:
        ConfigError: the configuration can't be used.
        AlreadyRunning: another daemon has the control socket.
    """
    os.umask(0o077)
    # When each counter began is of no use on the page, and would double it.
    disable_created_metrics()
    config = load(config_path)
    if log_level is None:
        log.set_level(config.log_level)
    credentials.read(config)
    storage_work.check(config)
    policy_work.check(config)
    image_upkeep.check(config)
    _ensure_state_directory(config.state_directory)
    with only_one(config.control.socket):
        return Daemon(config_path, config).run()


def _ensure_state_directory(path: Path) -> None:
    try:
        ensure_directory(path)
    except OSError as error:
        raise ConfigError(f"state-directory: {path} can't be used: {error.strerror}") from error


def _make_directory(directory: Path) -> None:
    """Make the socket's directory, if it is missing, so that the socket's own mode decides."""
    if not directory.exists():
        directory.mkdir(parents=True)
        directory.chmod(0o755)


@contextmanager
def only_one(socket: Path) -> Iterator[None]:
    """Hold a lock beside the control socket: two daemons would fight over one fleet."""
    path = socket.with_suffix(".lock")
    try:
        _make_directory(socket.parent)
        # Neither emptied nor followed: somebody else may have put a link there.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = os.fdopen(os.open(path, flags, 0o600), "r+")
    except OSError as error:
        raise ConfigError(f"control.socket: {path} can't be made: {error.strerror}") from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"another daemon has {socket}") from error
        yield
