"""What the actors share: made once by the daemon, outlives every one of them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from supervisor.causes import Cause, Fault
from supervisor.config import Config
from supervisor.gateways import bridge_netfilter
from supervisor.gateways.application_store import ApplicationStore
from supervisor.gateways.drain_mark import DrainMark
from supervisor.gateways.environments import PackageEnvironments
from supervisor.gateways.host_packages import HostPackages
from supervisor.gateways.journal_store import Keeping
from supervisor.gateways.log_store import LogStore
from supervisor.gateways.lxd import Lxd, LxdEndpoint
from supervisor.gateways.metric_log import MetricLog
from supervisor.gateways.name_notes import NameNotes
from supervisor.gateways.names import Lookup, Names, look_up
from supervisor.gateways.nftables import Nftables
from supervisor.gateways.place_notes import PlaceNotes
from supervisor.gateways.policy_service import PolicyService
from supervisor.gateways.upgrade_notes import UpgradeNotes
from supervisor.metrics.counters import Counters
from supervisor.observation import life_lines
from supervisor.observation.feed import Feed
from supervisor.observation.last_failure import LastFailure
from supervisor.observation.tracing import Tracing
from supervisor.policy.settings import decisions_in, directory_of
from supervisor.policy.token_desk import TokenDesk
from supervisor.policy.verdicts import Verdicts
from supervisor.recording.inbox import JournalInbox
from supervisor.recording.writer import JournalWriter
from supervisor.runners.lanes import Lanes
from supervisor.runners.roster import Roster
from supervisor.runners.visitors import Visitors
from supervisor.supervision import Clock, SystemClock
from supervisor.throttling.trials import Trials
from supervisor.workers import Workers


class Settings:
    """The configuration in force. A restarted actor finds the newest one here."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._fault = Fault()
        self._lock = threading.Lock()

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._config

    @property
    def fault(self) -> Fault:
        """Why the last attempt to change it failed; none after a success."""
        return self._fault

    def accept(self, config: Config) -> None:
        """Put a checked configuration in force."""
        with self._lock:
            self._config, self._fault = config, Fault()

    def refuse(self, error: str, cause: Cause = Cause.CONFIGURATION_REFUSED) -> None:
        """Keep the one in force, and remember why another was refused, or taken in part only."""
        self._fault = Fault(error, cause)


@dataclass(frozen=True)
class Outside:
    """By what the parts reach all that is not theirs. Tests have others in its stead.

    The disk is not among it: what is kept there is in the state directory, wherever that is.

    Attributes:
        clock: tells the time.
        workers: makes threads for an actor's slow work, by their name and how many they are.
        lxd: the gateway to LXD, safe for threads.
        nftables: the gateway to the kernel's packet filter.
        look_up: asks this host's resolver what a name stands for.
        sees_ipv6: tells whether the kernel lets LXD filter IPv6 at a bridge.
        host: what is installed on this host.
        policy: the policy service's address and process.
    """

    clock: Clock
    workers: Callable[[str, int], Workers]
    lxd: Lxd
    nftables: Nftables
    look_up: Lookup
    sees_ipv6: Callable[[], bool]
    host: HostPackages
    policy: PolicyService


def outside_of(config: Config) -> Outside:
    """Make the real gateways, as they are configured."""
    lxd = config.lxd
    return Outside(
        clock=SystemClock(),
        workers=Workers,
        lxd=Lxd(LxdEndpoint(lxd.socket, lxd.project, lxd.timeout.total_seconds())),
        nftables=Nftables(),
        look_up=look_up,
        sees_ipv6=bridge_netfilter.sees_ipv6,
        host=HostPackages(),
        policy=PolicyService(),
    )


