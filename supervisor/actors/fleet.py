"""The fleet: as many runners as wanted, by comparing what is wanted with what is there."""

import secrets
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from loguru import logger

from supervisor import lifecycle, marks, naming, planning
from supervisor.actors.runner import Birth, Order
from supervisor.blueprints import Blueprint, blueprint_of
from supervisor.config import Config
from supervisor.gateways.lxd import Instance, Lxd, LxdError, NotFound
from supervisor.lifecycle import AVAILABLE, Life, Stage
from supervisor.marks import Marks
from supervisor.messages import (
    AnnounceGitHub,
    AnnounceSignals,
    ConfigChanged,
    DeleteRegistration,
    ForgetAhead,
    GitHubChanged,
    Happened,
    InstanceAppeared,
    InstancesListed,
    ListRegistrations,
    Look,
    Reconcile,
    RegisterAhead,
    RegistrationsListed,
    RunnerChanged,
    SignalsListening,
)
from supervisor.pace import Pace
from supervisor.parts import Parts
from supervisor.planning import Desired, Listing, Patience, Plan, Suspicion
from supervisor.roster import Entry
from supervisor.supervision import (
    Actor,
    ChildSpec,
    OperationFailed,
    Restart,
    StartChild,
    System,
    Timer,
    handles,
)
from supervisor.workers import WorkFailed

