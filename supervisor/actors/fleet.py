"""The fleet: as many runners as wanted, by comparing what is wanted with what is there."""

from dataclasses import replace
from datetime import datetime
from functools import partial

from loguru import logger

from supervisor import lifecycle, marks, naming, planning
from supervisor.actors.runner import Birth, Order
from supervisor.blueprints import blueprint_of
from supervisor.gateways.lxd import Lxd, LxdError
from supervisor.lifecycle import AVAILABLE, Life, Stage
from supervisor.marks import Marks
from supervisor.messages import (
    AnnounceSignals,
    ConfigChanged,
    DeleteRegistration,
    Happened,
    InstanceAppeared,
    InstancesListed,
    ListRegistrations,
    LookAtInstance,
    Reconcile,
    RegistrationsListed,
    RunnerChanged,
    SignalsListening,
)
from supervisor.parts import Parts
from supervisor.planning import Desired, Listing, Pace, Plan, Suspicion
from supervisor.roster import Entry
from supervisor.supervision import Actor, ChildSpec, Restart, StartChild, System, Timer, handles
from supervisor.workers import WorkFailed

_LISTING_LIMIT_S = 60.0
_SOON_S = 1.0
_RECHECK_S = 15.0
_RUNNER_SHUTDOWN_S = 2.0


class _Balance:
    """It is time to look again at whether runners may be created."""


class _ListingLate:
    """A listing has taken too long."""

    def __init__(self, ticket: int) -> None:
        self.ticket = ticket


