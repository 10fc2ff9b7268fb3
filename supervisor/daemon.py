"""The process: configuration, signals, readiness and watchdog, and an orderly end."""

import fcntl
import gc
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from loguru import logger
from prometheus_client import disable_created_metrics
from pykka import ActorRef

from supervisor.causes import Cause
from supervisor.config import Config, ConfigError, credentials, load
from supervisor.gateways import sdnotify
from supervisor.gateways.private_file import ensure_directory
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.fleet import Reconcile
from supervisor.observation import log, records
from supervisor.observation.feed import Record
from supervisor.parts import make_parts, outside_of
from supervisor.status import watchdog
from supervisor.status.report import present, tree_lines
from supervisor.supervision import (
    Change,
    ChildStartFailed,
    Reason,
    Supervisor,
    System,
    tree,
)
from supervisor.tree import root_spec
from supervisor.wishes import Ended, Wishes
from supervisor.work import image_upkeep
from supervisor.work import policy as policy_work
from supervisor.work import storage as storage_work

_STOP_LIMIT_S = 4.0
_JOURNAL_LIMIT_S = 5.0
_ABANDON_LIMIT = timedelta(seconds=3)
_STATUS_INTERVAL_S = 5.0
_PASS_ON_S = 2.5
"""So often it is seen to that nothing told waits for long: all others who pass it on may hang."""

OK = 0
FAILED = 1


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
        outside = outside_of(config)
        self._parts = make_parts(config, outside)
        self._system = System(outside.clock, observer=self._observe)
        self._wishes = Wishes()

    def run(self) -> int:
        """Start, serve until told to stop, stop. In the main thread.

        Returns:
            The process's exit code: 0 after an order to stop, 1 when the tree has failed.
        """
        for number in (
            signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
        ):  # fmt: skip
            signal.signal(number, lambda received, _: self._wishes.tell(signal.Signals(received)))
        with closing(self._parts.tracing), closing(self._parts.policy):
            return self._run()

    def _run(self) -> int:
        self._parts.tracing.use(self._parts.settings.config)
        try:
            return self._serve(self._start())
        except ChildStartFailed as error:
            logger.error("could not start: {}", error)
            return FAILED
        finally:
            sdnotify.notify("STOPPING=1", "STATUS=leaving the runners as they are")
            self._system.stop(_STOP_LIMIT_S)
            # After all who tell, so that it holds their ends too, and what kept them from starting.
            self._parts.journal_writer.stop(_JOURNAL_LIMIT_S)
            self._abandon_build()

    def _start(self) -> ActorRef[Supervisor]:
        root = self._system.run_root(root_spec(self._system, self._parts), on_end=self._ended)
        sdnotify.notify("READY=1", "STATUS=keeping the fleet")
        logger.info("started, for {}", self._parts.settings.config.path)
        # What is there by now stays: whoever's thread collects garbage need not look at it.
        gc.collect()
        gc.freeze()
        return root

    def _abandon_build(self) -> None:
        """Leave no builder running that nobody waits for."""
        parts = self._parts
        if parts.building.is_busy:
            name = parts.settings.config.name
            image_upkeep.abandon(parts.lxd.endpoint, name, _ABANDON_LIMIT)

    def _observe(self, change: Change) -> None:
        self._parts.feed.tell(records.of_actor(change))

    def _ended(self, _reason: Reason) -> None:
        self._wishes.tell(Ended.TREE)

    def _serve(self, root: ActorRef[Supervisor]) -> int:
        interval = min(sdnotify.watchdog_interval_s() or _STATUS_INTERVAL_S, _STATUS_INTERVAL_S)
        due = time.monotonic() + interval
        while True:
            wish = self._wishes.next(min(due, time.monotonic() + _PASS_ON_S))
            self._parts.feed.pass_on_overdue()
            if wish is None:
                if time.monotonic() >= due:
                    self._give_sign_of_life(root)
                    log.tell_repeated()
                    due = time.monotonic() + interval
            elif isinstance(wish, Ended):
                logger.error("the tree has failed: {}", self._system.root_reason)
                return FAILED
            elif wish in {signal.SIGTERM, signal.SIGINT}:
                logger.info("{}: stopping; the runners stay", wish.name)
                return OK
            else:
                self._obey(wish)

    def _obey(self, wish: signal.Signals) -> None:
        if wish is signal.SIGUSR1:
            self._reconcile()
        elif wish is signal.SIGHUP:
            self._try_to_reload()
        elif wish is signal.SIGUSR2:
            # All are wanted, however soon again, and would take the room of others' repetitions.
            said = logger.bind(is_unique=True)
            for line in tree_lines(tree(self._system)):
                said.info("the tree: {}", line)

    def _reconcile(self) -> None:
        if self._system.directory.tell("fleet", Reconcile("SIGUSR1")):
            self._note(records.of_order("reconcile", self._now(), "SIGUSR1"))
        else:
            logger.warning("SIGUSR1: the fleet is being restarted, and reconciles by itself then")

    def _try_to_reload(self) -> None:
        """Reload, and go on whatever comes of it: a running fleet is worth more than a change."""
        before = self._parts.settings.config
        try:
            self._reload()
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends no daemon
            logger.opt(exception=error).error("the configuration could not be read again")
            if self._parts.settings.config is before:
                self._refuse(f"it could not be taken ({type(error).__name__}); the log says more")
            else:
                self._admit_part(type(error).__name__)

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
            self._refuse(str(error))
            return
        if fixed:
            self._refuse(
                f"{', '.join(fixed)}: takes effect only after a restart of the daemon",
                Cause.RESTART_REQUIRED,
            )
            return
        before = settings.config
        settings.accept(config)
        self._note(records.of_order("reload", self._now(), "the configuration has been read again"))
        if config.log_level != before.log_level:
            log.set_level(config.log_level)
        logger.info("the configuration has been read again")
        for name in ("tokens", "storage", "firewall", "upgrades", "image", "policy", "fleet"):
            self._system.directory.tell(name, ConfigChanged(config))
        self._parts.tracing.use(config)  # last: a collector of before may be sent to for a moment

    def _admit_part(self, fault: str) -> None:
        """Say that the new one is in force, and that not all who go by it know."""
        self._parts.settings.refuse(fault, Cause.CONFIGURATION_IN_PART)
        logger.error("the new configuration is taken in part only: {}", fault)

    def _refuse(self, why: str, cause: Cause = Cause.CONFIGURATION_REFUSED) -> None:
        self._parts.settings.refuse(why, cause)
        logger.error("the configuration stays as it was: {}", why)
        self._note(records.of_refusal("reload", self._now(), why))

    def _note(self, record: Record) -> None:
        self._parts.feed.tell(record)

    def _now(self) -> datetime:
        return self._system.clock.now()

    def _give_sign_of_life(self, root: ActorRef[Supervisor]) -> None:
        """Tell systemd that all is well, only if nothing that keeps the fleet is wedged."""
        system, parts = self._system, self._parts
        wanted = parts.settings.config.virtual_machines
        status = f"STATUS={present(parts.roster.all())} of {wanted} runners are there"
        if found := watchdog.wedged(system, root):
            logger.error("no sign of life is given: {}", "; ".join(found))
        else:
            sdnotify.notify("WATCHDOG=1", status)


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