_LISTING_LIMIT_S = 60.0
_SOON_S = 1.0
_LISTING_AGAIN_S = 30.0
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
        # An answer to an earlier incarnation must not be taken for one to this.
        self._ticket = secrets.randbits(48)
        self._listing: InstancesListed | None = None
        self._registered: RegistrationsListed | None = None
        self._reconciling = False
        self._began = 0.0
        self._again = ""
        self._history: dict[str, int] = {"reconciles": 0, "reconcile_ms": 0}
        self._balance_is_due = False
        self._registered_ahead: deque[str] = deque()
        self._blueprint: tuple[Config, Blueprint] | None = None
        self._suspicion = Suspicion()
        self._pace = Pace(parts.settings.config.lxd.creations_at_once)
        self._judged: set[str] = set()
        self._begun: dict[str, datetime] = {}
        self._had_actor: set[str] = set()
        self._may_create = False
        self._signals = ""
        self._github = GitHubChanged(open=False, reason="GitHub has not been asked yet")
        self._trouble = ""
        self._next: Timer | None = None
        self._next_due = 0.0
        self._delayed: Timer | None = None

    def on_start(self) -> None:
        """Forget runners that nobody answers for; the reconcile finds what is left of them."""
        for entry in self._parts.roster.all():
            if not self.system.directory.alive(entry.name):
                self._parts.roster.drop(entry.name)
        self.system.directory.tell("signals", AnnounceSignals())
        self.system.directory.tell("tokens", AnnounceGitHub())
        self._start_reconcile("the fleet has started")

    # The reconcile: both sides are listed at the same time, then compared.

    @handles(Reconcile)
    def _reconcile(self, message: Reconcile) -> None:
        self._start_reconcile(message.why)

    @handles(ConfigChanged)
    def _config_changed(self, _message: ConfigChanged) -> None:
        # They may carry labels that no longer hold, or not be wanted any more.
        self._registered_ahead.clear()
        self.system.directory.tell("tokens", ForgetAhead())
        self._balance(_Balance())
        self._start_reconcile("the configuration has changed")

    @handles(SignalsListening)
    def _signals_listening(self, message: SignalsListening) -> None:
        self._signals = message.base
        self._balance(_Balance())

    @handles(GitHubChanged)
    def _github_changed(self, message: GitHubChanged) -> None:
        self._github = message
        self._balance(_Balance())
        if message.open and self._trouble:
            self._start_reconcile("GitHub can be asked again")

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
        self._began = self.system.clock.monotonic()
        self._ticket += 1
        self._listing = self._registered = None
        self._had_actor = {entry.name for entry in self._parts.roster.all()}
        config = self._parts.settings.config
        work = partial(list_instances, self._parts.lxd, config.name, self._ticket)
        self._parts.listing.submit(work, self.actor_ref)
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
        if listing is None or registered is None or self._looks_closer(listing, registered):
            return
        self._reconciling = False
        self._history = {
            "reconciles": self._history["reconciles"] + 1,
            "reconcile_ms": round(1000 * (self.system.clock.monotonic() - self._began)),
        }
        self._trouble = "; ".join(error for error in (listing.error, registered.error) if error)
        config = self._parts.settings.config
        adopted, soon = False, None
        if not listing.error:
            self._may_create = True
            instances = self._not_ended_since(listing.instances)
            plan = planning.reconcile(
                self._desired(),
                self._planned(),
                Listing(
                    running=frozenset(n for n, m in instances.items() if m.seen.running),
                    stopped=frozenset(n for n, m in instances.items() if not m.seen.running),
                    registrations=None if registered.error else registered.registrations,
                ),
                suspicion=self._suspicion,
                now=self._now(),
                limits=Patience(offline=config.limits.offline),
            )
            self._suspicion = plan.suspicion
            soon = plan.recheck
            adopted = bool(plan.adopt)
            for name in plan.adopt:
                self._adopt(name, instances[name])
            self._repair(plan)
            self._carry_out(plan)
        if self._again:
            self._start_reconcile(self._again)
        elif listing.error:
            # Nothing was repaired, and the operator is told so for as long as it isn't.
            again_s = min(_LISTING_AGAIN_S, config.reconcile_interval.total_seconds())
            self._reconcile_after(again_s, "LXD's list could not be had")
        elif adopted:
            # Only now is there somebody to hear what GitHub says of them.
            self._reconcile_after(_SOON_S, "to learn what those taken over are doing")
        elif soon is not None and soon < config.reconcile_interval:
            self._reconcile_after(soon.total_seconds(), "to confirm what the last one suspected")
        else:
            self._reconcile_after(config.reconcile_interval.total_seconds(), "the interval")
        self._show()

    def _looks_closer(self, listing: InstancesListed, registered: RegistrationsListed) -> bool:
        """Have LXD asked by name for what only GitHub shows, unless that has been done."""
        if listing.error:
            return False
        unseen = planning.unseen(
            self._desired(), self._planned(), listing.instances, registered.registrations
        )
        if not unseen - listing.asked:
            return False
        self._listing = None
        work = partial(
            look_closer, self._parts.lxd, self._parts.settings.config.name, listing, unseen
        )
        self._parts.listing.submit(work, self.actor_ref)
        return True

    def _not_ended_since(self, listed: Mapping[str, Marks]) -> dict[str, Marks]:
        """Leave out instances whose actors have ended since they were listed: they are gone."""
        ended = self._had_actor - {entry.name for entry in self._parts.roster.all()}
        return {name: found for name, found in listed.items() if name not in ended}

    def _reconcile_after(self, delay_s: float, why: str) -> None:
        now = self.system.clock.monotonic()
        if self._next:
            if now < self._next_due <= now + delay_s:
                return  # such as for what appeared while the last one was under way
            self._next.cancel()
        self._next_due = now + delay_s
        self._next = self.tell_after(delay_s, Reconcile(why))

    def _repair(self, plan: Plan) -> None:
        directory = self.system.directory
        for registration in plan.unregister:
            logger.info("registration {} has no instance: deleting it", registration.name)
            if registration.name in self._registered_ahead:
                self._registered_ahead.remove(registration.name)
            directory.tell("tokens", DeleteRegistration(registration.id, registration.name))
        for name, number in plan.found:
            directory.tell(name, Happened(lifecycle.RegistrationFound(number)))
        for name in plan.look:
            directory.tell(name, Look())
        for name in plan.vanished:
            directory.tell(name, Happened(lifecycle.RegistrationVanished()))
        for name, registered in plan.jobless:
            directory.tell(name, Happened(lifecycle.JobLost(registered=registered)))
        for name, busy in plan.confirm:
            directory.tell(name, Happened(lifecycle.Confirmed(busy=busy)))

    # The balance: at each change, from the roster alone.

    @handles(RunnerChanged)
    def _runner_changed(self, message: RunnerChanged) -> None:
        self._judge(message.name, message.life)
        # Looking at all runners at each change of one would cost the square of their number: one
        # look comes after all the changes that wait here already.
        if not self._balance_is_due:
            self._balance_is_due = True
            self.tell_self(_Balance())

    @handles(_Balance)
    def _balance(self, _message: _Balance) -> None:
        self._balance_is_due = False
        if self._delayed:
            self._delayed.cancel()
            self._delayed = None
        self._carry_out(planning.balance(self._desired(), self._planned(), self._now()))
        self._register_ahead()
        self._show()

    def _judge(self, name: str, life: Life) -> None:
        """Learn once from a runner of ours: it became ready, or it ended before it was.

        One that was ordered away, or taken over, says nothing of whether runners can be made now.
        """
        if name not in self._judged:
            if life.stage in AVAILABLE or life.stage is Stage.BUSY:
                self._judged.add(name)
                self._pace = replace(self._pace, failures=0, last_failure=None)
            elif life.stage in (Stage.FAILED, Stage.FINISHED):
                self._judged.add(name)
                begun, last = self._begun.pop(name, None), self._pace.last_failure
                if life.stage is Stage.FAILED and life.runner_id is None:
                    return  # GitHub did not register it: it is tried again when GitHub can
                if begun and last and begun <= last:
                    return  # made before the last failure: the same trouble, counted already
                failures = self._pace.failures + 1
                self._pace = replace(self._pace, failures=failures, last_failure=self._now())
        if life.stage is Stage.DELETED:
            self._judged.discard(name)
            self._begun.pop(name, None)

    def _carry_out(self, plan: Plan) -> None:
        for name, why in plan.retire:
            self._judged.add(name)
            order = lifecycle.DeletionOrdered(why)
            self.system.directory.tell(name, Happened(order))
        if plan.recheck:
            self._balance_after(plan.recheck)
        if not (plan.create and self._may_create and self._signals and self._github.open):
            return
        proven = self._github.proven
        for _ in range(self._pace.admit(plan.create, self._planned(), self._now(), proven=proven)):
            self._create_runner()
        if delay := self._pace.delay(self._now()):
            self._balance_after(delay)

    def _balance_after(self, delay: timedelta) -> None:
        if self._delayed is None:
            self._delayed = self.tell_after(delay.total_seconds(), _Balance())

    def _register_ahead(self) -> None:
        """Have those registered that will be created as soon as others are gone."""
        github = self._github
        if self._pace.failures or not (self._may_create and github.open and github.proven):
            return
        soon = planning.to_register_ahead(self._desired(), self._planned())
        while len(self._registered_ahead) < min(soon, self._pace.at_once):
            blueprint = self._current_blueprint()
            name = naming.new_runner_name(blueprint.installation)
            self._registered_ahead.append(name)
            order = RegisterAhead(name, blueprint.labels, blueprint.group)
            self.system.directory.tell("tokens", order)

    def _create_runner(self) -> None:
        order = Order(self._current_blueprint(), self._signals)
        if self._registered_ahead:
            name = self._registered_ahead.popleft()
        else:
            name = naming.new_runner_name(order.blueprint.installation)
        life = Life(Stage.REQUESTED, self._now(), "its actor is being started")
        self._begun[name] = life.since
        self._start_runner(Entry(name, order.blueprint.generation, life), order)

    def _adopt(self, name: str, found: Marks) -> None:
        self._judged.add(name)
        reason, number = "its actor is being started", found.seen.runner_id
        life = Life(Stage.BOOTING, self._now(), reason, number)
        self._start_runner(Entry(name, found.generation, life, found.signal_digest), found)

    def _start_runner(self, entry: Entry, origin: Order | Marks) -> None:
        name = entry.name
        self._had_actor.add(name)
        # Entered here already: the next plan must count it before its actor has spoken.
        self._parts.roster.put(entry)
        spec = ChildSpec(
            id=name,
            start=Birth(self.system, self._parts, name, origin),
            restart=Restart.TRANSIENT,
            shutdown=_RUNNER_SHUTDOWN_S,
            log_context={"runner": name},
        )
        self.system.directory.tell(self._runners, StartChild(spec, reply_to=self.actor_ref))

    @handles(OperationFailed)
    def _not_started(self, message: OperationFailed) -> None:
        """Free the place of a runner whose actor could not be started, such as for want of threads.

        What it may have left behind, a registration or an instance, the reconcile finds.
        """
        if isinstance(message.operation, StartChild):
            logger.error("a runner's actor did not start: {}", message.error)
            self._parts.roster.drop(message.operation.spec.id)
            self._pace = replace(
                self._pace, failures=self._pace.failures + 1, last_failure=self._now()
            )
            self._balance(_Balance())

    # What people see.

    def _show(self) -> None:
        wanted = self._parts.settings.config.virtual_machines
        stages = [entry.life.stage for entry in self._parts.roster.all()]
        online = sum(1 for stage in stages if stage in AVAILABLE or stage is Stage.BUSY)
        lacks_github = not self._github.open and online < wanted
        reason = f"{online} of {wanted} runners are there"
        if not self._signals:
            reason += "; none is created until guests can report"
        elif lacks_github:
            reason += f"; none is created now: {self._github.reason}"
        elif delay := self._pace.delay(self._now()):
            failed = self._pace.failures
            reason += f"; {failed} failed in a row, the next try is in {delay.seconds + 1} s"
        state = "degraded" if self._trouble or lacks_github else "keeping"
        self.publish(state, self._trouble or reason, **self._history)

    def _current_blueprint(self) -> Blueprint:
        config = self._parts.settings.config
        if self._blueprint is None or self._blueprint[0] is not config:
            self._blueprint = (config, blueprint_of(config))
        return self._blueprint[1]

    def _desired(self) -> Desired:
        config = self._parts.settings.config
        return Desired(config.name, config.virtual_machines, self._current_blueprint().generation)

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
    return InstancesListed(ticket, _ours(found, installation))


def look_closer(
    lxd: Lxd, installation: str, listed: InstancesListed, names: frozenset[str]
) -> InstancesListed:
    """Ask for instances by name, and add to a list what it did not show."""
    found = []
    for name in sorted(names):
        try:
            found.append(lxd.instance(name))
        except NotFound:
            continue
        except LxdError as error:
            return InstancesListed(listed.ticket, error=str(error))
    instances = {**listed.instances, **_ours(found, installation)}
    return replace(listed, instances=instances, asked=listed.asked | names)


def _ours(found: Iterable[Instance], installation: str) -> dict[str, Marks]:
    return {
        instance.name: marks.read(instance.status, instance.config)
        for instance in found
        if marks.are_of(installation, instance.config)
    }