class FleetActor(Actor):
    """Keeps the wanted number of runners, and repairs what the edges missed.

    Args:
        system: the supervision system.
        parts: what the actors share.
        runners: the name of the supervisor under which runners are started.
    """

    def __init__(self, system: System, parts: Parts, runners: str) -> None:
        super().__init__(system)
        self._parts = parts
        self._runners = runners
        self._ticket = 0
        self._listing: InstancesListed | None = None
        self._registered: RegistrationsListed | None = None
        self._reconciling = False
        self._again = ""
        self._suspicion = Suspicion()
        self._pace = Pace(parts.settings.config.lxd.creations_at_once)
        self._proven: set[str] = set()
        self._failed: set[str] = set()
        self._may_create = False
        self._signals = ""
        self._trouble = ""
        self._next: Timer | None = None
        self._delayed: Timer | None = None

    def on_start(self) -> None:
        """Forget runners that nobody answers for; the reconcile finds what is left of them."""
        for entry in self._parts.roster.all():
            if not self.system.directory.alive(entry.name):
                self._parts.roster.drop(entry.name)
        self.system.directory.tell("signals", AnnounceSignals())
        self._start_reconcile("the fleet has started")

    # The reconcile: both sides are listed at the same time, then compared.

    @handles(Reconcile)
    def _reconcile(self, message: Reconcile) -> None:
        self._start_reconcile(message.why)

    @handles(ConfigChanged)
    def _config_changed(self, message: ConfigChanged) -> None:
        self._pace = replace(self._pace, at_once=message.config.lxd.creations_at_once)
        self._balance(_Balance())
        self._start_reconcile("the configuration has changed")

    @handles(SignalsListening)
    def _signals_listening(self, message: SignalsListening) -> None:
        self._signals = message.base
        self._balance(_Balance())

    @handles(InstanceAppeared)
    def _instance_appeared(self, message: InstanceAppeared) -> None:
        if self._parts.roster.get(message.name) is None:
            self._reconcile_after(_SOON_S, f"instance {message.name} appeared")

    def _start_reconcile(self, why: str) -> None:
        if self._reconciling:
            self._again = why
            return
        logger.debug("reconcile: {}", why)
        self._reconciling, self._again = True, ""
        self._ticket += 1
        self._listing = self._registered = None
        config = self._parts.settings.config
        work = partial(list_instances, self._parts.lxd, config.name, self._ticket)
        self._parts.tending.submit(work, self.actor_ref)
        self.system.directory.tell("tokens", ListRegistrations(self._ticket))
        self.tell_after(_LISTING_LIMIT_S, _ListingLate(self._ticket))

    @handles(InstancesListed)
    def _instances_listed(self, message: InstancesListed) -> None:
        if message.ticket == self._ticket and self._reconciling:
            self._listing = message
            self._compare()

    @handles(RegistrationsListed)
    def _registrations_listed(self, message: RegistrationsListed) -> None:
        if message.ticket == self._ticket and self._reconciling:
            self._registered = message
            self._compare()

    @handles(_ListingLate)
    def _listing_late(self, message: _ListingLate) -> None:
        if message.ticket == self._ticket and self._reconciling:
            late = f"took more than {_LISTING_LIMIT_S:.0f} s to list"
            self._listing = self._listing or InstancesListed(self._ticket, error=f"LXD {late}")
            self._registered = self._registered or RegistrationsListed(
                self._ticket, error=f"GitHub {late}"
            )
            self._compare()

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    def _compare(self) -> None:
        listing, registered = self._listing, self._registered
        if listing is None or registered is None:
            return
        self._reconciling = False
        self._trouble = "; ".join(error for error in (listing.error, registered.error) if error)
        config = self._parts.settings.config
        adopted = False
        if not listing.error:
            self._may_create = True
            plan = planning.reconcile(
                self._desired(),
                self._planned(),
                Listing(
                    frozenset(listing.instances),
                    None if registered.error else registered.registrations,
                    frozenset(n for n, m in listing.instances.items() if not m.seen.running),
                ),
                suspicion=self._suspicion,
                now=self._now(),
            )
            self._suspicion = plan.suspicion
            adopted = bool(plan.adopt)
            for name in plan.adopt:
                self._adopt(name, listing.instances[name])
            self._repair(plan)
            self._carry_out(plan)
        if self._again:
            self._start_reconcile(self._again)
        elif adopted:
            # Only now is there somebody to hear what GitHub says of them.
            self._reconcile_after(_SOON_S, "to learn what those taken over are doing")
        elif self._suspicion:
            soon = min(_RECHECK_S, config.reconcile_interval.total_seconds())
            self._reconcile_after(soon, "to confirm what the last one suspected")
        else:
            self._reconcile_after(config.reconcile_interval.total_seconds(), "the interval")
        self._show()

    def _reconcile_after(self, delay_s: float, why: str) -> None:
        if self._next:
            self._next.cancel()
        self._next = self.tell_after(delay_s, Reconcile(why))

    def _repair(self, plan: Plan) -> None:
        directory = self.system.directory
        for registration in plan.unregister:
            logger.info("registration {} has no instance: deleting it", registration.name)
            directory.tell("tokens", DeleteRegistration(registration.id, registration.name))
        for name in plan.look:
            directory.tell(name, LookAtInstance())
        for name in plan.vanished:
            directory.tell(name, Happened(lifecycle.RegistrationVanished()))
        for registration in plan.confirm:
            confirmed = lifecycle.Confirmed(busy=registration.busy)
            directory.tell(registration.name, Happened(confirmed))

    # The balance: at each change, from the roster alone.

    @handles(RunnerChanged)
    def _runner_changed(self, message: RunnerChanged) -> None:
        self._judge(message.name, message.life)
        self._balance(_Balance())

    @handles(_Balance)
    def _balance(self, _message: _Balance) -> None:
        if self._delayed:
            self._delayed.cancel()
            self._delayed = None
        self._carry_out(planning.balance(self._desired(), self._planned()))
        self._show()

    def _judge(self, name: str, life: Life) -> None:
        """Learn from a runner that became ready, or that ended before it was."""
        if life.stage in AVAILABLE or life.stage is Stage.BUSY:
            self._proven.add(name)
            self._pace = replace(self._pace, failures=0, last_failure=None)
        elif name not in self._proven and name not in self._failed:
            ordered_away = life.stage is Stage.RETIRING
            if not ordered_away and life.stage in (Stage.FAILED, Stage.FINISHED):
                self._failed.add(name)
                failures = self._pace.failures + 1
                self._pace = replace(self._pace, failures=failures, last_failure=self._now())
        if life.stage is Stage.DELETED:
            self._proven.discard(name)
            self._failed.discard(name)

    def _carry_out(self, plan: Plan) -> None:
        for name, why in plan.retire:
            order = lifecycle.DeletionOrdered(why)
            self.system.directory.tell(name, Happened(order))
        if not (plan.create and self._may_create and self._signals):
            return
        for _ in range(self._pace.admit(plan.create, self._planned(), self._now())):
            self._create_runner()
        delay = self._pace.delay(self._now())
        if delay:
            self._delayed = self.tell_after(delay.total_seconds(), _Balance())

    def _create_runner(self) -> None:
        config = self._parts.settings.config
        order = Order(blueprint_of(config), self._signals)
        name = naming.new_runner_name(config.name)
        life = Life(Stage.REQUESTED, self._now(), "its actor is being started")
        self._start_runner(Entry(name, order.blueprint.generation, life), order)

    def _adopt(self, name: str, found: Marks) -> None:
        life = Life(Stage.BOOTING, self._now(), "its actor is being started")
        self._start_runner(Entry(name, found.generation, life, found.signal_digest), found)

    def _start_runner(self, entry: Entry, origin: Order | Marks) -> None:
        name = entry.name
        # Entered here already: the next plan must count it before its actor has spoken.
        self._parts.roster.put(entry)
        spec = ChildSpec(
            id=name,
            start=Birth(self.system, self._parts, name, origin),
            restart=Restart.TRANSIENT,
            shutdown=_RUNNER_SHUTDOWN_S,
            log_context={"runner": name},
        )
        self.system.directory.tell(self._runners, StartChild(spec))

    # What people see.

    def _show(self) -> None:
        planned = self._planned()
        wanted = self._parts.settings.config.virtual_machines
        online = sum(1 for r in planned if r.stage in AVAILABLE or r.stage is Stage.BUSY)
        reason = f"{online} of {wanted} runners are there"
        self.publish("degraded" if self._trouble else "keeping", self._trouble or reason)

    def _desired(self) -> Desired:
        config = self._parts.settings.config
        return Desired(config.name, config.virtual_machines, blueprint_of(config).generation)

    def _planned(self) -> list[planning.Runner]:
        return [entry.as_planned() for entry in self._parts.roster.all()]

    def _now(self) -> datetime:
        return self.system.clock.now()


def list_instances(lxd: Lxd, installation: str, ticket: int) -> InstancesListed:
    """List what LXD has of this installation."""
    try:
        found = lxd.instances()
    except LxdError as error:
        return InstancesListed(ticket, error=str(error))
    ours = {
        instance.name: marks.read(instance.status, instance.config)
        for instance in found
        if marks.are_of(installation, instance.config)
    }
    return InstancesListed(ticket, ours)