@dataclass(frozen=True)
class Parts:
    """What the actors share.

    Attributes:
        settings: the configuration in force.
        feed: what has happened, for those who watch.
        counters: count it, for Prometheus.
        last_failure: the runner that failed last.
        tracing: send it to a collector, if there is one.
        journal: what of it is yet to be written down, and where that is kept.
        journal_writer: writes it down.
        lxd: the gateway to LXD, safe for threads.
        roster: the runners that have an actor.
        trials: how those fared that were begun, as their actors tell it, for the fleet's pace.
        logs: those of guests that failed, on disk.
        drain: whether the fleet is drained, on disk.
        places: where runners may be registered, on disk.
        lanes: keeps the work on each instance in order.
        creating: does the work of creating and starting instances: as many at once as LXD
            makes best use of, however large the fleet.
        tending: does every other work on one instance.
        listing: lists them all, and the images there are; apart, so that it never waits behind slow
            removals and builds.
        storage: makes the pool that runners' disks are in; one at a time, so that a restarted
            actor never meets its own earlier work.
        nftables: the gateway to the kernel's packet filter.
        names: what hosts' names stand for.
        sees_ipv6: tells whether the kernel lets LXD filter IPv6 at a bridge.
        asking: finds out what the firewall depends on, and whether LXD's filters are there; it may
            hang with LXD or a name server.
        firewall: puts it in place and looks after it; apart, so that it is healed meanwhile.
        closing: closes what the firewall guards while that work is under way, and the table gone.
        applications: the runner applications that were got and verified, on disk.
        upgrade_notes: how attempts at newer versions fared, on disk.
        upgrading: gets and verifies what is newer; one at a time, so that a restarted actor never
            meets its own earlier work.
        policy: the policy service's address and process, which outlive its actor.
        tokens: one-time tokens that guests show to the policy service.
        verdicts: what was decided of jobs, by the policy service and by guests.
        serving: starts the policy service; one at a time, as a restarted actor may want it again.
        packages: environments of the package that the policy service is run from, if it is.
        installing: installs and tries another version of it; apart, as that takes minutes.
        host: what is installed on this host.
        inspecting: looks at it; apart, as LXD may hang.
        examining: asks whether it is well; apart, so that one that hangs is replaced meanwhile.
        building: looks after the images that runners start from, and builds them; one at a time, as
            what a restarted actor orders waits for what it has ordered before.
        build_logs: what builds of images have said, on disk.
        visitors: guests that only try an image.
    """

    settings: Settings
    feed: Feed
    counters: Counters
    last_failure: LastFailure
    tracing: Tracing
    journal: JournalInbox
    journal_writer: JournalWriter
    lxd: Lxd
    roster: Roster
    trials: Trials
    logs: LogStore
    drain: DrainMark
    places: PlaceNotes
    lanes: Lanes
    creating: Workers
    tending: Workers
    listing: Workers
    storage: Workers
    nftables: Nftables
    names: Names
    sees_ipv6: Callable[[], bool]
    asking: Workers
    firewall: Workers
    closing: Workers
    applications: ApplicationStore
    upgrade_notes: UpgradeNotes
    upgrading: Workers
    policy: PolicyService
    tokens: TokenDesk
    verdicts: Verdicts
    packages: PackageEnvironments
    installing: Workers
    host: HostPackages
    inspecting: Workers
    serving: Workers
    examining: Workers
    building: Workers
    build_logs: LogStore
    visitors: Visitors


def _make_journal_writer(inbox: JournalInbox, settings: Settings, clock: Clock) -> JournalWriter:
    """Make what writes the journal down as it is configured: how much is kept may change."""
    log = settings.config.metric_log

    def keeping() -> Keeping:
        journal = settings.config.journal
        return Keeping(timedelta(days=journal.retention_days), journal.most_bytes)

    return JournalWriter(
        inbox,
        flavor=settings.config.name,
        keeping=keeping,
        now=clock.now,
        elapsed=clock.monotonic,
        metric_log=MetricLog(log.path, log.most_bytes, log.keep) if log.path else None,
    )


def make_parts(config: Config, outside: Outside) -> Parts:
    """Make what the actors share.

    Args:
        config: the configuration in force at first.
        outside: by what they reach the rest of the world.
    """
    at_once, threads = config.lxd.creations_at_once, outside.workers
    settings, feed = Settings(config), Feed(outside.clock.monotonic)
    feed.watch(life_lines.tell)
    journal = JournalInbox(config.state_directory / "journal" / "journal.sqlite", feed)
    return Parts(
        settings=settings,
        feed=feed,
        counters=Counters(feed),
        last_failure=LastFailure(feed),
        tracing=Tracing(feed),
        journal=journal,
        journal_writer=_make_journal_writer(journal, settings, outside.clock),
        lxd=outside.lxd,
        roster=Roster(),
        trials=Trials(at_once),
        logs=LogStore(config.state_directory / "logs"),
        drain=DrainMark(config.state_directory / "drained"),
        places=PlaceNotes(config.state_directory / "places"),
        lanes=Lanes(),
        creating=threads("creating", at_once),
        tending=threads("tending", at_once),
        listing=threads("listing", 1),
        storage=threads("storage", 1),
        nftables=outside.nftables,
        names=Names(outside.look_up, NameNotes(config.state_directory / "names")),
        sees_ipv6=outside.sees_ipv6,
        asking=threads("asking", 1),
        firewall=threads("firewall", 1),
        closing=threads("closing", 1),
        applications=ApplicationStore(config.state_directory / "applications"),
        upgrade_notes=UpgradeNotes(config.state_directory / "upgrade-notes"),
        upgrading=threads("upgrading", 1),
        policy=outside.policy,
        tokens=TokenDesk(),
        verdicts=Verdicts(decisions_in(directory_of(config)), feed, outside.clock.now()),
        packages=PackageEnvironments(config.state_directory / "policy-package"),
        installing=threads("installing", 1),
        host=outside.host,
        inspecting=threads("inspecting", 1),
        serving=threads("serving", 1),
        examining=threads("examining", 1),
        building=threads("building", 1),
        build_logs=LogStore(config.state_directory / "image-logs"),
        visitors=Visitors(),
    )
